import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { monotonicMillis } from "./monotonic.ts"

// The deadlines of all runs in a process. There is one watch for each Clock: a heap, and one fiber that sleeps until the
// earliest deadline. So a waiting run needs no timer of its own, and a run that is left leaves nothing behind.

/** A deadline. It is in one watch at most. */
export abstract class Deadline {
  /** When it is due, in milliseconds of the clock's monotonic time. */
  at = Number.POSITIVE_INFINITY
  /** Its place in the heap; -1 outside of it. */
  slot = -1
  /**
   * Called when it is due, after it has left the watch. If it throws, that is logged, and other deadlines are still called.
   */
  abstract due(now: number): void
}

/** The watch of one clock. */
export class Deadlines {
  private readonly clock: Clock.Clock
  private readonly heap: Array<Deadline> = []
  private armed = Number.POSITIVE_INFINITY
  private sleeper: Fiber.Fiber<void> | undefined

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** The clock's monotonic time, in milliseconds. */
  now(): number {
    return monotonicMillis(this.clock)
  }

  /** Sets a deadline to this time, unless it is due sooner: it must then check again when it is called. */
  by(deadline: Deadline, at: number): void {
    if (at >= deadline.at) return
    deadline.at = at
    if (deadline.slot === -1) {
      deadline.slot = this.heap.length
      this.heap.push(deadline)
    }
    this.up(deadline)
    this.arm()
  }

  /** Removes a deadline. */
  remove(deadline: Deadline): void {
    const { slot } = deadline
    deadline.at = Number.POSITIVE_INFINITY
    if (slot === -1) return
    deadline.slot = -1
    const last = this.heap.pop()!
    if (last !== deadline) {
      last.slot = slot
      this.heap[slot] = last
      this.up(last)
      this.down(last)
    }
    if (this.heap.length === 0) this.disarm()
  }

  private up(deadline: Deadline): void {
    const { heap } = this
    while (deadline.slot > 0) {
      const parent = heap[(deadline.slot - 1) >> 1]!
      if (parent.at <= deadline.at) return
      this.swap(parent, deadline)
    }
  }

  private down(deadline: Deadline): void {
    const { heap } = this
    while (true) {
      const left = heap[2 * deadline.slot + 1]
      const right = heap[2 * deadline.slot + 2]
      const child = right !== undefined && left !== undefined && right.at < left.at ? right : left
      if (child === undefined || child.at >= deadline.at) return
      this.swap(deadline, child)
    }
  }

  private swap(upper: Deadline, lower: Deadline): void {
    const { slot } = upper
    upper.slot = lower.slot
    lower.slot = slot
    this.heap[upper.slot] = upper
    this.heap[lower.slot] = lower
  }

  private disarm(): void {
    this.armed = Number.POSITIVE_INFINITY
    const { sleeper } = this
    this.sleeper = undefined
    sleeper?.interruptUnsafe()
  }

  private arm(): void {
    const first = this.heap[0]
    if (first === undefined || first.at >= this.armed) return
    this.disarm()
    this.armed = first.at
    const wait = Duration.millis(Math.max(0, Math.ceil(first.at - this.now())))
    // With the clock only: the first caller must not lend its other services to all later ones.
    this.sleeper = Effect.runForkWith(Context.make(Clock.Clock, this.clock))(
      Effect.andThen(
        this.clock.sleep(wait),
        Effect.suspend(() => this.fire())
      )
    )
  }

  private fire(): Effect.Effect<void> {
    this.sleeper = undefined
    this.armed = Number.POSITIVE_INFINITY
    const now = this.now()
    const due: Array<Deadline> = []
    for (let first = this.heap[0]; first !== undefined && first.at <= now; first = this.heap[0]) {
      this.remove(first)
      due.push(first)
    }
    let told = 0
    const thrown: Array<unknown> = []
    // A callback can run into code of the user, which is called when a fiber ends.
    const tell: Effect.Effect<void> = Effect.catchDefect(
      Effect.sync(() => {
        while (told < due.length) due[told++]!.due(now)
      }),
      (defect) => {
        thrown.push(defect)
        return tell
      }
    )
    return tell.pipe(
      Effect.ensuring(Effect.sync(() => this.arm())),
      Effect.andThen(Effect.suspend(() => logged(thrown)))
    )
  }
}

const logged = (thrown: ReadonlyArray<unknown>): Effect.Effect<void> =>
  Effect.forEach(
    thrown,
    (defect) => Effect.logError("baton: a callback threw at its deadline, which is a bug", defect),
    { discard: true }
  )

const watches = new WeakMap<Clock.Clock, Deadlines>()

/** The watch of the current clock. */
export const deadlines: Effect.Effect<Deadlines> = Effect.map(Clock.Clock, (clock) => {
  const known = watches.get(clock)
  if (known !== undefined) return known
  const made = new Deadlines(clock)
  watches.set(clock, made)
  return made
})
