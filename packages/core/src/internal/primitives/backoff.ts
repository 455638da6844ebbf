import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as AiError from "effect/ai/AiError"

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>>

/** A schedule that gives one wait after another, and can be started again. */
export class Backoff {
  private readonly schedule: Schedule.Schedule<unknown>
  // Made only when needed: most runs never wait.
  private step: Step | undefined

  constructor(schedule: Schedule.Schedule<unknown>) {
    this.schedule = schedule
  }

  /** The next wait; undefined when the schedule is exhausted. */
  delay(input: unknown): Effect.Effect<Duration.Duration | undefined> {
    const step = this.step === undefined ? Schedule.toStep(this.schedule) : Effect.succeed(this.step)
    return Effect.flatMap(step, (known) => {
      this.step = known
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Pull.matchEffect(known(now, input), {
          onSuccess: ([, wait]) => Effect.succeed<Duration.Duration | undefined>(wait),
          onFailure: Effect.failCause,
          onDone: () => Effect.succeed(undefined)
        })
      )
    })
  }

  /** Waits for the next wait of the schedule, and for at least `atLeast`; false when the schedule is exhausted. */
  wait(input: unknown, atLeast = Duration.zero): Effect.Effect<boolean> {
    return Effect.flatMap(this.delay(input), (wait) =>
      wait === undefined ? Effect.succeed(false) : Effect.as(Effect.sleep(Duration.max(wait, atLeast)), true)
    )
  }

  /** Starts the schedule again. */
  reset(): void {
    this.step = undefined
  }
}

/** Repeats a request that the provider refused for now, on the schedule, and no sooner than the provider asks. */
export const patiently = (schedule: Schedule.Schedule<unknown>): Schedule.Schedule<unknown, unknown> =>
  schedule.pipe(
    Schedule.while(({ input }) => AiError.isAiError(input) && input.isRetryable),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(Duration.max(duration, (AiError.isAiError(input) ? input.retryAfter : undefined) ?? Duration.zero))
    )
  )

/** How often to poll a response that may take this long. */
export const paceOf = (window: Duration.Duration): Duration.Duration => Duration.times(window, 1 / 240)
