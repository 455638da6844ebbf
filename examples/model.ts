import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Config, Console, Context, Effect, Layer, Option, Redacted } from "effect"

/** The URL of the sandbox that plays the model. None if the environment names a provider. */
export class Sandbox extends Context.Service<Sandbox, Option.Option<string>>()("examples/Sandbox") {
  /** None if OPENAI_API_KEY or OPENAI_BASE_URL is set. Otherwise it starts a server, which ends with this process. */
  static readonly layer = Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      for (const variable of ["OPENAI_API_KEY", "OPENAI_BASE_URL"]) {
        if ((yield* Config.String(variable).pipe(Config.withDefault(""))) !== "") return Option.none()
      }
      yield* Console.log("[on a sandbox in this process: OPENAI_API_KEY is not set]")
      const server = yield* Layer.build(Layer.orDie(ResponsesServer.layer({ pace: "5 millis" })))
      return Option.some(Context.get(server, ResponsesServer.ResponsesServer).url)
    })
  )

  /** The server that is provided to this layer. */
  static readonly own = Layer.effect(
    Sandbox,
    Effect.map(ResponsesServer.ResponsesServer, ({ url }) => Option.some(url))
  )
}

/** The environment that leads another process to the same provider. */
export const environmentOf = (sandbox: Option.Option<string>): Readonly<Record<string, string>> =>
  Option.match(sandbox, {
    onNone: () => ({}),
    onSome: (url) => ({ OPENAI_BASE_URL: url, OPENAI_API_KEY: "sandbox", OPENAI_MODEL: "sales-analyst" })
  })

/** The model at the sandbox, or at the provider that the environment names. */
export const modelOf = Layer.unwrap(
  Effect.gen(function* () {
    const sandbox = yield* Sandbox
    if (Option.isSome(sandbox)) {
      return OpenAiBackgroundModel.layer({ model: "sales-analyst" }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: sandbox.value }))
      )
    }
    const model = yield* Config.String("OPENAI_MODEL").pipe(Config.withDefault("gpt-5.2"))
    const at = yield* Config.String("OPENAI_BASE_URL").pipe(Config.withDefault("OpenAI"))
    yield* Console.log(`[on ${model} at ${at}]`)
    return OpenAiBackgroundModel.layer({ model }).pipe(Layer.provide(OpenAiClient.layerConfig()))
  })
)

/**
 * The model of the examples: OpenAI if OPENAI_API_KEY is set (or the server at OPENAI_BASE_URL), and otherwise a sandbox in
 * this process, which needs neither a network nor an account.
 */
export const Model = Layer.provide(modelOf, Sandbox.layer)
