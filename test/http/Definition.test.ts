// One definition: the OpenAPI document, the typed client, and servers of the fetch kind.
import { Agent, Run } from "@effect-baton/core"
import { RunsApi, RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiClient, OpenApi } from "effect/http-api"
import { analyst, Api, type Engine, engine, routes, serving } from "./served.ts"
import { blocksOf, lastIdOf, textOf } from "./watching.ts"

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
      "/runs/{runId}/cancel",
      "/runs/{runId}/turns/{turn}/calls/{callId}/approve",
      "/runs/{runId}/turns/{turn}/calls/{callId}/reject",
      "/runs/{runId}/turns/{turn}/calls/{callId}/complete",
      "/runs/{runId}/raise"
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
        headers: { "idempotency-key": Run.RunId.make("october") },
        payload: { agent: "analyst", input: "How was October?" }
      })
      assert.strictEqual(started.mode, "start")
      const early = yield* runs.result({ params: { runId: Run.RunId.make(started.runId) } })
      assert.include(["queued", "in_progress"], early.status)
      const { runs: listed } = yield* runs.list({ query: { label: ["owner=alice"] } })
      assert.deepStrictEqual(
        listed.map(({ runId }) => runId),
        ["october"]
      )
      const params = { runId: Run.RunId.make("none") }
      const missing = yield* Effect.flip(runs.state({ params }))
      assert.strictEqual(missing._tag, "RunNotFound")
      const mallory = yield* clientOf(url, "mallory")
      const refused = yield* Effect.flip(mallory.runs.cancel({ params }))
      assert.strictEqual(refused._tag, "Unauthenticated")
      const bad = yield* Effect.flip(runs.updates({ params: { runId: "a/b" as never }, query: {}, headers: {} }))
      assert.include(["SchemaError", "BadRequestProblem"], bad._tag)
    }).pipe(Effect.scoped, Effect.provide(engine([text("Fine."), pause("1 hour"), completed])))
  )

  it.live("is a typed client of events, and of nothing more", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* Stream.runDrain(Agent.stream(analyst, { input: "x", runId: "r", labels: { owner: "alice" } }))
      const { runs } = yield* clientOf(url, "alice")
      const params = { runId: Run.RunId.make("r") }
      const response = yield* runs.updates({ params, query: {}, headers: {} })
      const events = Stream.isStream(response) ? yield* Stream.runCollect(response) : []
      const updates = events.flatMap((event) => (event.event === "update" ? [event] : []))
      assert.deepStrictEqual(updates.map(({ data }) => data.text).join(""), "Fine.")
      assert.strictEqual(updates.find(({ data }) => data.text !== "")?.data.part?.type, "text-delta")
      assert.strictEqual(updates.at(-1)?.data.part?.type, "finish")
      assert.deepEqual<unknown>(events.at(-1)?.data, { status: "completed" })
      const headers = { "last-event-id": updates.at(-1)?.id ?? "" }
      assert.isUndefined(yield* runs.updates({ params, query: {}, headers }), "204")
      const refused = yield* Effect.flip(runs.updates({ params, query: { after: "x" }, headers: {} }))
      assert.strictEqual(refused._tag, "InvalidRequest")
    }).pipe(Effect.scoped, Effect.provide(engine([text("Fine."), completed])))
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

      const response = yield* get("/r/updates", "alice")
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      let said = ""
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
      const read = Effect.promise(() => reader.read()).pipe(
        Effect.map(({ done, value = "" }) => {
          said += value
          return done
        })
      )
      const following = yield* Effect.forkChild(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      yield* Effect.repeat(read, { until: (done) => done || textOf(blocksOf(said)) === "Fine." })
      const rest = yield* Effect.forkChild(Effect.repeat(read, { until: (done) => done }))
      yield* Effect.promise(dispose)
      yield* Fiber.join(rest)
      yield* Fiber.interrupt(following)
      const heard = blocksOf(said)
      assert.strictEqual(textOf(heard), "Fine.")
      assert.deepEqual<unknown>(heard.at(-1)?.data, { reason: "shutdown", after: lastIdOf(heard) })
    }).pipe(Effect.scoped, Effect.provide(engine([text("Fine."), pause("1 hour"), completed])))
  )
})
