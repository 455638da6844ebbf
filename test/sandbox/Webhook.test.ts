// The ends that the sandbox tells of, verified by the official SDK.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Redacted } from "effect"
import * as Http from "node:http"
import OpenAI from "openai"
import { listening } from "./hook.ts"
import { call } from "./sdk.ts"

const secret = `whsec_${Buffer.from("a secret of the sandbox's webhooks").toString("base64")}`

describe("webhooks", () => {
  it.live("each end of a background response is told once, signed, without its output", () =>
    Effect.gen(function* () {
      const { deliveries, url } = yield* listening
      yield* Effect.gen(function* () {
        const server = yield* ResponsesServer
        const client = new OpenAI({ baseURL: server.url, apiKey: "any", maxRetries: 0 })
        const verified = Effect.flatMap(Queue.take(deliveries), ({ body, headers }) =>
          call(() => client.webhooks.unwrap(body, headers, secret))
        )
        const done = yield* call(() => client.responses.create({ model: "echo", input: "Hello", background: true }))
        const event = yield* verified
        assert.strictEqual(event.type, "response.completed")
        assert.deepEqual<unknown>(event.data, { id: done.id })

        yield* server.setPace("1 hour")
        const long = yield* call(() => client.responses.create({ model: "lorem:5", input: "x", background: true }))
        yield* call(() => client.responses.cancel(long.id))
        assert.strictEqual((yield* verified).type, "response.cancelled")

        yield* server.setPace(0)
        yield* server.addTroubles({ _tag: "End", status: "failed" })
        yield* call(() => client.responses.create({ model: "echo", input: "Hello", background: true }))
        assert.strictEqual((yield* verified).type, "response.failed")

        const limited = { model: "lorem:50", input: "x", background: true, max_output_tokens: 20 }
        yield* server.setTroubles([])
        yield* call(() => client.responses.create(limited))
        assert.strictEqual((yield* verified).type, "response.incomplete")

        const { body, headers } = {
          body: "{}",
          headers: { "webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,x" }
        }
        yield* Effect.flip(call(() => client.webhooks.unwrap(body, headers, secret)))
      }).pipe(Effect.provide(ResponsesServer.layer({ webhook: { url, secret: Redacted.make(secret) } })))
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeHttpServer.layer(() => Http.createServer(), { host: "127.0.0.1", port: 0 }))
    )
  )
})
