import { Agent, type AgentError, type TokenStore } from "@effect-baton/core"
import type { ScriptedModel } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { Effect, Layer, type Result } from "effect"
import { AiError } from "effect/ai"
import { aiError, type Model, modelWith } from "./models.ts"
import { reading, runId, task } from "./processes.ts"
import { analyst, type Services, stateOf } from "./runs.ts"

// What requests come to whose answers are refused, late or lost.

/** The provider is in trouble. */
export const unavailable = aiError(new AiError.InternalProviderError({ description: "503" }))
/** The provider refuses the request for good. */
export const invalid = aiError(new AiError.InvalidRequestError({ description: "400" }))

/** The verbs that open a response. */
const opening = {
  stream: reading,
  run: Effect.map(Agent.run(analyst, task), (response) => response.text),
  start: Effect.map(Agent.start(analyst, task), (response) => response.status)
}
type Opening = Effect.Effect<string, AgentError.AgentError, Services>
export const openings = Object.entries(opening) as ReadonlyArray<[keyof typeof opening, Opening]>

/** How the run ended. */
export const endOf = Effect.map(stateOf(runId), ({ ended }) =>
  ended === undefined ? undefined : ended.reason === undefined ? ended.status : `${ended.status}: ${ended.reason}`
)

export const failureOf = <A>(result: Result.Result<A, AgentError.AgentError>): AgentError.AgentError => {
  assert.strictEqual(result._tag, "Failure")
  return (result as Result.Failure<A, AgentError.AgentError>).failure
}

/** The error tells the response that was bought. */
export const tells = (error: AgentError.AgentError, responseId = "resp_1") => {
  assert.strictEqual(error.responseId, responseId, error.message)
  assert.include(error.message, `'${responseId}'`)
}

/** Provides a scripted model, some of whose operations may be changed, and this store unless another is given. */
export const overStore =
  (layer: Layer.Layer<TokenStore.TokenStore>) =>
  (
    script: Parameters<typeof ScriptedModel.layer>[0],
    change: (inner: Model) => Partial<Model> = () => ({}),
    store = layer
  ) =>
    Effect.provide(Layer.merge(modelWith(script, change), store))
