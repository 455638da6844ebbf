import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { Deadline, type Deadlines, deadlines } from "../primitives/deadlines.ts"
import { Trouble } from "../telemetry/trouble.ts"

/** Work that is done again and again, without a fiber between the times. */
export interface Repeated {
  /** Does it in so many milliseconds at the latest. */
  readonly within: (millis: number) => void
}

type Work = Effect.Effect<number | undefined>
type Fork = <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>

class Repetition extends Deadline implements Repeated {
  private readonly watch: Deadlines
  private readonly work: Work
  private readonly fork: Fork
  private readonly annotations: Readonly<Record<string, string>>
  private fiber: Fiber.Fiber<number | undefined> | undefined
  private isClosed = false
  /** In how many milliseconds it is done, from when that was said. */
  private wait = Number.POSITIVE_INFINITY
  /** The same, for the time after the one that is under way. */
  private again = Number.POSITIVE_INFINITY
  private trouble: Trouble | undefined

  constructor(watch: Deadlines, work: Work, annotations: Readonly<Record<string, string>>, fork: Fork) {
    super()
    this.watch = watch
    this.work = work
    this.fork = fork
    this.annotations = annotations
  }

  within(millis: number): void {
    if (this.isClosed) return
    if (this.fiber !== undefined) this.again = Math.min(this.again, millis)
    // What is said later for as long comes later. This is asked for each update.
    else if (this.slot === -1 || millis < this.wait) {
      this.wait = millis
      this.watch.by(this, onGrid(this.watch.now() + millis, millis))
    }
  }

  override due(): void {
    const begun = this.fork(this.work)
    this.fiber = begun
    begun.addObserver((exit) => {
      this.fiber = undefined
      const soonest = Math.min(this.again, this.after(exit) ?? Number.POSITIVE_INFINITY)
      this.again = Number.POSITIVE_INFINITY
      if (soonest < Number.POSITIVE_INFINITY) this.within(soonest)
    })
  }

  /** What died is done again as if it had been done. */
  private after(exit: Exit.Exit<number | undefined>): number | undefined {
    if (Exit.isSuccess(exit)) {
      if (this.trouble !== undefined) this.fork(this.trouble.ended())
      return exit.value
    }
    if (!this.isClosed) {
      this.trouble ??= new Trouble(this.annotations)
      this.fork(
        this.trouble.began("work in the background of a run died, and this is tried again", Cause.pretty(exit.cause))
      )
    }
    return this.wait
  }

  close(): Effect.Effect<void> {
    this.isClosed = true
    this.watch.remove(this)
    return this.fiber === undefined ? Effect.void : Fiber.interrupt(this.fiber)
  }
}

/**
 * Does the work after `first` milliseconds, if given, and again after as many as it answers; until the scope closes, which
 * interrupts it. Work that dies is told in the log, and done again after as long as before. Times are on a grid, so that
 * what many runs have to do is done together.
 */
export const make = Effect.fnUntraced(function* (
  work: Work,
  { annotations = {}, first }: { readonly first?: number; readonly annotations?: Readonly<Record<string, string>> } = {}
): Effect.fn.Return<Repeated, never, Scope.Scope> {
  const repetition = new Repetition(
    yield* deadlines,
    work,
    annotations,
    Effect.runForkWith(yield* Effect.context<never>())
  )
  yield* Effect.addFinalizer(() => repetition.close())
  if (first !== undefined) repetition.within(first)
  return repetition
})

// Rounded down, so that what must be done by a time is. Short times are kept as they are.
const grid = 10
const onGrid = (at: number, millis: number): number => (millis < 2 * grid ? at : Math.floor(at / grid) * grid)
