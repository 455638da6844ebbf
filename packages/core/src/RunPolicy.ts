/**
 * The settings of runs: schedules, deadlines and limits.
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
 * One attachment to a response of a run: by the request that opens it, by a replay of its stream, or by a poll.
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
  /** The number of the last event that was delivered; -1 before the first. */
  readonly sequenceNumber: number
}

/**
 * The settings of runs.
 *
 * **Details**
 *
 * If a run stalls, its stream fails with `RunStalled`; the run goes on at the provider, unless `onStall` is `"cancel"`.
 * `maxQueued` and `maxFollowed` count from the acceptance of a response, whichever process follows it; `idleTimeout` and
 * `maxSilence` start again if a run is resumed. A response with a completion window (`BackgroundModel.demands`) has that
 * much more time for each limit, and is polled at most 240 times during the window.
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `checkpointEvery` | an acknowledged position is written after this long, the latest of them with one write | 200 ms |
 * | `workerName` | the name of this process as an owner of leases; each lease adds an id of its own | host and process id |
 * | `leaseTime` | how long a worker may fail to reach the store before others take its run; at most a day | 30 s |
 * | `leaseRetry` | when `ifLeased: "wait"` tries again to take a run | every 0.5 s |
 * | `closeTimeout` | how long leaving a run may take: the last write, the release, the answer to an open request | 5 s |
 * | `idleTimeout` | how long a connection may bring nothing, not even keepalives, before it is replaced | 90 s |
 * | `maxQueued` | how long a run may be queued before it has stalled | 1 hour |
 * | `maxSilence` | how long nothing new may come from a run before it has stalled | no limit |
 * | `maxFollowed` | how long a run may be under way before it has stalled | no limit |
 * | `onStall` | whether a stalled run goes on at the provider, or is cancelled | `"leave"` |
 * | `onAttach` | an effect to run at each attachment: the first, every reconnect, every poll | nothing |
 * | `requestRetry` | when a request is sent again that the provider refused for now, without an effect | 4 times, from 0.5 s |
 * | `reconnect` | when a failed attachment or poll is repeated; starts again after progress, or if a poll shows that the run is alive | 20 times, from 0.25 s to 10 s |
 * | `pollEvery` | when a run is polled that cannot be streamed | every 2 s |
 * | `onUnconfirmed` | whether a request that was never answered is left alone (`"fail"`) or sent again (`"restart"`) | `"fail"` |
 * | `onAgentChanged` | whether a run that another version of its agent started fails or goes on | `"fail"` |
 * | `maxUnacknowledged` | how many updates of a stream with manual acknowledgement may be unacknowledged at once | 4,096 |
 * | `logEvery` | with an update log: updates are appended after this long, or once there are 1,024 of them or 64 KB | 50 ms |
 * | `maxLog` | how large the log of one run may become, in bytes, before its oldest acknowledged updates are removed | 64 MiB |
 * | `maxToolResult` | the largest result of a tool call, in bytes of JSON; a larger one counts as a failure of the tool | 1 MiB |
 * | `maxInput` | the largest input of `Agent.enqueue`, in bytes of UTF-8 | 1 MiB |
 *
 * @since 0.1.0
 * @category configuration
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
  readonly logEvery: Duration.Duration
  readonly maxLog: number
  readonly maxToolResult: number
  readonly maxInput: number
}

/**
 * The default policy.
 *
 * @since 0.1.0
 * @category configuration
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
  logEvery: Duration.millis(50),
  maxLog: 64 * 1024 * 1024,
  maxToolResult: 1024 * 1024,
  maxInput: 1024 * 1024
}

/**
 * The service with the settings of runs; `defaults` unless you provide others, for instance with `layer`.
 *
 * @since 0.1.0
 * @category services
 */
export const RunPolicy = Context.Reference<RunPolicy>("@effect-baton/core/RunPolicy", { defaultValue: () => defaults })

/**
 * Settings to change. A duration may be a `Duration.Duration`, a text such as `"5 seconds"`, or a number of milliseconds.
 *
 * @since 0.1.0
 * @category configuration
 */
export type Changes = {
  readonly [Name in keyof RunPolicy]?: RunPolicy[Name] extends Duration.Duration ? Duration.Input : RunPolicy[Name]
}

/**
 * Changes some settings of the current policy.
 *
 * **When to use**
 *
 * Provide the layer to a whole application, or to one call of a verb.
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
        maxFollowed: duration("maxFollowed"),
        logEvery: duration("logEvery")
      }
    })
  )

type Durations = {
  [Name in keyof RunPolicy]: RunPolicy[Name] extends Duration.Duration ? Name : never
}[keyof RunPolicy]
