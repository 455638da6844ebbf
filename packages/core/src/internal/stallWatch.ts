import { Clock, Duration, Effect } from "effect"
import { AgentError, RunStalled, Unconfirmed } from "../AgentError.ts"
import type { BackgroundModel } from "../BackgroundModel.ts"
import type { RunId, RunStatus } from "../Run.ts"
import type { RunPolicy } from "../RunPolicy.ts"

/**
 * Knows how long a run is waited for. Only waiting counts: while a consumer is busy with an update, nothing stands still
 * but the consumer.
 */
export interface StallWatch {
  /** Why the run fails, and what was last seen of it. */
  readonly reason: (description: string) => RunStalled
  /** From here on something new is waited for. */
  readonly waits: () => void
  /** It came. */
  readonly came: () => void
  /** There was a sign of life, new or not. */
  readonly heard: () => void
  /** Ends when there was no sign of life for as long as the policy allows. */
  readonly idle: Effect.Effect<void>
  /** Fails when one of the policy's times is over, having cancelled the run if the policy says so. */
  readonly stalled: Effect.Effect<never, AgentError>
}

/** What was last seen of a run. */
interface Seen {
  readonly status: RunStatus
  readonly responseId: string | undefined
  readonly sequenceNumber?: number
}

export const make = Effect.fnUntraced(function* (run: {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  readonly runId: RunId
  readonly seen: () => Seen
}): Effect.fn.Return<StallWatch> {
  const { model, policy, runId } = run
  const clock = yield* Clock.Clock
  const millis = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const begun = millis()
  let waiting = true
  let since = begun
  let lastHeard = begun

  /** Ends when, while something is waited for and `applies`, `from` lies so far back. */
  const elapsed = (within: Duration.Duration, from: () => number, applies = () => true): Effect.Effect<void> => {
    const limit = Duration.toMillis(within)
    const look: Effect.Effect<void> = Effect.suspend(() => {
      const left = waiting && applies() ? from() + limit - millis() : limit
      return left > 0 ? Effect.andThen(Effect.sleep(left), look) : Effect.void
    })
    return limit === Number.POSITIVE_INFINITY ? Effect.never : look
  }

  const reason = (description: string) => {
    const { responseId, sequenceNumber, status } = run.seen()
    return new RunStalled({
      status,
      description,
      ...(responseId === undefined ? {} : { responseId }),
      ...(sequenceNumber === undefined || sequenceNumber < 0 ? {} : { sequenceNumber })
    })
  }
  const stall = Effect.fnUntraced(function* (description: string) {
    const { responseId } = run.seen()
    if (responseId === undefined) return yield* new AgentError({ runId, reason: new Unconfirmed({ runId }) })
    if (policy.onStall === "cancel") yield* Effect.ignore(model.cancel(responseId))
    return yield* new AgentError({ runId, reason: reason(description) })
  })
  const after = (ended: Effect.Effect<void>, what: string, within: Duration.Duration) =>
    Effect.andThen(
      ended,
      Effect.suspend(() => stall(`${what} for longer than ${Duration.format(within)}`))
    )
  const { progressWithin, queuedFor, runsFor } = policy

  return {
    reason,
    waits: () => {
      waiting = true
      since = lastHeard = millis()
    },
    came: () => {
      waiting = false
    },
    heard: () => {
      lastHeard = millis()
    },
    idle: elapsed(policy.idleAfter, () => lastHeard),
    stalled: Effect.raceAllFirst([
      after(
        elapsed(
          queuedFor,
          () => since,
          () => run.seen().status === "queued"
        ),
        "it is queued",
        queuedFor
      ),
      after(
        elapsed(progressWithin, () => since),
        "nothing new was heard of it",
        progressWithin
      ),
      after(
        elapsed(runsFor, () => begun),
        "it is followed",
        runsFor
      )
    ])
  }
})
