// Guarantee 7: requests that are refused while the store cannot be told so. E and a number is a fault.
import { Agent } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type { AiError } from "effect/ai"
import { outage, slowAnswers } from "../support/faults.ts"
import { busy, type Model } from "../support/models.ts"
import { endOf, invalid, openings, overStore } from "../support/outcomes.ts"
import { begin, comes, done, has, paced, reading, ref, type Script, two } from "../support/processes.ts"
import { analyst, count } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { fail } = ScriptedModel

describe.each(stores)("over the $name store", ({ layer }) => {
  const over = overStore(layer)

  describe("a refusal", () => {
    const refused = (error: AiError.AiError): Script => [fail(error), ...paced]
    /** The store is away from shortly before the answer comes. */
    const awayAtTheAnswer =
      (away: Effect.Effect<unknown>) =>
      (inner: Model): Partial<Model> => ({
        create: (request) =>
          Stream.unwrap(Effect.as(Effect.andThen(Effect.delay(away, 300), Effect.sleep(1)), inner.create(request)))
      })

    for (const [verb, program] of openings) {
      for (const millis of [20, 1000]) {
        it.effect(`E7b: for good, while the store is away for ${millis} ms, is recorded: ${verb}`, () => {
          const { lasting, layer: store, state } = outage(layer)
          return Effect.gen(function* () {
            const [w0, w1] = yield* two()
            const first = yield* begin(w0, Effect.flip(program))
            assert.deepStrictEqual((yield* passing(Fiber.join(first), 10)).reason, invalid)
            assert.isAbove(state.failures, 0)
            assert.strictEqual(yield* endOf, "failed: refused")
            assert.deepStrictEqual((yield* done(w1, Effect.flip(reading))).reason, invalid)
            assert.strictEqual(yield* count("create"), 1)
          }).pipe(over(refused(invalid), awayAtTheAnswer(lasting(millis)), store))
        })
      }

      it.effect(
        `E7b: for now, while the store is away for 100 ms, is recorded, and the request sent again: ${verb}`,
        () => {
          const { lasting, layer: store, state } = outage(layer)
          return Effect.gen(function* () {
            const [w0, w1] = yield* two()
            const first = yield* begin(w0, Effect.exit(program))
            assert.strictEqual((yield* passing(Fiber.join(first), 10))._tag, "Success")
            assert.isAbove(state.failures, 0)
            assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
            assert.strictEqual(yield* count("create"), 2)
          }).pipe(over(refused(busy), awayAtTheAnswer(lasting(100)), store))
        }
      )

      it.effect(`E7b: whose record's answer is lost, is recorded: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer, ["record"])
        return Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, Effect.flip(program))
          yield* comes("Requested")
          yield* lasting(1000, "loses answers")
          assert.deepStrictEqual((yield* passing(Fiber.join(first), 10)).reason, invalid)
          assert.strictEqual(yield* endOf, "failed: refused")
        }).pipe(over(refused(invalid), slowAnswers(300), store))
      })

      it.effect(`E7b: that comes while the run is left and the store is away is recorded: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, program)
          yield* comes("Requested")
          yield* lasting(1000)
          yield* passing(Fiber.interrupt(first), 10)
          assert.isTrue(yield* has("Refused"))
          assert.deepStrictEqual((yield* done(w1, Effect.flip(reading))).reason, invalid)
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(refused(invalid), slowAnswers(300), store))
      })

      it.effect(`E7b: an intent whose answer is lost while the store is away is withdrawn: ${verb}`, () => {
        const { layer: store, state } = outage(layer, ["commit", "record"])
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const intent = w0.stop("commit Requested", "after", { lost: true })
          const first = yield* begin(w0, Effect.flip(program))
          yield* intent.reached
          state.store = "is away"
          yield* intent.goOn
          yield* elapse(1000)
          state.store = "works"
          assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "StoreFailed")
          assert.strictEqual(yield* done(w1, reading), "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, undefined, store))
      })
    }
  })
})
