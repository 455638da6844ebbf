// The same on Azure OpenAI. Set AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Config, Console, Effect, Layer, Option, Redacted, Stream } from "effect"
import { analyst, task } from "./analyst.ts"

const Azure = Layer.unwrap(
  Effect.gen(function* () {
    const endpoint = yield* Config.String("AZURE_OPENAI_ENDPOINT")
    const apiKey = yield* Config.Redacted("AZURE_OPENAI_API_KEY")
    const deployment = yield* Config.String("AZURE_OPENAI_DEPLOYMENT")
    yield* Console.log(`[on Azure OpenAI, deployment ${deployment}]`)
    return OpenAiBackgroundModel.layer({ model: deployment }).pipe(
      Layer.provide(OpenAiClient.layerAzure({ endpoint, apiKey }))
    )
  })
)

// Without an account the sandbox answers in Azure's place.
const Sandbox = Layer.unwrap(
  Effect.gen(function* () {
    const { origin } = yield* ResponsesServer.ResponsesServer
    yield* Console.log("[on the sandbox: AZURE_OPENAI_ENDPOINT is not set]")
    return OpenAiBackgroundModel.layer({ model: "sales-analyst" }).pipe(
      Layer.provide(OpenAiClient.layerAzure({ endpoint: origin, apiKey: Redacted.make("sandbox") }))
    )
  })
).pipe(Layer.provide(Layer.orDie(ResponsesServer.layer({ pace: "5 millis" }))))

const Model = Layer.unwrap(
  Effect.map(Config.option(Config.String("AZURE_OPENAI_ENDPOINT")), (endpoint) =>
    Option.isSome(endpoint) ? Azure : Sandbox
  )
)

const program = Effect.gen(function* () {
  yield* Agent.stream(analyst, { input: yield* task }).pipe(
    Stream.runForEach((update) => Effect.sync(() => process.stdout.write(update.text)))
  )
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
