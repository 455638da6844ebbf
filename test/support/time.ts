import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** Runs an effect while the test clock moves on by itself, a step at a time, until the effect is done. */
export const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, step = 50): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust(step)
      yield* Effect.yieldNow
    }
    return yield* Fiber.join(fiber)
  })
