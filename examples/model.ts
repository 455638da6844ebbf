import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/testing"
import { Config, Console, Effect, Layer, Option, Redacted } from "effect"

/**
 * What the examples run on: OpenAI when OPENAI_API_KEY is set, and otherwise a sandbox on this machine, which needs
 * neither network nor account (the one at SANDBOX_URL, or one of the example's own).
 */
export const Model = Layer.unwrap(
  Effect.gen(function* () {
    const name = yield* Config.String("OPENAI_MODEL").pipe(Config.withDefault("gpt-5.2"))
    if (Option.isSome(yield* Config.option(Config.Redacted("OPENAI_API_KEY")))) {
      yield* Console.log(`[on OpenAI, ${name}]`)
      return OpenAiBackgroundModel.layer({ model: name }).pipe(Layer.provide(OpenAiClient.layerConfig()))
    }
    const sandbox = yield* Config.option(Config.String("SANDBOX_URL"))
    yield* Console.log(
      `[on the sandbox${Option.isSome(sandbox) ? ` at ${sandbox.value}` : ""}: OPENAI_API_KEY is not set]`
    )
    const client = (baseUrl: string) => OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl })
    return OpenAiBackgroundModel.layer({ model: "sales-analyst" }).pipe(
      Layer.provide(
        Option.isSome(sandbox)
          ? client(sandbox.value)
          : Layer.unwrap(Effect.map(ResponsesServer.ResponsesServer, (server) => client(server.url))).pipe(
              Layer.provide(Layer.orDie(ResponsesServer.layer({ pace: "5 millis" })))
            )
      )
    )
  })
)
