import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { Deadline, type Deadlines, deadlines } from "../primitives/deadlines.ts"
import { Trouble } from "../telemetry/trouble.ts"

/** Repeated work, without a fiber between two repetitions. */
export interface Repeated {
  /** Does the work after at most this many milliseconds. */
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
  /** The milliseconds after which the work is done, from the time at which they were set. */
  private wait = Number.POSITIVE_INFINITY
  /** The same for the repetition after the one that is under way. */
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
    // A later call with the same time changes nothing. This function is called for each update.
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

  /** Work that died is repeated as if it had succeeded. */
  private after(exit: Exit.Exit<number | undefined>): number | undefined {
    if (Exit.isSuccess(exit)) {
      if (this.trouble !== undefined) this.fork(this.trouble.ended())
      return exit.value
    }
    if (!this.isClosed) {
      this.trouble ??= new Trouble(this.annotations)
      this.fork(
        this.trouble.began("work in the background of a run died; this is tried again", Cause.pretty(exit.cause))
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
 * Does the work after `first` milliseconds, if given, and again after as many as it returns, until the scope closes and
 * interrupts it. If the work dies, that is logged, and the work is repeated after the same time as before. Times lie on a
 * grid, so that the work of many runs is done together.
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

// Times are rounded down, so that the work is done in time. Short times are not rounded.
const grid = 10
const onGrid = (at: number, millis: number): number => (millis < 2 * grid ? at : Math.floor(at / grid) * grid)
