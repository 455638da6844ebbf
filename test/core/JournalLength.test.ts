// Guarantee 7: the journal of a run stays short, however often it is asked to run (E17).
import { Agent, type AgentError, RunEngine, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { AiError } from "effect/ai"
import { aiError, inMemory, modelWith } from "../support/models.ts"
import { analyst, count, reasonOf, recordOf, stateOf, statusOf } from "../support/runs.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const script = [text("a"), pause("1 second"), text("b"), completed]

describe("a journal", () => {
  it.effect("E17: does not grow for ever with requests that are refused for now", () => {
    const busy = modelWith(script, (inner) => ({
      create: (request) =>
        Stream.unwrap(Effect.as(inner.submit(request), Stream.fail(aiError(new AiError.RateLimitError({})))))
    }))
    return Effect.gen(function* () {
      let reason: AgentError.AgentError["reason"] | undefined
      for (let i = 0; i < 100; i++) reason = yield* reasonOf(Agent.run(analyst, input))
      const { journal } = yield* recordOf("r")
      assert.strictEqual(yield* count("submit"), RunEngine.maxTries)
      assert.strictEqual(journal.length, 2 * RunEngine.maxTries + 1)
      assert.strictEqual(yield* statusOf("r"), "failed")
      assert.strictEqual(reason?._tag === "AiError" && reason.reason._tag, "RateLimitError")
    }).pipe(Effect.provide(Layer.merge(busy, TokenStore.layerMemory)))
  })

  it.effect("E17: does not grow for ever with requests that are never answered, if they are sent again", () =>
    Effect.gen(function* () {
      let reason: AgentError.AgentError["reason"] | undefined
      for (let i = 0; i < 100; i++) reason = yield* reasonOf(Agent.run(analyst, input))
      assert.strictEqual(yield* count("create"), RunEngine.maxTries)
      assert.strictEqual((yield* recordOf("r")).journal.length, RunEngine.maxTries + 1)
      assert.strictEqual(reason?._tag, "Unconfirmed")
      assert.strictEqual((yield* stateOf("r")).ended?.unresolved?.length, RunEngine.maxTries)
    }).pipe(
      Effect.provide(RunPolicy.layer({ onUnconfirmed: "restart" })),
      Effect.provide(inMemory(script, { confirms: false }))
    )
  )
})
