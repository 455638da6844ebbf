// What workers do if a run fails, the provider refuses them, their lease is taken from them, or the store is away.
import { Agent, BackgroundModel, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, Stream } from "effect"
import { denied } from "../support/models.ts"
import { analyst, statusOf } from "../support/runs.ts"
import { changing, storeAway } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { attemptsOf, launch, leaveBegun, quick, stageOf, twenty } from "../support/workers.ts"

const { failed, pause, text } = ScriptedModel

describe("workers and honest ends", () => {
  const over = (script: ReadonlyArray<ScriptedModel.Step>) =>
    Layer.merge(ScriptedModel.layer(script), TokenStore.layerMemory)

  it.effect("finish a run that failed at the provider, whether handle minds or not", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r-1")
      yield* leaveBegun("r-2")
      const reasons: Array<string> = []
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ runId, updates }) =>
            Stream.runDrain(updates).pipe(
              Effect.tapError(({ reason }) => Effect.sync(() => void reasons.push(`${runId} ${reason._tag}`))),
              Effect.catch((error) => (runId === "r-1" ? Effect.void : Effect.fail(error)))
            )
        })
      )
      yield* elapse(20_000, 100)
      assert.deepStrictEqual(reasons.toSorted(), ["r-1 RunFailed", "r-2 RunFailed"])
      for (const runId of ["r-1", "r-2"]) {
        assert.strictEqual(yield* stageOf(runId), "finished")
        assert.strictEqual(yield* statusOf(runId), "failed")
      }
      yield* passing(close)
    }).pipe(Effect.provide(over([text("a"), pause("5 seconds"), failed("no")])))
  )

  it.effect("leave alone what the provider refuses them, without counting it", () => {
    let refused = 0
    const refusing = Layer.effect(
      BackgroundModel.BackgroundModel,
      Effect.map(BackgroundModel.BackgroundModel, (inner) =>
        BackgroundModel.BackgroundModel.of({
          ...inner,
          resume: () => {
            refused++
            return Stream.fail(denied)
          },
          retrieve: () => Effect.fail(denied)
        })
      )
    )
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const worker = Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      const misled = yield* launch(worker.pipe(Layer.provide(refusing)))
      yield* elapse(120_000, 500)
      assert.isAtLeast(refused, 2)
      assert.isAtMost(refused, 5)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      assert.strictEqual(yield* attemptsOf("r"), 0)
      // Given back each time, so that whoever can go on with it does.
      yield* passing(misled)
      const right = yield* launch(worker)
      yield* elapse(80_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(right)
    }).pipe(Effect.provide(over(twenty)))
  })

  it.effect("stop at once, and commit nothing, when their lease is taken from them in the middle of handle", () =>
    Effect.gen(function* () {
      yield* leaveBegun("r")
      let interrupted = false
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ updates }) =>
            Effect.andThen(Stream.runHead(updates), Effect.sleep("10 minutes")).pipe(
              Effect.onInterrupt(() => Effect.sync(() => void (interrupted = true)))
            )
        })
      )
      yield* elapse(5000, 100)
      const rest = yield* Effect.forkChild(Stream.runDrain(Agent.resume(analyst, { runId: "r", ifLeased: "steal" })))
      yield* elapse(12_000, 100)
      assert.isTrue(interrupted)
      yield* passing(Fiber.join(rest))
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over(twenty)))
  )

  it.effect("go on looking when the store was away", () => {
    let isAway = true
    const store = changing(TokenStore.layerMemory, (inner) => ({
      claim: (options) => Effect.suspend(() => (isAway ? Effect.fail(storeAway("claim")) : inner.claim(options)))
    }))
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      yield* elapse(20_000, 100)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      isAway = false
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(twenty), store)))
  })

  it.effect("of a fleet that starts at once do not ask the store at once", () => {
    const asked: Array<number> = []
    const store = changing(TokenStore.layerMemory, (inner) => ({
      list: (filter) =>
        Effect.clockWith((clock) => {
          asked.push(clock.currentTimeMillisUnsafe())
          return inner.list(filter)
        })
    }))
    return Effect.gen(function* () {
      const closes = yield* Effect.forEach(Array.from({ length: 50 }), () =>
        launch(Runs.worker([analyst], { ...quick, startJitter: "5 seconds", handle: () => Effect.void }))
      )
      yield* elapse(5000, 10)
      const busiest = Math.max(...asked.map((at) => asked.filter((other) => Math.abs(other - at) < 50).length))
      assert.isAtMost(busiest, 25)
      assert.isBelow(asked.filter((at) => at < 1000).length, 30)
      yield* Effect.forEach(closes, (close) => passing(close), { concurrency: "unbounded" })
    }).pipe(Random.withSeed("fleet"), Effect.provide(Layer.merge(ScriptedModel.layer(twenty), store)))
  })
})
