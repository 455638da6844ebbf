// Guarantees 4 and 9 where a provider refuses what is asked of it about a run that it has: a cancel, or a look.
import { Agent, type BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer } from "effect"
import { AiError } from "effect/ai"
import { aiError, modelWith, unreachable } from "../support/models.ts"
import { analyst, stateOf, statusOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
type Model = BackgroundModel.BackgroundModel["Service"]
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

const over = (steps: ReadonlyArray<ScriptedModel.Step>, change: (inner: Model) => Partial<Model>) =>
  Effect.provide(Layer.merge(modelWith(steps, change), TokenStore.layerMemory))

describe("a cancel", () => {
  // In words that nobody knows.
  const refused = Effect.fail(aiError(new AiError.InvalidRequestError({ description: "Das geht nicht mehr." })))

  it.effect("P1: that is refused of a run that is over is settled by a look: the run is told as it ended", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(5000)
      const { status, text: said } = yield* passing(Agent.cancel(analyst, ref))
      assert.deepStrictEqual([status, said], ["completed", "ab"])
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
    }).pipe(over([text("a"), pause("1 second"), text("b"), completed], () => ({ cancel: () => refused })))
  )

  it.effect("P1: that is refused of a run that goes on is a failure", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(5000)
      const error = yield* passing(Effect.flip(Agent.cancel(analyst, ref)))
      assert.strictEqual(error.reason._tag === "AiError" && error.reason.reason._tag, "InvalidRequestError")
    }).pipe(over([text("a"), pause("1 hour"), text("b"), completed], () => ({ cancel: () => refused })))
  )

  it.effect("E10: while the provider is away for a minute, by who waits for the end: it is sent then", () => {
    let cancels = 0
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const { status } = yield* passing(Agent.cancel(analyst, ref), 100)
      assert.strictEqual(status, "cancelled")
      assert.isAbove(cancels, 1)
    }).pipe(
      over([text("a"), pause("1 hour"), completed], (inner) => {
        const reached = Effect.flatMap(Clock.currentTimeMillis, (now) =>
          now < 60_000 ? Effect.fail(unreachable) : Effect.void
        )
        return {
          retrieve: (responseId) => Effect.andThen(reached, inner.retrieve(responseId)),
          cancel: (responseId) =>
            Effect.suspend(() => {
              cancels++
              return Effect.andThen(reached, inner.cancel(responseId))
            })
        }
      })
    )
  })
})

describe("a look", () => {
  it.effect("that is refused for now is taken again as late as the provider says, and not later", () => {
    let looks = 0
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const [duration, { text: said }] = yield* passing(Effect.timed(Agent.result(analyst, ref)), 500)
      assert.strictEqual(said, "a")
      assert.strictEqual(looks, 2)
      assert.isAtLeast(Duration.toSeconds(duration), 600)
      assert.isAtMost(Duration.toSeconds(duration), 605)
    }).pipe(
      over([text("a"), completed], (inner) => ({
        retrieve: (responseId) =>
          Effect.suspend(() =>
            looks++ === 0
              ? Effect.fail(aiError(new AiError.RateLimitError({ retryAfter: Duration.minutes(10) })))
              : inner.retrieve(responseId)
          )
      }))
    )
  })
})
