// Guarantee 9: stops that must be carried out, though they are refused, late or lost. E and a number is a fault.
import { Agent, type AgentError, BackgroundModel } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream } from "effect"
import { AiError } from "effect/ai"
import { logging, outage } from "../support/faults.ts"
import { aiError, busy, type Model } from "../support/models.ts"
import { endOf, overStore, unavailable } from "../support/outcomes.ts"
import {
  begin,
  comes,
  done,
  has,
  inTurn,
  long,
  reading,
  ref,
  resuming,
  runId,
  task,
  two,
  working
} from "../support/processes.ts"
import { analyst, count, type Services, stateOf } from "../support/runs.ts"
import { atProvider, leasesEnd, leaseTime, note, type Operation, until } from "../support/schedule.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, text } = ScriptedModel

describe.each(stores)("over the $name store", ({ layer }) => {
  const over = overStore(layer)

  describe("a stop", () => {
    /** Requests that answer like this, in this order, and then as they should. */
    const refusing = (operation: "cancel", ...answers: ReadonlyArray<AiError.AiError | "gone" | "silence">) => {
      let next = 0
      return (inner: Model): Partial<Model> => ({
        [operation]: (responseId: string) =>
          Effect.suspend((): ReturnType<Model["cancel"]> => {
            const answer = answers[next++]
            return answer === undefined
              ? inner.cancel(responseId)
              : answer === "silence"
                ? Effect.never
                : Effect.delay(
                    Effect.fail(answer === "gone" ? new BackgroundModel.ResponseGone({ responseId }) : answer),
                    20
                  )
          })
      })
    }
    const answers: ReadonlyArray<[string, ReadonlyArray<AiError.AiError | "gone" | "silence">]> = [
      ["503", [unavailable]],
      ["429 and 503", [busy, unavailable]],
      ["503 for minutes", Array.from({ length: 30 }, () => unavailable)],
      ["401, by a wrong key", [aiError(new AiError.AuthenticationError({ kind: "InvalidKey" }))]],
      ["404, by a gateway", ["gone"]],
      ["silence", ["silence"]]
    ]
    const isStopped = Effect.gen(function* () {
      yield* until(
        "resp_1 is cancelled",
        Effect.map(atProvider("resp_1"), (status) => status === "cancelled")
      )
      yield* comes("CancelSent")
      yield* comes("Ended")
      assert.strictEqual(yield* endOf, "cancelled")
    })
    /** Who goes on with the run. */
    const goingOn: ReadonlyArray<[string, Effect.Effect<unknown, AgentError.AgentError, Services>]> = [
      ["a worker", working],
      ["resume", resuming],
      ["stream", reading],
      ["run", Agent.run(analyst, task)]
    ]

    for (const [what, given] of answers) {
      it.effect(`E3a: is refused with ${what}: the holder sends it again`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, Effect.flip(reading))
          yield* comes("Accepted")
          yield* note(runId, { _tag: "CancelRequested" })
          yield* isStopped
          assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "RunCancelled")
        }).pipe(over(long, refusing("cancel", ...given)))
      )

      it.effect(`E3a: is refused with ${what}: a worker sends it again`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          yield* note(runId, { _tag: "CancelRequested" })
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, refusing("cancel", ...given)))
      )

      it.effect(`E3a: is refused with ${what}: who asked for it sends it again, or a worker`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          yield* done(w0, Effect.exit(Agent.cancel(analyst, { ...ref, wait: false })))
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, refusing("cancel", ...given)))
      )
    }

    it.effect("E3a: is refused: it is sent again while the run that asked for it is left", () =>
      Effect.gen(function* () {
        const [w0] = yield* two()
        const stream = Agent.stream(analyst, { ...task, onInterrupt: "cancel" })
        const first = yield* begin(w0, Stream.runDrain(stream))
        yield* comes("Accepted")
        yield* passing(Fiber.interrupt(first))
        assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
        assert.isTrue(yield* has("CancelSent"))
      }).pipe(over(long, refusing("cancel", unavailable)))
    )

    it.effect("E3a: is taken, and the store refuses to record that: it is not sent without end", () => {
      const { layer: store, state } = outage(layer, ["record"])
      return Effect.gen(function* () {
        const [w0] = yield* two()
        const first = yield* begin(w0, Effect.flip(reading))
        yield* comes("Accepted")
        yield* note(runId, { _tag: "CancelRequested" })
        state.kind = "denied"
        state.store = "is away"
        assert.strictEqual((yield* passing(Fiber.join(first), 1000)).reason._tag, "RunCancelled")
        assert.strictEqual(yield* count("cancel"), 1)
      }).pipe(over(long, undefined, store))
    })

    it.effect("E3a: is refused for a response that nobody waits for: it is sent again", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two({ onUnconfirmed: "restart" })
        const request = w0.stop("model.create", "after")
        yield* begin(w0, Effect.exit(reading))
        yield* request.reached
        yield* w0.stall
        yield* leasesEnd
        assert.strictEqual(yield* done(w1, reading), "a")
        yield* request.goOn
        yield* begin(w1, working)
        yield* until(
          "resp_1 is cancelled",
          Effect.map(atProvider("resp_1"), (status) => status === "cancelled")
        )
      }).pipe(over(inTurn(long, [text("a"), completed]), refusing("cancel", unavailable)))
    )

    for (const [who, program] of goingOn) {
      it.effect(`E3b: is sent by ${who}, if who asked for it died`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          const cancel = w0.stop("model.cancel", "before")
          yield* begin(w0, Agent.cancel(analyst, ref))
          yield* cancel.reached
          yield* w0.die
          assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
          yield* begin(w1, Effect.exit(program))
          yield* isStopped
        }).pipe(over(long))
      )
    }

    const moments: ReadonlyArray<[Operation, "before" | "after"]> = [
      ["record CancelRequested", "after"],
      ["model.cancel", "before"],
      ["model.cancel", "after"],
      ["record CancelSent", "before"],
      ["record CancelSent", "after"],
      ["model.retrieve", "before"],
      ["model.retrieve", "after"]
    ]
    for (const [operation, where] of moments) {
      it.effect(`E3c: is carried out, if who asked for it is interrupted ${where} '${operation}'`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          const stop = w0.stop(operation, where)
          const canceller = yield* begin(w0, Agent.cancel(analyst, ref))
          yield* stop.reached
          const interrupted = yield* Effect.forkDetach(Fiber.interrupt(canceller))
          yield* stop.goOn
          yield* passing(Fiber.join(interrupted))
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long))
      )
    }

    it.effect("E3c: is carried out by who holds the run, though who asked for it is interrupted", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const first = yield* begin(w0, Effect.flip(reading))
        yield* comes("Accepted")
        const stop = w1.stop("model.cancel", "before")
        const canceller = yield* begin(w1, Agent.cancel(analyst, ref))
        yield* stop.reached
        yield* passing(Fiber.interrupt(canceller))
        yield* isStopped
        assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "RunCancelled")
      }).pipe(over(long))
    )

    const stalls = { onStall: "cancel", maxSilence: Duration.seconds(10) } as const
    const following: ReadonlyArray<[string, Effect.Effect<unknown, AgentError.AgentError, Services>]> = [
      ["stream", reading],
      ["run", Agent.run(analyst, task)],
      ["result", Effect.andThen(Agent.start(analyst, task), Agent.result(analyst, ref))],
      ["resume, polled", Effect.andThen(Agent.start(analyst, task), resuming)]
    ]
    for (const [verb, program] of following) {
      const unstreamed = (inner: Model): Partial<Model> =>
        verb === "resume, polled" ? { capabilities: { ...inner.capabilities, resume: false } } : {}

      it.effect(`E3d: of a run that stalled is refused with 503: it is sent again: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two(stalls)
          assert.strictEqual((yield* done(w0, Effect.flip(program))).reason._tag, "RunStalled")
          assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, (inner) => ({ ...unstreamed(inner), ...refusing("cancel", unavailable)(inner) })))
      )

      it.effect(`E3d: of a run that stalled is refused until it is left: a worker sends it: ${verb}`, () => {
        const refused = Array.from({ length: 8 }, () => unavailable)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two(stalls)
          assert.strictEqual((yield* done(w0, Effect.flip(program))).reason._tag, "RunStalled")
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, (inner) => ({ ...unstreamed(inner), ...refusing("cancel", ...refused)(inner) })))
      })

      it.effect(`E3d: of a run that stalled while the store is away for a second: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two(stalls)
          const first = yield* begin(w0, Effect.flip(program))
          yield* comes("Accepted")
          yield* elapse(9500)
          yield* lasting(1500)
          assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "RunStalled")
          yield* elapse(2000)
          assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, unstreamed, store))
      })
    }

    for (const kind of ["unavailable", "denied"] as const) {
      for (const [how, changes] of [
        ["of a run that stalled", stalls],
        ["of a stream that is interrupted", {}]
      ] as const) {
        it.effect(`E3d: ${how} cannot be recorded (${kind}): the log tells it`, () => {
          const { layer: store, state } = outage(layer, ["record"])
          const { layer: logger, lines } = logging()
          return Effect.gen(function* () {
            const [w0] = yield* two(changes)
            const stream = Agent.stream(analyst, { ...task, onInterrupt: "cancel" })
            const first = yield* begin(w0, Effect.exit(Stream.runDrain(stream)))
            yield* comes("Accepted")
            state.kind = kind
            state.store = "is away"
            if (changes === stalls) yield* passing(Fiber.await(first))
            else yield* passing(Fiber.interrupt(first))
            assert.lengthOf(
              lines.filter((line) => line.startsWith("Error r resp_1 baton: a cancel could not be recorded")),
              1
            )
          }).pipe(over(long, undefined, store), Effect.provide(logger))
        })
      }
    }

    it.effect("E3d: of a foreground run that stalled: its connection is closed, and the run has ended", () =>
      Effect.gen(function* () {
        const [w0] = yield* two(stalls)
        const stream = Stream.runDrain(Agent.stream(analyst, { ...task, background: false }))
        yield* done(w0, Effect.flip(stream))
        assert.isTrue(yield* has("CancelRequested"))
        assert.strictEqual(
          yield* done(
            w0,
            Effect.map(Effect.flip(resuming), ({ reason }) => reason._tag)
          ),
          "RunCancelled"
        )
      }).pipe(over(long))
    )

    for (const onUnconfirmed of ["fail", "restart"] as const) {
      for (const [operation, where] of [
        ["model.create", "before"],
        ["model.create", "after"],
        ["commit Requested", "after"]
      ] as const) {
        it.effect(
          `E3e: of a run whose opener died ${where} '${operation}' (${onUnconfirmed}): it does not end as cancelled`,
          () =>
            Effect.gen(function* () {
              const [w0, w1] = yield* two({ onUnconfirmed })
              const stop = w0.stop(operation, where)
              yield* begin(w0, Effect.exit(reading))
              yield* stop.reached
              yield* w0.die
              const sent = yield* count("create")
              yield* done(w1, Agent.cancel(analyst, { ...ref, wait: false }))
              assert.isUndefined(yield* endOf)
              yield* elapse(2 * Duration.toMillis(leaseTime), 1000)
              yield* begin(w1, working)
              yield* comes("Ended")
              assert.strictEqual(yield* endOf, "failed: unconfirmed")
              assert.strictEqual((yield* stateOf(runId)).ended?.unresolved?.length, 1)
              assert.strictEqual((yield* done(w1, Agent.cancel(analyst, ref))).status, "failed")
              assert.strictEqual(yield* count("create"), sent)
            }).pipe(over(long))
        )
      }
    }

    it.effect("E3e: of a run whose opener stands still: its late response is cancelled", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const request = w0.stop("model.create", "after")
        const first = yield* begin(w0, Effect.exit(reading))
        yield* request.reached
        yield* w0.stall
        yield* leasesEnd
        assert.strictEqual((yield* done(w1, Agent.cancel(analyst, ref))).status, "failed")
        yield* request.goOn
        yield* passing(Fiber.await(first))
        yield* begin(w1, working)
        yield* until(
          "resp_1 is cancelled",
          Effect.map(atProvider("resp_1"), (status) => status === "cancelled")
        )
        assert.strictEqual(yield* endOf, "failed: unconfirmed")
      }).pipe(over(long))
    )
  })
})
