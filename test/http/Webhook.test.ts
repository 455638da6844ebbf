// The endpoint of a provider's webhooks, with the verification of the OpenAI package.
import { Agent, TokenStore } from "@effect-baton/core"
import { RunWebhook } from "@effect-baton/http"
import { OpenAiWebhooks } from "@effect-baton/openai"
import { ScriptedModel } from "@effect-baton/testing"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Latch, Layer, Option, Redacted, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createHmac } from "node:crypto"
import { createServer } from "node:http"
import { changing, storeAway } from "../support/stores.ts"
import { analyst, ask } from "./served.ts"

const key = Buffer.from("a secret of the endpoint's webhooks")
const secret = Redacted.make(`whsec_${key.toString("base64")}`)

/** A message of OpenAI's, signed. */
const message = (responseId: string) => {
  const body = JSON.stringify({
    id: "evt_1",
    object: "event",
    created_at: Math.floor(Date.now() / 1000),
    type: "response.completed",
    data: { id: responseId }
  })
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac("sha256", key).update(`wh_1.${timestamp}.${body}`).digest("base64")
  return {
    method: "POST",
    body,
    headers: { "webhook-id": "wh_1", "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` }
  }
}

const serving = Effect.gen(function* () {
  const context = yield* Effect.context<TokenStore.TokenStore>()
  const routes = RunWebhook.layer("/webhooks/openai", OpenAiWebhooks.receive).pipe(
    Layer.provide(OpenAiWebhooks.layer({ secret }))
  )
  const server = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
    Layer.provide(Layer.succeedContext(context))
  )
  const { address } = Context.get(yield* Layer.build(Layer.fresh(server)), HttpServer.HttpServer)
  return "port" in address ? `http://127.0.0.1:${address.port}/webhooks/openai` : yield* Effect.die("no port")
})

const model = ScriptedModel.layer([ScriptedModel.pause("1 hour"), ScriptedModel.completed])

describe("RunWebhook", () => {
  it.live("wakes the run of an event that is signed, and accepts what it does not know", () =>
    Effect.gen(function* () {
      const url = yield* serving
      const started = yield* Agent.start(analyst, { input: "x" })
      const store = yield* TokenStore.TokenStore
      const listening = yield* Latch.make()
      const woken = yield* store.wakeups.pipe(
        Stream.tap(() => listening.open),
        Stream.filter(({ _tag }) => _tag === "Run"),
        Stream.runHead,
        Effect.forkChild
      )
      yield* listening.await
      assert.strictEqual((yield* ask(url, message("resp_unknown"))).status, 204)
      assert.strictEqual((yield* ask(url, message(Option.getOrThrow(started.responseId)))).status, 204)
      assert.deepStrictEqual(Option.getOrThrow(yield* Fiber.join(woken)), { _tag: "Run", runId: started.runId })
    }).pipe(Effect.scoped, Effect.provide([model, TokenStore.layerMemory]))
  )

  it.live("refuses a signature that does not fit, a body that was changed, and one that is too large", () =>
    Effect.gen(function* () {
      const url = yield* serving
      const { body, headers, method } = message("resp_1")
      const cases = [
        { method, body, headers: { ...headers, "webhook-signature": "v1,AAAA" } },
        { method, body: body.replace("resp_1", "resp_2"), headers },
        { method, body, headers: {} },
        { method, body: `${body}${" ".repeat(2 ** 20)}`, headers }
      ]
      for (const request of cases) {
        const answer = yield* ask(url, request)
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
        assert.notMatch(answer.body, /whsec|v1,|resp_/)
      }
    }).pipe(Effect.scoped, Effect.provide([model, TokenStore.layerMemory]))
  )

  it.live("asks for the event again if the store is away", () =>
    Effect.gen(function* () {
      const url = yield* serving
      const answer = yield* ask(url, message("resp_1"))
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.headers.get("retry-after"), "5")
      assert.notMatch(answer.body, /away"/)
    }).pipe(
      Effect.scoped,
      Effect.provide([model, changing(TokenStore.layerMemory, () => ({ read: () => Effect.fail(storeAway("read")) }))])
    )
  )
})
