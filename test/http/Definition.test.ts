// One definition: the OpenAPI document, the typed client, and servers of the fetch kind.
import { Agent } from "@effect-baton/core"
import { RunsApi, RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiClient, OpenApi } from "effect/http-api"
import { analyst, Api, type Engine, engine, routes, serving } from "./served.ts"

const { completed, pause, text } = ScriptedModel

const clientOf = (url: string, as: string) =>
  HttpApiClient.make(Api, {
    baseUrl: url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(as))
  }).pipe(Effect.provide(FetchHttpClient.layer))

describe("the definition", () => {
  it("is an OpenAPI document, which changes only if somebody means it", async () => {
    const document = OpenApi.fromApi(HttpApi.make("runs").add(RunsApi.group))
    assert.deepStrictEqual(Object.keys(document.paths), [
      "/runs",
      "/runs/{runId}",
      "/runs/{runId}/updates",
      "/runs/{runId}/result",
      "/runs/{runId}/cancel"
    ])
    await expect(`${JSON.stringify(document, undefined, 2)}\n`).toMatchFileSnapshot("../fixtures/openapi-runs.json")
  })

  it.live("is served", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const response = yield* Effect.promise(() => fetch(`${url}/openapi.json`))
      const document = (yield* Effect.promise(() => response.json())) as OpenApi.OpenAPISpec
      assert.property(document.paths, "/api/runs/{runId}/updates")
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.live("is a typed client, with errors that have tags", () =>
    Effect.gen(function* () {
      const url = yield* serving({ resultWait: "50 millis" })
      const { runs } = yield* clientOf(url, "alice")
      const started = yield* runs.start({
        headers: { "idempotency-key": "october" as never },
        payload: { agent: "analyst", input: "How was October?" }
      })
      assert.strictEqual(started.mode, "start")
      const early = yield* runs.result({ params: { runId: started.runId as never } })
      assert.isTrue("pending" in early && early.pending)
      const { runs: listed } = yield* runs.list({ query: { label: ["owner=alice"] } })
      assert.deepStrictEqual(
        listed.map(({ runId }) => runId),
        ["october"]
      )
      const params = { runId: "none" as never }
      const missing = yield* Effect.flip(runs.state({ params }))
      assert.strictEqual(missing._tag, "RunNotFound")
      const mallory = yield* clientOf(url, "mallory")
      const refused = yield* Effect.flip(mallory.runs.cancel({ params }))
      assert.strictEqual(refused._tag, "Unauthenticated")
      const bad = yield* Effect.flip(runs.updates({ params: { runId: "a/b" as never }, query: {}, headers: {} }))
      assert.include(["SchemaError", "BadRequestProblem"], bad._tag)
    }).pipe(Effect.scoped, Effect.provide(engine([text("Fine."), pause("1 hour"), completed])))
  )

  it.live("is a handler of requests for hosts of the fetch kind", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<Engine>()
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels: { owner: "alice" } })
      const { dispose, handler } = HttpRouter.toWebHandler(
        routes().pipe(Layer.provide([RunViewers.layer(), HttpServer.layerServices, Layer.succeedContext(context)])),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const get = (path: string, as: string) =>
        Effect.promise(() =>
          handler(new Request(`http://host/api/runs${path}`, { headers: { authorization: `Bearer ${as}` } }))
        )
      assert.strictEqual((yield* get("/r", "alice")).status, 200)
      const theirs = yield* get("/r", "bob")
      assert.strictEqual(theirs.status, 404)
      assert.strictEqual(theirs.headers.get("cache-control"), "no-store")
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )
})
