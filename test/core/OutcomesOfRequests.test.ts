// Guarantee 7: responses that were bought, whose names come late, or cannot be recorded. E and a number is a fault.
import { Agent } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream } from "effect"
import { logging, outage, slowAnswers } from "../support/faults.ts"
import { failureOf, openings, overStore, tells } from "../support/outcomes.ts"
import {
  begin,
  comes,
  done,
  has,
  inTurn,
  long,
  paced,
  reading,
  ref,
  resuming,
  runId,
  task,
  two
} from "../support/processes.ts"
import { analyst, count, recordOf, stateOf } from "../support/runs.ts"
import { until } from "../support/schedule.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { failed } = ScriptedModel

describe.each(stores)("over the $name store", ({ layer }) => {
  const over = overStore(layer)

  describe("the name of a bought response", () => {
    const stealing = Agent.stream(analyst, { ...task, ifLeased: "steal" })

    for (const [verb, program] of openings) {
      it.effect(`E2a: comes after the run was stolen: it is recorded all the same: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, Effect.result(program))
          yield* elapse(150)
          const second = yield* done(w1, Effect.flip(Stream.runDrain(stealing)))
          assert.strictEqual(second.reason._tag, "Unconfirmed")
          const result = yield* passing(Fiber.join(first))
          // Who starts a run only has nothing more to write.
          if (verb !== "start") {
            assert.strictEqual(failureOf(result).reason._tag, "LeaseLost")
            tells(failureOf(result))
          }
          assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_1")
          assert.isNull((yield* recordOf(runId)).parked)
          assert.isTrue((yield* done(w1, reading)).endsWith("x"))
          assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, slowAnswers(300)))
      )

      it.effect(`E2a: comes after this process knows that it lost the run: the error tells it: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two({ leaseTime: Duration.millis(300) })
          const first = yield* begin(w0, Effect.result(program))
          yield* elapse(150)
          assert.strictEqual((yield* done(w1, Effect.flip(Stream.runDrain(stealing)))).reason._tag, "Unconfirmed")
          const error = failureOf(yield* passing(Fiber.join(first)))
          assert.strictEqual(error.reason._tag, "LeaseLost")
          tells(error)
          assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_1")
        }).pipe(over(paced, slowAnswers(1000)))
      )
    }

    it.effect("E2a: comes after the run was stolen from who opens it again: it is recorded all the same", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        yield* done(w0, Effect.flip(reading))
        const first = yield* begin(w0, Effect.result(Agent.retry(analyst, task)))
        yield* elapse(150)
        assert.strictEqual((yield* done(w1, Effect.flip(Stream.runDrain(stealing)))).reason._tag, "Unconfirmed")
        yield* passing(Fiber.join(first))
        assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_2")
        assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
        assert.strictEqual(yield* count("create"), 2)
      }).pipe(over(inTurn([failed("broken")], paced), slowAnswers(300)))
    )

    it.effect("E2a: comes after the run was stolen, unstreamed: it is recorded all the same", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const first = yield* begin(w0, Effect.result(Agent.start(analyst, task)))
        yield* elapse(150)
        assert.strictEqual((yield* done(w1, Effect.flip(Stream.runDrain(stealing)))).reason._tag, "Unconfirmed")
        yield* passing(Fiber.join(first))
        assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_1")
        assert.strictEqual(yield* count("submit"), 1)
        assert.strictEqual(yield* count("create"), 0)
      }).pipe(
        over(paced, (inner) => ({
          ...slowAnswers(300)(inner),
          capabilities: { ...inner.capabilities, resume: false }
        }))
      )
    )

    for (const [verb, program] of openings) {
      it.effect(`E2b: cannot be recorded for longer than a lease: it is in the error and the log: ${verb}`, () => {
        const { layer: store, state } = outage(layer)
        const { layer: logger, lines } = logging()
        return Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, Effect.result(program))
          yield* until(
            "the request is sent",
            Effect.map(has("Requested"), (is) => is)
          )
          state.store = "is away"
          const error = failureOf(yield* passing(Fiber.join(first), 500))
          assert.include(["StoreFailed", "LeaseLost"], error.reason._tag)
          tells(error)
          assert.isNotEmpty(lines.filter((line) => /^Error r resp_1 .*could not be recorded/.test(line)))
          state.store = "works"
          assert.isFalse(yield* has("Accepted"))
        }).pipe(over(paced, slowAnswers(300), store), Effect.provide(logger))
      })

      it.effect(`E2b: is refused by the store for good: it is in the error and the log: ${verb}`, () => {
        const { layer: store, state } = outage(layer, ["record"])
        const { layer: logger, lines } = logging()
        return Effect.gen(function* () {
          const [w0] = yield* two()
          state.kind = "denied"
          state.store = "is away"
          const error = failureOf(yield* done(w0, Effect.result(program)))
          assert.strictEqual(error.reason._tag, "StoreFailed")
          tells(error)
          assert.isNotEmpty(lines.filter((line) => /^Error r resp_1 .*could not be recorded/.test(line)))
        }).pipe(over(paced, slowAnswers(300), store), Effect.provide(logger))
      })

      for (const kind of ["unavailable", "denied"] as const) {
        it.effect(
          `E2b: cannot be recorded by who is interrupted meanwhile (${kind}): the log tells it: ${verb}`,
          () => {
            const { layer: store, state } = outage(layer, ["record", "release"])
            const { layer: logger, lines } = logging()
            return Effect.gen(function* () {
              const [w0] = yield* two()
              state.kind = kind
              state.store = "is away"
              const first = yield* begin(w0, program)
              yield* elapse(150)
              yield* passing(Fiber.interrupt(first), 500)
              assert.isNotEmpty(lines.filter((line) => /^Error r resp_1 .*could not be recorded/.test(line)))
            }).pipe(over(paced, slowAnswers(300), store), Effect.provide(logger))
          }
        )
      }

      it.effect(`E2b: cannot be recorded for a while by who is interrupted: it is waited for: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, program)
          yield* comes("Requested")
          yield* lasting(3000)
          yield* passing(Fiber.interrupt(first))
          assert.isTrue(yield* has("Accepted"))
          assert.isNull((yield* recordOf(runId)).lease)
          assert.strictEqual(yield* done(w1, reading), "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, slowAnswers(300), store))
      })

      it.effect(`E2b: is recorded, and the answer lost: nothing is bought twice: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer, ["record", "commit"])
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, Effect.result(program))
          yield* comes("Requested")
          yield* lasting(3000, "loses answers")
          assert.strictEqual((yield* passing(Fiber.join(first)))._tag, "Success")
          assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, slowAnswers(300), store))
      })
    }

    for (const [verb, program] of openings) {
      it.effect(`E2a: is waited for by who is interrupted: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, program)
          yield* elapse(150)
          yield* passing(Fiber.interrupt(first))
          assert.isTrue(yield* has("Accepted"))
          assert.isNull((yield* recordOf(runId)).lease)
        }).pipe(over(long, slowAnswers(3000)))
      )

      it.effect(`E2a: is not waited for without end by who is interrupted: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, program)
          yield* elapse(150)
          const [duration] = yield* passing(Effect.timed(Fiber.interrupt(first)), 500)
          assert.isAtMost(Duration.toSeconds(duration), 11)
        }).pipe(over(long, slowAnswers(3_600_000)))
      )
    }

    it.effect("E2b: stands in the error of every verb that finds it in the record", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const first = yield* begin(w0, Effect.result(reading))
        yield* comes("Accepted")
        for (const verb of [
          reading,
          resuming,
          Agent.run(analyst, task),
          Agent.retry(analyst, ref),
          Agent.remove(analyst, ref)
        ]) {
          const error = yield* done(w1, Effect.flip(verb))
          assert.strictEqual(error.reason._tag, "RunLeased")
          tells(error)
        }
        yield* passing(Fiber.interrupt(first))
      }).pipe(over(long))
    )
  })
})
