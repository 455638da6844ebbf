import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { Config, Effect, Layer, Redacted } from "effect"

/** The model that children use: a sandbox in the process of the test. */
export const Model = Layer.unwrap(
  Effect.gen(function* () {
    const baseUrl = yield* Config.String("SANDBOX_URL")
    const model = yield* Config.String("MODEL")
    return OpenAiBackgroundModel.layer({ model }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl }))
    )
  })
)
