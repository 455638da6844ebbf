/** Baton as a user has it: an agent over the bench's server, and a runtime with a model and a store. */
import { setting, storeOf } from "./stores.ts"

export const batonOver = async (kind: string) => {
  const { Agent } = await import("@effect-baton/core")
  const { OpenAiBackgroundModel, OpenAiClient } = await import("@effect-baton/openai")
  const { Layer, ManagedRuntime, Redacted } = await import("effect")
  const client = OpenAiClient.layer({ apiKey: Redacted.make("bench"), baseUrl: setting("BENCH_URL") })
  const model = OpenAiBackgroundModel.layer({ model: "bench" }).pipe(Layer.provide(client))
  return {
    agent: Agent.make("bench", { background: true }),
    runtime: ManagedRuntime.make(Layer.mergeAll(model, await storeOf(kind)))
  }
}
