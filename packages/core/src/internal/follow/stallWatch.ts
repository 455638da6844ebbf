import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AgentError, RunStalled } from "../../AgentError.ts"
import type { RunStatus } from "../../Run.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import { Deadline, type Deadlines, deadlines } from "../primitives/deadlines.ts"

/** What was last seen of a run: its status, its response and the number of the last event. */
interface Seen {
  readonly status: RunStatus
  readonly responseId: string | undefined
  readonly sequenceNumber?: number
}

interface Options {
  readonly policy: RunPolicy
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
  readonly seen: () => Seen
  /** When the response was accepted, in milliseconds since the epoch; the current time if that is not known. */
  readonly acceptedAt?: number | undefined
  /** The time that the response may take, if that is longer than usual. */
  readonly window?: Duration.Duration | undefined
}

/** A limit that was reached: the connection was silent for too long, or the run has stalled. */
type Over = "idle" | AgentError

/** A waiting fiber, called once if a limit is reached. */
export interface Listener {
  /** Whether `idleTimeout` applies too. */
  readonly idle: boolean
  readonly over: (reason: Over) => void
}

/** A limit of the policy, and the time at which it is reached. */
type Verdict = { readonly over: Over } | { readonly at: number }

/**
 * Measures how long a run is waited for. Only waiting counts: while the consumer is busy with an update, no limit applies.
 */
export class StallWatch extends Deadline {
  private readonly options: Options
  private readonly watch: Deadlines
  private readonly idleTimeout: number
  private readonly maxQueued: number
  private readonly maxSilence: number
  private readonly maxFollowed: number
  private readonly begun: number
  private since: number
  private lastHeard: number
  /** When this process first heard of the run. */
  private known: number | undefined
  private listener: Listener | undefined
  /**
   * A limit was found to be reached. An event that is in time may still lie in the socket, which Node reads after the
   * timers.
   */
  private doubted = false

  constructor(options: Options, watch: Deadlines, acceptedAgo: number) {
    super()
    const { policy, window = Duration.zero } = options
    const limit = (duration: Duration.Duration) => Duration.toMillis(Duration.sum(duration, window))
    this.options = options
    this.watch = watch
    this.idleTimeout = Duration.toMillis(policy.idleTimeout)
    this.maxQueued = limit(policy.maxQueued)
    this.maxSilence = limit(policy.maxSilence)
    this.maxFollowed = limit(policy.maxFollowed)
    const now = watch.now()
    this.begun = now - acceptedAgo
    this.since = now
    this.lastHeard = now
  }

  /** Makes the reason `RunStalled`, with the last known status, response and event. */
  reason(description: string): RunStalled {
    const { responseId, sequenceNumber, status } = this.options.seen()
    return new RunStalled({
      status,
      description,
      ...(responseId === undefined ? {} : { responseId }),
      ...(sequenceNumber === undefined || sequenceNumber < 0 ? {} : { sequenceNumber })
    })
  }

  /** Waiting for something new begins. */
  waits(): void {
    this.since = this.lastHeard = this.watch.now()
  }

  /** Listening to a connection begins. */
  attached(): void {
    this.lastHeard = this.watch.now()
  }

  /** An event or a keepalive came. */
  heard(): void {
    this.lastHeard = this.watch.now()
    this.known ??= this.lastHeard
    this.doubted = false
  }

  /** Calls this listener, instead of the one before. */
  listen(listener: Listener): void {
    this.listener = listener
    // While the run is waited for, limits can only move to later times: the deadline that is set checks again when it is
    // due.
    if (this.slot === -1) this.look(this.watch.now())
  }

  unlisten(listener: Listener): void {
    if (this.listener === listener) this.listener = undefined
  }

  /** Fails when a limit of the policy is reached. */
  readonly stalled: Effect.Effect<never, AgentError> = Effect.callback<never, AgentError>((resume) => {
    const listener: Listener = {
      idle: false,
      over: (reason) => {
        if (reason !== "idle") resume(Effect.fail(reason))
      }
    }
    this.listen(listener)
    return Effect.sync(() => this.unlisten(listener))
  })

  override due(now: number): void {
    this.look(now)
  }

  private look(now: number): void {
    const { listener } = this
    if (listener === undefined) return
    const verdict = this.verdict(now, listener.idle)
    if ("at" in verdict) {
      if (verdict.at < Number.POSITIVE_INFINITY) this.watch.by(this, verdict.at)
      return
    }
    if (!this.doubted) {
      this.doubted = true
      this.watch.by(this, now)
      return
    }
    this.listener = undefined
    listener.over(verdict.over)
  }

  private verdict(now: number, idle: boolean): Verdict {
    let at = idle ? this.lastHeard + this.idleTimeout : Number.POSITIVE_INFINITY
    if (at <= now) return { over: "idle" }
    const limits: ReadonlyArray<readonly [from: number, limit: number, what: string]> = [
      [this.queuedSince(now), this.maxQueued, "it is queued"],
      [this.since, this.maxSilence, "nothing new was heard of it"],
      [this.begun, this.maxFollowed, "it is under way"]
    ]
    for (const [from, limit, what] of limits) {
      if (from + limit <= now) {
        const description = `${what} for longer than ${Duration.format(Duration.millis(limit))}`
        return { over: this.options.errorOf(this.reason(description)) }
      }
      at = Math.min(at, from + limit)
    }
    return { at }
  }

  // A run that was accepted long ago may no longer be queued: this process must first follow it for a while.
  private queuedSince(now: number): number {
    if (this.options.seen().status !== "queued") return Number.POSITIVE_INFINITY
    return Math.max(this.begun, (this.known ?? now) + Math.min(this.maxQueued, this.idleTimeout) - this.maxQueued)
  }
}

/** Watches a run as long as the scope lasts. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<StallWatch, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const watch = yield* deadlines
  const { acceptedAt } = options
  const ago = acceptedAt === undefined ? 0 : Math.max(0, clock.currentTimeMillisUnsafe() - acceptedAt)
  const stallWatch = new StallWatch(options, watch, ago)
  yield* Effect.addFinalizer(() => Effect.sync(() => watch.remove(stallWatch)))
  return stallWatch
})
