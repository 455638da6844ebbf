import { Run, UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

UpdateLogContract.suite({ describe, it }, "memory", UpdateLog.layerMemory, {
  retention: { retention: "10 minutes", layer: Effect.sync(() => UpdateLog.memory({ retention: "10 minutes" })) }
})

describe("log in memory: retention", () => {
  const { chunkOf } = UpdateLogContract
  const idOf = Run.RunId.make

  it.effect("each opening and each append removes a few logs whose retention has ended, and gives a hint", () =>
    Effect.gen(function* () {
      const log = yield* UpdateLog.UpdateLog
      for (const id of ["r-1", "r-2"]) yield* log.append(idOf(id), chunkOf(0))
      yield* TestClock.adjust("12 hours")
      // This log was used first, and is not the oldest any more.
      yield* log.append(idOf("r-1"), chunkOf(1))
      /** Whether an operation gives a hint to a listener of another run. */
      const isTold = (id: string, operation: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function* () {
          const pull = yield* Stream.toPull(log.changes(idOf(id)))
          yield* pull
          const hint = yield* Effect.forkChild(pull, { startImmediately: true })
          yield* operation
          yield* Effect.repeat(Effect.yieldNow, { times: 20 })
          return hint.pollUnsafe() !== undefined
        })
      assert.isFalse(yield* isTold("r-2", log.open(idOf("r-3"), 1)))
      yield* TestClock.adjust("12 hours")
      assert.isTrue(yield* isTold("r-2", log.open(idOf("r-3"), 1)))
      assert.strictEqual((yield* log.read(idOf("r-1"), { from: 0, limit: 1 })).length, 2)
      yield* TestClock.adjust("12 hours")
      assert.isTrue(yield* isTold("r-1", log.append(idOf("r-3"), chunkOf(0))))
    }).pipe(Effect.scoped, Effect.provide(UpdateLog.memory({ retention: "1 day" })))
  )

  it.effect("a retention below a second counts as a second, and an infinite one keeps a log for ever", () =>
    Effect.gen(function* () {
      const lengthIn = (options: UpdateLog.RetentionOptions, wait: Duration.Input) =>
        Effect.gen(function* () {
          const log = yield* UpdateLog.UpdateLog
          yield* log.append(idOf("r-1"), chunkOf(0))
          yield* TestClock.adjust(wait)
          return yield* Effect.match(log.read(idOf("r-1"), { from: 0, limit: 1 }), {
            onSuccess: ({ length }) => length,
            onFailure: ({ _tag }) => _tag
          })
        }).pipe(Effect.provide(Layer.fresh(UpdateLog.memory(options)), { local: true }))
      assert.strictEqual(yield* lengthIn({ retention: 0 }, "999 millis"), 1)
      assert.strictEqual(yield* lengthIn({ retention: 0 }, "1 second"), "LogNotFound")
      assert.strictEqual(yield* lengthIn({}, Duration.days(29)), 1)
      assert.strictEqual(yield* lengthIn({}, Duration.days(30)), "LogNotFound")
      assert.strictEqual(yield* lengthIn({ retention: Duration.infinity }, Duration.days(10_000)), 1)
    })
  )
})
