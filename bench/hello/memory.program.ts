import { Agent, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { Effect, Layer, Redacted, Stream } from "effect"
import { stamp } from "../stamp.ts"

const analyst = Agent.make("analyst", { background: true })

const program = Agent.stream(analyst, { input: "flat:20" }).pipe(
  Stream.take(1),
  Stream.runForEach(() => Effect.sync(stamp))
)

const Client = OpenAiClient.layer({ apiKey: Redacted.make("bench"), baseUrl: process.env["BENCH_URL"] })

const Live = Layer.mergeAll(
  OpenAiBackgroundModel.layer({ model: "bench" }).pipe(Layer.provide(Client)),
  TokenStore.layerMemory
)

await program.pipe(Effect.provide(Live), Effect.runPromise)
