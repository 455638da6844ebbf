/**
 * How runs are followed: schedules, deadlines and limits.
 *
 * @since 0.1.0
 */
import { Context, Duration, Effect, Layer, Schedule } from "effect"
import type { RunId } from "./Run.ts"

/**
 * One attachment to a run: by the request that opens it, by replaying its stream, or by polling.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attachment {
  readonly agent: string
  readonly runId: RunId
  readonly how: "create" | "replay" | "poll"
  /** 1 for the first attachment of this stream. */
  readonly attempt: number
  /** The last event that was delivered, -1 before the first. */
  readonly sequenceNumber: number
}

/**
 * The settings of the engine.
 *
 * **Details**
 *
 * A run that stalled fails its stream with `RunStalled`, and can be resumed. These times are measured by the monotonic
 * clock, and begin anew when a run is resumed.
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `checkpointEvery` | the acknowledged position is written at most this often | 200 ms |
 * | `worker` | how this process is called where it holds a run; its leases are told apart all the same | host and process id |
 * | `leaseTime` | how long a worker may be out of touch before others take its run | 30 s |
 * | `leased` | when to ask again for a run that another worker holds, where it is waited for | every 0.5 s |
 * | `finishWithin` | the bound on the last write and the release when a stream is left | 5 s |
 * | `idleAfter` | a connection silent for this long, keepalives included, is given up | 90 s |
 * | `queuedFor` | a run that stays queued for longer has stalled | 1 hour |
 * | `progressWithin` | a run of which nothing new is heard for longer has stalled | never |
 * | `runsFor` | a run that is followed for longer has stalled | never |
 * | `onStall` | what happens to a stalled run at the provider: it goes on, or it is cancelled | `"leave"` |
 * | `onAttach` | is run at each attachment to a run: the first, every reconnect, every look of a poll | nothing |
 * | `request` | repeats a request that the provider refused for now, having done nothing | 4 times, from 0.5 s |
 * | `reconnect` | repeats the attachment to a run; begins anew with every progress | 20 times, from 0.25 s to 10 s |
 * | `poll` | when to look at a run that cannot be streamed | every 2 s |
 * | `unconfirmed` | what a start does with a run whose opening request was never answered | `"fail"` |
 * | `agentChanged` | what happens to a run that another version of its agent started | `"fail"` |
 *
 * @since 0.1.0
 * @category models
 */
export interface RunPolicy {
  readonly checkpointEvery: Duration.Duration
  readonly worker: string | undefined
  readonly leaseTime: Duration.Duration
  readonly leased: Schedule.Schedule<unknown>
  readonly finishWithin: Duration.Duration
  readonly idleAfter: Duration.Duration
  readonly queuedFor: Duration.Duration
  readonly progressWithin: Duration.Duration
  readonly runsFor: Duration.Duration
  readonly onStall: "leave" | "cancel"
  readonly onAttach: (attachment: Attachment) => Effect.Effect<void>
  readonly request: Schedule.Schedule<unknown>
  readonly reconnect: Schedule.Schedule<unknown>
  readonly poll: Schedule.Schedule<unknown>
  readonly unconfirmed: "fail" | "restart"
  readonly agentChanged: "fail" | "continue"
}

/**
 * The policy when nothing else is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: RunPolicy = {
  checkpointEvery: Duration.millis(200),
  worker: undefined,
  leaseTime: Duration.seconds(30),
  leased: Schedule.jittered(Schedule.spaced("500 millis")),
  finishWithin: Duration.seconds(5),
  idleAfter: Duration.seconds(90),
  queuedFor: Duration.hours(1),
  progressWithin: Duration.infinity,
  runsFor: Duration.infinity,
  onStall: "leave",
  onAttach: () => Effect.void,
  request: Schedule.exponential("500 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 4 })),
  reconnect: Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("10 seconds")]).pipe(
    Schedule.jittered,
    Schedule.upTo({ times: 20 })
  ),
  poll: Schedule.spaced("2 seconds"),
  unconfirmed: "fail",
  agentChanged: "fail"
}

/**
 * The policy in force.
 *
 * @since 0.1.0
 * @category services
 */
export const RunPolicy = Context.Reference<RunPolicy>("@effect-baton/core/RunPolicy", { defaultValue: () => defaults })

/**
 * Changes some settings of the policy in force.
 *
 * **When to use**
 *
 * Provide it to a whole application, or around one verb.
 *
 * **Example** (Polling every five seconds)
 *
 * ```ts
 * import { RunPolicy } from "@effect-baton/core"
 * import { Schedule } from "effect"
 *
 * export const calm = RunPolicy.layer({ poll: Schedule.spaced("5 seconds") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (changes: Partial<RunPolicy>): Layer.Layer<never> =>
  Layer.effect(
    RunPolicy,
    Effect.map(RunPolicy, (policy) => ({ ...policy, ...changes }))
  )
