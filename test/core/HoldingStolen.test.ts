// Guarantee 6: how the holder of a run that another one steals learns of it, and stops. E and a number is a fault.
import { Agent, type AgentError, Run, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { begin, done, long, over, ref, runId, type Script, task, two } from "../support/processes.ts"
import { analyst, recordOf, type Services, textOf } from "../support/runs.ts"
import { atProvider, until } from "../support/schedule.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, incomplete, pause, text } = ScriptedModel
type Verb = Effect.Effect<unknown, AgentError.AgentError, Services>
const idOf = Run.RunId.make

describe.each(stores)("over the $name store", ({ layer }) => {
  describe("a run that is stolen", () => {
    const steal = Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const { record } = yield* store.acquire(idOf(runId), {
        owner: "thief",
        ttl: Duration.minutes(1),
        steal: true
      })
      return record
    })
    /** The store, whose writes take so long. */
    const slowly = (millis: number) =>
      changing(layer, (inner) => ({
        commit: (lease, commit) =>
          millis === 0 ? inner.commit(lease, commit) : Effect.delay(inner.commit(lease, commit), millis)
      }))
    /** An update every millisecond. */
    const fast: Script = [...Array.from({ length: 1500 }, () => [text("x"), pause("1 millis")]).flat(), completed]

    /** Who reads: `took` is called with each update. */
    const readers: ReadonlyArray<[string, (took: Effect.Effect<void>) => Verb]> = [
      ["stream", (took) => Stream.runForEach(Agent.stream(analyst, task), () => took)],
      [
        "stream, manually",
        (took) =>
          Stream.runForEach(Agent.stream(analyst, { ...task, acknowledge: "manual" }), ({ acknowledge }) =>
            Effect.andThen(took, acknowledge)
          )
      ],
      [
        "worker",
        (took) =>
          Effect.gen(function* () {
            yield* Agent.start(analyst, task)
            let end: Exit.Exit<void, AgentError.AgentError> | undefined
            const worker = Runs.worker([analyst], {
              concurrency: 1,
              startJitter: 0,
              handle: ({ updates }) =>
                Effect.onExit(
                  Stream.runForEach(updates, () => took),
                  (exit) => Effect.sync(() => void (end ??= exit))
                )
            })
            yield* Effect.scoped(
              Effect.andThen(
                Layer.build(worker),
                Effect.repeat(
                  Effect.delay(
                    Effect.sync(() => end !== undefined),
                    1
                  ),
                  { until: (is) => is }
                )
              )
            )
            if (end !== undefined && Exit.isFailure(end) && end.cause.reasons.some(({ _tag }) => _tag === "Fail")) {
              return yield* end
            }
            // The handle is interrupted when the lease is lost.
            assert.isTrue(end !== undefined && Exit.isFailure(end))
            return yield* Effect.interrupt
          })
      ]
    ]
    const isLost = (exit: Exit.Exit<unknown, AgentError.AgentError>, reader: string) => {
      if (reader === "worker" && Exit.hasInterrupts(exit)) return
      const error = Exit.findErrorOption(exit)
      assert.isTrue(error._tag === "Some" && error.value.reason._tag === "LeaseLost", `${reader}: ${String(exit)}`)
    }

    for (const write of [0, 100]) {
      for (const [reader, read] of readers) {
        it.effect(`E8: stops within one cadence and one write of ${write} ms: ${reader}`, () => {
          const slow = slowly(write)
          return Effect.gen(function* () {
            const [w0] = yield* two()
            let [updates, last] = [0, 0]
            const took = Effect.map(Clock.currentTimeMillis, (now) => {
              updates++
              last = now
            })
            const stale = yield* begin(w0, read(took))
            yield* until("20 updates", Effect.as(elapse(1, 1), updates >= 20).pipe(Effect.map(() => updates >= 20)))
            const record = yield* steal
            const stolen = yield* Clock.currentTimeMillis
            const exit = yield* passing(Fiber.await(stale), 1)
            assert.isAtMost(last - stolen, 200 + write + 1)
            isLost(exit, reader)
            const after = yield* recordOf(runId)
            assert.deepStrictEqual([after.ordinal, after.journal.length], [record.ordinal, record.journal.length])
            assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
          }).pipe(over(fast, slow))
        })
      }
    }

    const well: Script = [text("a"), pause("1 second"), text("b"), completed]
    const early: Script = [text("a"), pause("1 second"), text("b"), incomplete()]
    for (const [end, script, write] of [
      ["well", well, 0],
      ["well", well, 100],
      ["incomplete", early, 0],
      ["incomplete", early, 100]
    ] as const) {
      for (const [reader, read] of readers) {
        it.effect(
          `E8: does not end ${end} for who lost it, though its last update was delivered, with writes of ${write} ms: ${reader}`,
          () =>
            Effect.gen(function* () {
              const [w0, w1] = yield* two()
              let updates = 0
              const took = Effect.sync(() => void updates++)
              const stale = yield* begin(w0, read(took))
              yield* elapse(600, 10)
              assert.isAbove(updates, 0)
              const record = yield* steal
              const exit = yield* passing(Fiber.await(stale), 10)
              isLost(exit, reader)
              const after = yield* recordOf(runId)
              assert.deepStrictEqual([after.ordinal, after.journal.length], [record.ordinal, record.journal.length])
              yield* elapse(61_000, 500)
              assert.strictEqual(textOf(yield* done(w1, Stream.runCollect(Agent.resume(analyst, ref)))), "b")
            }).pipe(over(script, slowly(write)))
        )
      }

      it.effect(`E8: does not end ${end} for who lost it, with writes of ${write} ms: run`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const stale = yield* begin(w0, Agent.run(analyst, task))
          yield* elapse(600, 10)
          yield* steal
          isLost(yield* passing(Fiber.await(stale), 10), "run")
        }).pipe(over(script, slowly(write)))
      )
    }

    it.effect("E8: stops at its next renewal, if it has nothing to write", () =>
      Effect.gen(function* () {
        const [w0] = yield* two()
        const stale = yield* begin(w0, Effect.flip(Stream.runDrain(Agent.stream(analyst, task))))
        yield* elapse(1000)
        yield* steal
        const stolen = yield* Clock.currentTimeMillis
        const error = yield* passing(Fiber.join(stale), 100)
        assert.strictEqual(error.reason._tag, "LeaseLost")
        assert.isAtMost((yield* Clock.currentTimeMillis) - stolen, 10_100)
      }).pipe(over(long, layer))
    )
  })
})
