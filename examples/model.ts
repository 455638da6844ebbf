import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Config, Console, Context, Effect, Layer, Option, Redacted } from "effect"

/** The address of the sandbox on this machine that plays the model; none where OpenAI is asked. */
export class Sandbox extends Context.Service<Sandbox, Option.Option<string>>()("examples/Sandbox") {
  /** None when OPENAI_API_KEY is set, else the one at SANDBOX_URL, or one of the example's own. */
  static readonly layer = Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      if (Option.isSome(yield* Config.option(Config.Redacted("OPENAI_API_KEY")))) return Option.none()
      const given = yield* Config.option(Config.String("SANDBOX_URL"))
      yield* Console.log(
        `[on the sandbox${Option.isSome(given) ? ` at ${given.value}` : ""}: OPENAI_API_KEY is not set]`
      )
      if (Option.isSome(given)) return given
      const server = yield* Layer.build(Layer.orDie(ResponsesServer.layer({ pace: "5 millis" })))
      return Option.some(Context.get(server, ResponsesServer.ResponsesServer).url)
    })
  )

  /** That of a server in this process. */
  static readonly own = Layer.effect(
    Sandbox,
    Effect.map(ResponsesServer.ResponsesServer, ({ url }) => Option.some(url))
  )
}

/** The model behind `Sandbox`. */
export const modelOf = Layer.unwrap(
  Effect.gen(function* () {
    const sandbox = yield* Sandbox
    if (Option.isSome(sandbox)) {
      return OpenAiBackgroundModel.layer({ model: "sales-analyst" }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: sandbox.value }))
      )
    }
    const name = yield* Config.String("OPENAI_MODEL").pipe(Config.withDefault("gpt-5.2"))
    yield* Console.log(`[on OpenAI, ${name}]`)
    return OpenAiBackgroundModel.layer({ model: name }).pipe(Layer.provide(OpenAiClient.layerConfig()))
  })
)

/**
 * What the examples run on: OpenAI when OPENAI_API_KEY is set, and otherwise a sandbox on this machine, which needs
 * neither network nor account (the one at SANDBOX_URL, or one of the example's own).
 */
export const Model = Layer.provide(modelOf, Sandbox.layer)
