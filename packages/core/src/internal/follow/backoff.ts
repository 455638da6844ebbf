import { Clock, Duration, Effect, Pull, Schedule } from "effect"
import { AiError } from "effect/ai"

/** A schedule that is asked for one wait after another, and can be started again. */
export interface Backoff {
  /** The next wait; undefined when the schedule is exhausted. */
  readonly delay: (input: unknown) => Effect.Effect<Duration.Duration | undefined>
  /** Waits as long as the schedule says, and at least `atLeast`; false when the schedule is exhausted. */
  readonly wait: (input: unknown, atLeast?: Duration.Duration) => Effect.Effect<boolean>
  readonly reset: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (schedule: Schedule.Schedule<unknown>): Effect.fn.Return<Backoff> {
  let step = yield* Schedule.toStep(schedule)
  const delay: Backoff["delay"] = (input) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Pull.matchEffect(step(now, input), {
        onSuccess: ([, wait]) => Effect.succeed<Duration.Duration | undefined>(wait),
        onFailure: Effect.failCause,
        onDone: () => Effect.succeed(undefined)
      })
    )
  return {
    delay,
    wait: (input, atLeast = Duration.zero) =>
      Effect.flatMap(delay(input), (wait) =>
        wait === undefined ? Effect.succeed(false) : Effect.as(Effect.sleep(Duration.max(wait, atLeast)), true)
      ),
    reset: Effect.map(Schedule.toStep(schedule), (fresh) => {
      step = fresh
    })
  }
})

/** Repeats what a provider refused for now, on the schedule, and no sooner than the provider wishes. */
export const patiently = (schedule: Schedule.Schedule<unknown>): Schedule.Schedule<unknown, unknown> =>
  schedule.pipe(
    Schedule.while(({ input }) => AiError.isAiError(input) && input.isRetryable),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(Duration.max(duration, (AiError.isAiError(input) ? input.retryAfter : undefined) ?? Duration.zero))
    )
  )

/** How often a response is looked at that may take this long. */
export const paceOf = (window: Duration.Duration): Duration.Duration => Duration.times(window, 1 / 240)
