import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** How many operations of a real disk are under way: the test clock waits for them, as it would for computation. */
export const disk = { busy: 0 }

const settled = Effect.callback<void>((resume) => {
  const look = () => {
    if (disk.busy === 0) resume(Effect.void)
    else setTimeout(look, 0)
  }
  look()
})

/** Lets the test clock pass, a step at a time, as far as `millis`. */
export const elapse = (millis: number, step = 50): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* settled
    for (let passed = 0; passed < millis; passed += step) {
      yield* TestClock.adjust(Math.min(step, millis - passed))
      yield* Effect.yieldNow
      yield* settled
    }
  })

/** Runs an effect while the test clock moves on by itself, a step at a time, until the effect is done. */
export const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, step = 50): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* elapse(step, step)
    }
    return yield* Fiber.join(fiber)
  })
