// A base URL without the path of the API is answered with 404: the error says what the client expects.
import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { answers, heard, key, reasonOf, request } from "./support.ts"

describe("a 404", () => {
  const invalidUrl = {
    message: "Invalid URL (POST /responses)",
    type: "invalid_request_error",
    param: null,
    code: null
  }

  const errorOf = Effect.fnUntraced(function* (baseUrl: string, body: unknown) {
    const model = yield* Effect.provide(
      BackgroundModel,
      Layer.provide(
        OpenAiBackgroundModel.layer({ model: "gpt-test" }),
        OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl, fetch: answers(404, body) })
      )
    )
    const { error } = yield* heard(model.create(request()))
    assert.strictEqual(reasonOf(error)?._tag, "InvalidRequestError")
    return error?.message ?? ""
  })

  it.effect.each([
    ["an error of the API", { error: invalidUrl }],
    ["another JSON", { detail: "Not Found" }],
    ["a text", "404 page not found"],
    ["a long page", "x".repeat(5000)],
    ["nothing", ""]
  ])("of a base URL without /v1 says what is expected, if the body is %s", ([, body]) =>
    Effect.gen(function* () {
      const message = yield* errorOf(`https://gateway.test/${key}?sig=1234567890#there`, body)
      assert.include(message, "Check the base URL, 'https://gateway.test/<redacted>'")
      assert.include(message, "it must be the URL before '/responses', and that usually ends in '/v1'")
      assert.notInclude(message, key)
      assert.notInclude(message, "1234567890")
    })
  )

  it.effect("keeps what the server said", () =>
    Effect.gen(function* () {
      assert.include(yield* errorOf("https://gateway.test", { error: invalidUrl }), "Invalid URL (POST /responses)")
      assert.include(yield* errorOf("https://gateway.test", "404 page not found"), "404 page not found")
    })
  )

  it.effect("that cannot be about the base URL does not speak of it", () =>
    Effect.gen(function* () {
      const unknown = {
        error: { ...invalidUrl, message: "The model 'gpt-test' does not exist", code: "model_not_found" }
      }
      for (const [baseUrl, body] of [
        ["https://gateway.test/v1", { error: invalidUrl }],
        ["https://gateway.test/openai/v1/", { error: invalidUrl }],
        ["https://gateway.test", unknown]
      ] as const) {
        assert.notInclude(yield* errorOf(baseUrl, body), "base URL")
      }
    })
  )

  it.effect("of Azure, whose base URL is made from the endpoint, does not speak of it", () =>
    Effect.gen(function* () {
      const model = yield* Effect.provide(
        BackgroundModel,
        Layer.provide(
          OpenAiBackgroundModel.layer({ model: "gpt-test" }),
          OpenAiClient.layerAzure({
            endpoint: "https://acme.openai.azure.com",
            apiVersion: "2025-04-01-preview",
            apiKey: Redacted.make(key),
            fetch: answers(404, { error: { ...invalidUrl, message: "Resource not found" } })
          })
        )
      )
      const { error } = yield* heard(model.create(request()))
      assert.include(error?.message, "Resource not found")
      assert.notInclude(error?.message, "base URL")
    })
  )

  it.effect("of a response that is gone is still ResponseGone", () =>
    Effect.gen(function* () {
      const body = { error: { ...invalidUrl, message: "Response with id 'resp_1' not found.", param: "id" } }
      const model = yield* Effect.provide(
        BackgroundModel,
        Layer.provide(
          OpenAiBackgroundModel.layer({ model: "gpt-test" }),
          OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: "https://gateway.test", fetch: answers(404, body) })
        )
      )
      assert.strictEqual((yield* Effect.flip(model.retrieve("resp_1")))._tag, "ResponseGone")
    })
  )
})
