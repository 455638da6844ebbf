import { Clock, Duration, Effect } from "effect"
import { type AgentError, RunStalled } from "../../AgentError.ts"
import type { RunStatus } from "../../Run.ts"
import type { RunPolicy } from "../../RunPolicy.ts"

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
  /** From here on a connection is listened to. */
  readonly attached: () => void
  /** There was a sign of life, new or not. */
  readonly heard: () => void
  /** Ends when there was no sign of life for as long as the policy allows. */
  readonly idle: Effect.Effect<void>
  /** Fails when one of the policy's times is over. */
  readonly stalled: Effect.Effect<never, AgentError>
}

/** What was last seen of a run. */
interface Seen {
  readonly status: RunStatus
  readonly responseId: string | undefined
  readonly sequenceNumber?: number
}

export const make = Effect.fnUntraced(function* (run: {
  readonly policy: RunPolicy
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
  readonly seen: () => Seen
  /** When the response was accepted, by the clock; now if that is not known. */
  readonly acceptedAt?: number | undefined
  /** How long the response may take to complete, if that is longer than usual. */
  readonly window?: Duration.Duration | undefined
}): Effect.fn.Return<StallWatch> {
  const { acceptedAt, policy, window = Duration.zero } = run
  const clock = yield* Clock.Clock
  const millis = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const started = millis()
  const ago = acceptedAt === undefined ? 0 : Math.max(0, clock.currentTimeMillisUnsafe() - acceptedAt)
  const begun = started - ago
  let waiting = true
  let since = started
  let lastHeard = started
  let known: number | undefined

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
  const after = (ended: Effect.Effect<void>, what: string, within: Duration.Duration) =>
    Effect.andThen(
      ended,
      Effect.suspend(() => Effect.fail(run.errorOf(reason(`${what} for longer than ${Duration.format(within)}`))))
    )
  const maxFollowed = Duration.sum(policy.maxFollowed, window)
  const maxQueued = Duration.sum(policy.maxQueued, window)
  const maxSilence = Duration.sum(policy.maxSilence, window)
  // A run that was accepted long ago may be queued no more: this process has to hear of it first, and for a while.
  const queuedSince = () => {
    const limit = Duration.toMillis(maxQueued)
    return Math.max(begun, (known ?? millis()) + Math.min(limit, Duration.toMillis(policy.idleTimeout)) - limit)
  }

  return {
    reason,
    waits: () => {
      waiting = true
      since = lastHeard = millis()
    },
    came: () => {
      waiting = false
    },
    attached: () => {
      lastHeard = millis()
    },
    heard: () => {
      lastHeard = millis()
      known ??= lastHeard
    },
    idle: elapsed(policy.idleTimeout, () => lastHeard),
    stalled: Effect.raceAllFirst([
      after(
        elapsed(maxQueued, queuedSince, () => run.seen().status === "queued"),
        "it is queued",
        maxQueued
      ),
      after(
        elapsed(maxSilence, () => since),
        "nothing new was heard of it",
        maxSilence
      ),
      after(
        elapsed(maxFollowed, () => begun),
        "it is under way",
        maxFollowed
      )
    ])
  }
})
