import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { Deadline, deadlines } from "../deadlines.ts"

/** Work that is done again and again, without a fiber between the times. */
export interface Repeated {
  /** Does it in so many milliseconds at the latest. */
  readonly within: (millis: number) => void
}

/**
 * Does the work after `first` milliseconds, if given, and again after as many as it answers; until the scope closes, which
 * interrupts it. Times are on a grid, so that what many runs have to do is done together.
 */
export const make = Effect.fnUntraced(function* (
  work: Effect.Effect<number | undefined>,
  first?: number
): Effect.fn.Return<Repeated, never, Scope.Scope> {
  const watch = yield* deadlines
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  let isClosed = false
  let fiber: Fiber.Fiber<number | undefined> | undefined
  let again: number | undefined

  const deadline = new (class extends Deadline {
    override due(): void {
      const begun = fork(work)
      fiber = begun
      begun.addObserver((exit) => {
        fiber = undefined
        const soonest = Math.min(
          again ?? Number.POSITIVE_INFINITY,
          (exit._tag === "Success" ? exit.value : undefined) ?? Number.POSITIVE_INFINITY
        )
        again = undefined
        if (soonest < Number.POSITIVE_INFINITY) within(soonest)
      })
    }
  })()
  const within = (millis: number): void => {
    if (isClosed || deadline.slot !== -1) return
    if (fiber === undefined) watch.by(deadline, onGrid(watch.now() + millis, millis))
    else again = Math.min(again ?? millis, millis)
  }
  yield* Effect.addFinalizer(() => {
    isClosed = true
    watch.remove(deadline)
    return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
  })
  if (first !== undefined) within(first)
  return { within }
})

// Rounded down, so that what must be done by a time is. Short times are kept as they are.
const grid = 10
const onGrid = (at: number, millis: number): number => (millis < 2 * grid ? at : Math.floor(at / grid) * grid)
