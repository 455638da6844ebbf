// Reads of one key at the same time.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
// oxlint-disable-next-line eslint/no-restricted-imports -- which reads are shared cannot be seen from outside
import * as ShareReads from "../../packages/redis/src/internal/shareReads.ts"

/** A state that is read: a read takes what is there when it begins, and answers when the latch opens. */
const reading = Effect.gen(function* () {
  const shared = ShareReads.make<number, string>()
  const answers = yield* Latch.make()
  let state = 0
  let reads = 0
  const read = Effect.suspend(() => {
    reads++
    const seen = state
    return Effect.as(answers.await, seen)
  })
  const ask = Effect.forkChild(shared("key", read), { startImmediately: true })
  return { shared, answers, ask, reads: () => reads, set: (value: number) => void (state = value) }
})

describe("reads of the same key", () => {
  it.effect("share the next read, which begins after all of them asked", () =>
    Effect.gen(function* () {
      const { answers, ask, reads, set } = yield* reading
      const first = yield* ask
      set(1)
      const others = yield* Effect.forEach(Array.from({ length: 100 }), () => ask)
      set(2)
      yield* answers.open
      assert.strictEqual(yield* Fiber.join(first), 0)
      const seen = yield* Effect.forEach(others, Fiber.join)
      assert.deepEqual(new Set(seen), new Set([2]))
      assert.strictEqual(reads(), 2)
    })
  )

  it.effect("go on if the caller that reads is interrupted", () =>
    Effect.gen(function* () {
      const { answers, ask, reads } = yield* reading
      const first = yield* ask
      const second = yield* ask
      yield* Fiber.interrupt(first)
      yield* answers.open
      assert.strictEqual(yield* Fiber.join(second), 0)
      assert.strictEqual(yield* Fiber.join(yield* ask), 0)
      assert.strictEqual(reads(), 3)
    })
  )

  it.effect("fail together, and the next one reads again", () =>
    Effect.gen(function* () {
      const { answers, ask, shared } = yield* reading
      const first = yield* ask
      const failed = shared("other", Effect.andThen(answers.await, Effect.fail("no")))
      const others = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(failed, { startImmediately: true }))
      yield* answers.open
      for (const other of others) assert.strictEqual(yield* Effect.flip(Fiber.join(other)), "no")
      assert.strictEqual(yield* Fiber.join(first), 0)
      assert.strictEqual(yield* shared("other", Effect.succeed(7)), 7)
    })
  )
})
