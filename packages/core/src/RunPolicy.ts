/**
 * How runs are followed: schedules, deadlines and limits.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
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
 * A run that stalled fails its stream with `RunStalled`; it goes on at the provider, unless `onStall` says otherwise.
 * `maxQueued` and `maxFollowed` count from the acceptance of a response, whichever process follows it; `idleTimeout` and
 * `maxSilence` start again if a run is resumed. A response with a completion window (`BackgroundModel.demands`) has that
 * much more time for each, and is looked at 240 times in it at most.
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `checkpointEvery` | the acknowledged position is written at most this often | 200 ms |
 * | `workerName` | the name of this process as an owner of leases; its leases are told apart all the same | host and process id |
 * | `leaseTime` | how long a worker may be out of touch before others take its run; at most a day | 30 s |
 * | `leaseRetry` | when to ask again for a run that another worker holds, with `ifLeased: "wait"` | every 0.5 s |
 * | `closeTimeout` | how long a run that is left may take for its last write, its release, and the answer to a request under way | 5 s |
 * | `idleTimeout` | a connection that is silent for this long, keepalives included, is given up | 90 s |
 * | `maxQueued` | a run that stays queued for longer has stalled | 1 hour |
 * | `maxSilence` | a run of which nothing new is heard for longer has stalled | never |
 * | `maxFollowed` | a run that is under way for longer has stalled | never |
 * | `onStall` | what happens to a stalled run at the provider: it goes on, or it is cancelled | `"leave"` |
 * | `onAttach` | is run at each attachment to a run: the first, every reconnect, every look of a poll | nothing |
 * | `requestRetry` | repeats a request that the provider refused for now, having done nothing | 4 times, from 0.5 s |
 * | `reconnect` | repeats attachments and looks that fail; starts again with every progress, and a look that shows the run alive is one | 20 times, from 0.25 s to 10 s |
 * | `pollEvery` | when to look at a run that cannot be streamed | every 2 s |
 * | `onUnconfirmed` | what is done about a request that was sent and never answered: nothing, or it is sent again | `"fail"` |
 * | `onAgentChanged` | what happens to a run that another version of its agent started | `"fail"` |
 * | `maxUnacknowledged` | how many updates of a stream with manual acknowledgement may be out at once | 4,096 |
 * | `maxInput` | how large the input of `Agent.enqueue` may be, in bytes of UTF-8 as a store keeps it | 1 MiB |
 *
 * @since 0.1.0
 * @category models
 */
export interface RunPolicy {
  readonly checkpointEvery: Duration.Duration
  readonly workerName: string | undefined
  readonly leaseTime: Duration.Duration
  readonly leaseRetry: Schedule.Schedule<unknown>
  readonly closeTimeout: Duration.Duration
  readonly idleTimeout: Duration.Duration
  readonly maxQueued: Duration.Duration
  readonly maxSilence: Duration.Duration
  readonly maxFollowed: Duration.Duration
  readonly onStall: "leave" | "cancel"
  readonly onAttach: (attachment: Attachment) => Effect.Effect<void>
  readonly requestRetry: Schedule.Schedule<unknown>
  readonly reconnect: Schedule.Schedule<unknown>
  readonly pollEvery: Schedule.Schedule<unknown>
  readonly onUnconfirmed: "fail" | "restart"
  readonly onAgentChanged: "fail" | "continue"
  readonly maxUnacknowledged: number
  readonly maxInput: number
}

/**
 * The policy when nothing else is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: RunPolicy = {
  checkpointEvery: Duration.millis(200),
  workerName: undefined,
  leaseTime: Duration.seconds(30),
  leaseRetry: Schedule.jittered(Schedule.spaced("500 millis")),
  closeTimeout: Duration.seconds(5),
  idleTimeout: Duration.seconds(90),
  maxQueued: Duration.hours(1),
  maxSilence: Duration.infinity,
  maxFollowed: Duration.infinity,
  onStall: "leave",
  onAttach: () => Effect.void,
  requestRetry: Schedule.exponential("500 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 4 })),
  reconnect: Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("10 seconds")]).pipe(
    Schedule.jittered,
    Schedule.upTo({ times: 20 })
  ),
  pollEvery: Schedule.spaced("2 seconds"),
  onUnconfirmed: "fail",
  onAgentChanged: "fail",
  maxUnacknowledged: 4096,
  maxInput: 1024 * 1024
}

/**
 * The policy in force.
 *
 * @since 0.1.0
 * @category services
 */
export const RunPolicy = Context.Reference<RunPolicy>("@effect-baton/core/RunPolicy", { defaultValue: () => defaults })

/**
 * Settings to change: a duration may be a `Duration.Duration`, a text such as `"5 seconds"`, or a number of milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Changes = {
  readonly [Name in keyof RunPolicy]?: RunPolicy[Name] extends Duration.Duration ? Duration.Input : RunPolicy[Name]
}

/**
 * Changes some settings of the policy in force.
 *
 * **When to use**
 *
 * Provide it to a whole application, or around one verb.
 *
 * **Example** (Polling every five seconds, and giving up after a day)
 *
 * ```ts
 * import { RunPolicy } from "@effect-baton/core"
 * import { Schedule } from "effect"
 *
 * export const calm = RunPolicy.layer({ pollEvery: Schedule.spaced("5 seconds"), maxFollowed: "1 day" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (changes: Changes): Layer.Layer<never> =>
  Layer.effect(
    RunPolicy,
    Effect.map(RunPolicy, (policy) => {
      const duration = (name: Durations) => Duration.fromInputUnsafe(changes[name] ?? policy[name])
      return {
        ...policy,
        ...changes,
        checkpointEvery: duration("checkpointEvery"),
        leaseTime: duration("leaseTime"),
        closeTimeout: duration("closeTimeout"),
        idleTimeout: duration("idleTimeout"),
        maxQueued: duration("maxQueued"),
        maxSilence: duration("maxSilence"),
        maxFollowed: duration("maxFollowed")
      }
    })
  )

type Durations = {
  [Name in keyof RunPolicy]: RunPolicy[Name] extends Duration.Duration ? Name : never
}[keyof RunPolicy]
