// A redirect may lead anywhere: no header follows it (C14).
import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { heard, key, reasonOf, request, response, serve, type Server } from "./support.ts"

const secret = "header-secret-0123456789"

/** A model over a server, by OpenAI's client or Azure's, with a header of its own that is a secret. */
const models = (server: Server) => {
  const headers = { "x-gateway-key": Redacted.make(secret) }
  const apiKey = Redacted.make(key)
  const endpoint = server.url.replace(/\/v1$/, "")
  return [
    OpenAiClient.layer({ apiKey, baseUrl: server.url, headers }),
    OpenAiClient.layerAzure({ apiKey, endpoint, headers }),
    OpenAiClient.layerAzure({ apiKey, endpoint, headers, apiVersion: "2025-04-01-preview" })
  ].map((client) => Layer.provide(OpenAiBackgroundModel.layer({ model: "gpt-test" }), client))
}

describe("a redirect (C14)", () => {
  it.live.each([301, 302, 307, 308])(
    "%s to another origin is not followed, and the error says where it led",
    (status) =>
      Effect.gen(function* () {
        const elsewhere = yield* serve((_, outgoing) => void outgoing.writeHead(200).end(JSON.stringify(response())))
        const location = `${elsewhere.url}/responses?token=${secret}`
        const server = yield* serve((_, outgoing) => void outgoing.writeHead(status, { location }).end())
        let requests = 0
        for (const layer of models(server)) {
          const model = yield* Effect.provide(BackgroundModel, layer)
          const errors = [
            (yield* heard(model.create(request()))).error,
            yield* Effect.flip(model.submit(request())),
            yield* Effect.flip(Stream.runDrain(model.resume("resp_1", {}))),
            yield* Effect.flip(model.retrieve("resp_1")),
            yield* Effect.flip(model.cancel("resp_1")),
            yield* Effect.flip(model.remove("resp_1"))
          ]
          requests += errors.length
          for (const error of errors) {
            assert.strictEqual(error?._tag, "AiError")
            assert.strictEqual(reasonOf(error)?._tag, "InvalidRequestError")
            assert.isFalse(reasonOf(error)?.isRetryable)
            assert.include(error?.message, `a redirect (${status}) to ${elsewhere.url}/responses`)
            assert.include(error?.message, "set it as the base URL")
            assert.notInclude(String(error) + JSON.stringify(error), secret)
          }
        }
        assert.strictEqual(server.seen.length, requests)
        assert.strictEqual(elsewhere.seen.length, 0)
      })
  )

  it.live("303 may stand for a request that was taken", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => void outgoing.writeHead(303, { location: "/v1/done" }).end())
      const [layer] = models(server)
      const model = yield* Effect.provide(BackgroundModel, layer!)
      assert.strictEqual((yield* heard(model.create(request()))).error?._tag, "CreateUnconfirmed")
      assert.strictEqual((yield* Effect.flip(model.submit(request())))._tag, "CreateUnconfirmed")
      assert.strictEqual(server.seen.length, 2)
    })
  )
})
