import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as AiError from "effect/ai/AiError"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import { monotonicMillis } from "../primitives/monotonic.ts"

// All polls of one provider share one pace. If the provider refuses one of them for now, all wait as long as it asks, and
// then come one after another.

// Times between two polls, in milliseconds. Below the shortest, there is no pace to keep.
const shortest = 10
const first = 100
const longest = 1000

// By how many polls a second the pace grows in each second.
const faster = 0.2

class Pace {
  private next = 0
  private interval = 0
  private until = 0
  private refusedAt = Number.NEGATIVE_INFINITY

  /** Takes the next turn, and returns the wait before it. */
  turn(now: number): number {
    const at = Math.max(now, this.next, this.until)
    this.next = at + this.interval
    return at - now
  }

  /** Whether the provider has asked for more time since a turn was taken. */
  isEarly(now: number): boolean {
    return now < this.until
  }

  answered(): void {
    // The time between two answers.
    const seconds = this.interval / 1000
    this.interval = this.interval < shortest ? 0 : this.interval / (1 + faster * seconds * seconds)
  }

  refused(now: number, wait: number): void {
    this.until = Math.max(this.until, now + wait)
    // Refusals of polls that were sent together count once.
    if (now < this.refusedAt + longest) return
    this.refusedAt = now
    this.interval = Math.min(longest, Math.max(first, this.interval * 2))
  }
}

const paces = new WeakMap<BackgroundModel["Service"], Pace>()

const paceOf = (model: BackgroundModel["Service"]): Pace => {
  const known = paces.get(model)
  if (known !== undefined) return known
  const made = new Pace()
  paces.set(model, made)
  return made
}

const isRefusal = (error: unknown): error is AiError.AiError =>
  AiError.isAiError(error) && error.reason._tag === "RateLimitError"

/** Sends a request to the provider in its turn. */
export const paced = <A, E>(model: BackgroundModel["Service"], request: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const pace = paceOf(model)
    const turn: Effect.Effect<void> = Effect.suspend(() => {
      const wait = pace.turn(monotonicMillis(clock))
      return wait <= 0
        ? Effect.void
        : Effect.andThen(
            Effect.sleep(wait),
            Effect.suspend(() => (pace.isEarly(monotonicMillis(clock)) ? turn : Effect.void))
          )
    })
    return Effect.andThen(turn, request).pipe(
      Effect.tap(() => Effect.sync(() => pace.answered())),
      Effect.tapError((error) =>
        Effect.sync(() => {
          if (isRefusal(error))
            pace.refused(monotonicMillis(clock), Duration.toMillis(error.retryAfter ?? Duration.zero))
        })
      )
    )
  })
