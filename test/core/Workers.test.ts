// How workers share runs: which of them takes which, what they write when, and what becomes of a run that fails handle.
import { Agent, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Metric, Schedule, Stream } from "effect"
import { analyst, count, recordOf, stateOf, statusOf } from "../support/runs.ts"
import { Recorder, recording, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { claimOne, collected, launch, leaveBegun, quick, stageOf, twenty, twentyTexts } from "../support/workers.ts"

const poet = Agent.make("poet", { background: true })

const failedAttempts = Effect.map(Metric.snapshot, (metrics) =>
  metrics.reduce(
    (sum, metric) =>
      metric.id === "baton.worker.attempts" && metric.attributes?.outcome === "failed" && metric.type === "Counter"
        ? sum + Number(metric.state.count)
        : sum,
    0
  )
)

describe.each(stores)("workers ($name)", ({ layer }) => {
  const over = Layer.merge(ScriptedModel.layer(twenty), layer)

  it.effect("take the runs of their agents that nobody advances, and bring each to its end once", () =>
    Effect.gen(function* () {
      for (const runId of ["r-1", "r-2", "r-3"]) yield* leaveBegun(runId)
      yield* leaveBegun("p-1", poet)
      const { add, texts } = collected()
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ runId, updates }) =>
            Stream.runForEach(updates, (update) => Effect.sync(() => add(runId, update.text)))
        })
      )
      yield* elapse(40_000, 100)
      assert.deepStrictEqual([...texts.keys()], ["r-1", "r-2", "r-3"])
      for (const read of texts.values()) assert.strictEqual(`0 ${read}`, twentyTexts)
      for (const runId of texts.keys()) assert.strictEqual(yield* stageOf(runId), "finished")
      assert.strictEqual(yield* stageOf("p-1"), "unfinished")
      assert.strictEqual(yield* count("create"), 4)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("have no more runs at once than they are told, those that were due first coming first", () =>
    Effect.gen(function* () {
      for (let i = 1; i <= 6; i++) {
        yield* leaveBegun(`r-${i}`)
        yield* elapse(10)
      }
      const order: Array<string> = []
      let now = 0
      let most = 0
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          concurrency: 2,
          handle: ({ runId, updates }) =>
            Effect.suspend(() => {
              order.push(runId)
              most = Math.max(most, ++now)
              return Stream.runDrain(updates)
            }).pipe(Effect.ensuring(Effect.sync(() => void now--)))
        })
      )
      yield* elapse(90_000, 100)
      assert.deepStrictEqual(order, ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"])
      assert.strictEqual(most, 2)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("share runs with each other, and none is advanced twice", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 12 }, (_, i) => `r-${i}`)
      for (const runId of ids) yield* leaveBegun(runId)
      const { add, texts } = collected()
      const closes = yield* Effect.forEach([1, 2, 3], () =>
        launch(
          Runs.worker([analyst], {
            ...quick,
            concurrency: 4,
            handle: ({ runId, updates }) =>
              Stream.runForEach(updates, (update) => Effect.sync(() => add(runId, update.text)))
          })
        )
      )
      yield* elapse(60_000, 200)
      assert.strictEqual(texts.size, 12)
      for (const read of texts.values()) assert.strictEqual(`0 ${read}`, twentyTexts)
      yield* Effect.forEach(closes, (close) => passing(close))
    }).pipe(Effect.provide(over))
  )

  it.effect("write that a run is finished only after handle has succeeded", () => {
    let saved = false
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const recorder = yield* Recorder
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ updates }) =>
            Effect.gen(function* () {
              yield* Stream.runDrain(updates)
              yield* Effect.sleep("1 minute")
              saved = true
            })
        })
      )
      let tooEarly = false
      recorder.onCommit = (commit) => {
        tooEarly ||= commit.facts?.some(({ _tag }) => _tag === "Delivered") === true && !saved
      }
      yield* elapse(60_000, 200)
      // The end itself is known as soon as it is seen.
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 200)
      assert.isTrue(saved)
      assert.isFalse(tooEarly)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(yield* statusOf("r"), "completed")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(twenty), recording(layer))))
  })

  it.effect("are done with a run that handle is done with, and see it to its end", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      let calls = 0
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ updates }) =>
            Effect.andThen(
              Effect.sync(() => calls++),
              Stream.runHead(updates)
            )
        })
      )
      yield* elapse(10_000, 100)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(30_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual(calls, 1)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("try a run again that failed handle, from its last position, and park it in the end", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      const before = yield* failedAttempts
      const { add, texts } = collected()
      const attempts: Array<number> = []
      const worker = (poison: string) =>
        Runs.worker([analyst], {
          ...quick,
          maxAttempts: 3,
          handle: ({ attempt, runId, updates }) => {
            attempts.push(attempt)
            return Stream.runForEach(updates, (update) =>
              update.text === poison
                ? Effect.fail(new Error("indigestible"))
                : Effect.sync(() => add(runId, update.text))
            )
          }
        })
      const close = yield* launch(worker("5 "))
      yield* elapse(60_000, 100)
      assert.deepStrictEqual(attempts, [1, 2, 3])
      assert.strictEqual((yield* failedAttempts) - before, 3)
      assert.match((yield* recordOf("r")).parked?.reason ?? "", /indigestible/)
      assert.strictEqual(texts.get("r"), "1 2 3 4 ")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Runs.list({ parked: true }))).map(({ runId }) => String(runId)),
        ["r"]
      )
      assert.deepStrictEqual(yield* Stream.runCollect(Runs.list({ parked: false })), [])
      yield* passing(close)

      const mended = yield* launch(worker("none"))
      yield* elapse(5000, 100)
      assert.strictEqual(yield* stageOf("r"), "parked")
      yield* passing(Runs.retry("r"))
      yield* elapse(60_000, 100)
      assert.strictEqual(`0 ${texts.get("r")}`, twentyTexts)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(mended)
    }).pipe(Effect.provide(over))
  )

  it.effect("count attempts in one place only: who comes further begins again", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      const attempts: Array<number> = []
      let taken = 0
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          maxAttempts: 2,
          retry: Schedule.spaced("100 millis"),
          handle: ({ attempt, updates }) => {
            attempts.push(attempt)
            let own = 0
            return Stream.runForEach(updates, () =>
              Effect.suspend(() => (++own > 3 && ++taken < 100 ? Effect.fail("enough for now") : Effect.void))
            )
          }
        })
      )
      yield* elapse(60_000, 100)
      assert.isAtLeast(attempts.length, 5)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("park what took its worker along too often, and cancel it if it is discarded", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      const store = yield* TokenStore.TokenStore
      for (let i = 0; i < 5; i++) {
        yield* claimOne(store, `dead-${i}`, Duration.seconds(1))
        yield* elapse(1100, 100)
      }
      let calls = 0
      const close = yield* launch(Runs.worker([analyst], { ...quick, handle: () => Effect.sync(() => void calls++) }))
      yield* elapse(5000, 100)
      assert.match((yield* recordOf("r")).parked?.reason ?? "", /died 5 times/)
      assert.strictEqual(yield* stageOf("r"), "parked")
      assert.strictEqual(yield* count("cancel"), 0)
      yield* passing(Runs.discard("r"))
      const { reason } = yield* Effect.flip(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(reason._tag, "RunCancelled")
      yield* elapse(2000, 100)
      assert.strictEqual(yield* count("cancel"), 1)
      assert.strictEqual(yield* stageOf("r"), "finished")
      // Nobody waits for it.
      assert.strictEqual(calls, 0)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )
})
