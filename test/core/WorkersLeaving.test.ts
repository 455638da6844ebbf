// What workers leave to others: their runs when they stop, and runs that their starters have yet to open.
import { Agent, Run, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Stream } from "effect"
import { analyst, recordOf } from "../support/runs.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { attemptsOf, collected, launch, leaveBegun, quick, stageOf, twenty, twentyTexts } from "../support/workers.ts"

const { completed, pause, text } = ScriptedModel

describe.each(stores)("workers ($name)", ({ layer }) => {
  const over = Layer.merge(ScriptedModel.layer(twenty), layer)

  it.effect("leave their runs to others at once when they stop, with nothing repeated and no attempt counted", () =>
    Effect.gen(function* () {
      const ids = ["r-1", "r-2", "r-3", "r-4"]
      for (const runId of ids) yield* leaveBegun(runId)
      const { add, texts } = collected()
      const attempts: Array<number> = []
      const worker = Runs.worker([analyst], {
        ...quick,
        handle: ({ attempt, runId, updates }) => {
          attempts.push(attempt)
          // A consumer that takes its time with each update is let finish it.
          return Stream.runForEach(updates, (update) =>
            Effect.andThen(
              Effect.sleep("300 millis"),
              Effect.sync(() => add(runId, update.text))
            )
          )
        }
      })
      let close = yield* launch(worker)
      for (let i = 0; i < 8; i++) {
        yield* elapse(2000 + i * 70, 10)
        const held = yield* Effect.forEach(ids, recordOf)
        const next = yield* launch(worker)
        const [duration] = yield* passing(Effect.timed(close), 10)
        assert.isAtMost(Duration.toMillis(duration), 1000)
        for (const { lease: before, runId } of held) {
          const { attempts: counted, lease, parked } = yield* recordOf(runId)
          assert.isNull(parked)
          assert.isAtMost(counted.length, 1)
          // Free, or already in the hands of the next.
          assert.isTrue(lease === null || lease.fence > (before?.fence ?? 0))
        }
        close = next
      }
      yield* elapse(60_000, 100)
      for (const runId of ids) assert.strictEqual(`0 ${texts.get(runId)}`, twentyTexts)
      assert.deepStrictEqual(new Set(attempts), new Set([1]))
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("count no attempt against a run that says nothing while they come and go", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      for (let i = 0; i < 7; i++) {
        const close = yield* launch(
          Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
        )
        yield* elapse(3000, 100)
        assert.strictEqual(yield* attemptsOf("r"), 1)
        yield* passing(close)
        assert.strictEqual(yield* attemptsOf("r"), 0)
      }
      assert.strictEqual(yield* stageOf("r"), "unfinished")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer([text("a"), pause("1 hour"), completed]), layer)))
  )

  it.effect("lose nothing and finish nothing when handle is in the middle of its work at the end", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      let saves = 0
      const worker = Runs.worker([analyst], {
        ...quick,
        handle: ({ updates }) =>
          Effect.andThen(Stream.runDrain(updates), Effect.sleep("1 minute")).pipe(
            Effect.andThen(Effect.sync(() => void saves++))
          )
      })
      const first = yield* launch(worker)
      yield* elapse(40_000, 100)
      const [duration] = yield* passing(Effect.timed(first))
      assert.isAtMost(Duration.toMillis(duration), 6000)
      assert.strictEqual(saves, 0)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      const second = yield* launch(worker)
      yield* elapse(70_000, 100)
      assert.strictEqual(saves, 1)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(second)
    }).pipe(Effect.provide(over))
  )

  it.effect("leave a run to its starter, and park it when the starter is gone without having opened it", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      const { digest = "" } = yield* Effect.andThen(leaveBegun("other"), recordOf("other"))
      yield* store.create(
        { runId: Run.RunId.make("r"), agent: "analyst", digest, background: true, session: {} },
        { due: Duration.minutes(1) }
      )
      yield* elapse(30_000, 100)
      assert.isNull((yield* recordOf("r")).lease)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 100)
      assert.match((yield* recordOf("r")).parked?.reason ?? "", /never opened/)
      assert.strictEqual(yield* attemptsOf("r"), 0)
      // Its starter is back, with the input, and opens it: workers may have it again.
      yield* leaveBegun("r")
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("leave a run to a starter that is slow", () => {
    // Workers claim what they take.
    const slow = changing(layer, (inner) => ({
      acquire: (id, options) => Effect.delay(inner.acquire(id, options), "20 seconds")
    }))
    return Effect.gen(function* () {
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      const starting = yield* Effect.forkChild(Agent.start(analyst, { input: "Hello", runId: "r" }))
      yield* elapse(10_000, 100)
      const { handled, parked } = yield* recordOf("r")
      assert.deepStrictEqual({ handled, parked }, { handled: false, parked: null })
      yield* passing(Fiber.join(starting), 100)
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(twenty), slow)))
  })
})
