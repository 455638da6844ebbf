/**
 * The arguments of the verbs of `Agent`. `Agent` exports all of them.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Prompt from "effect/ai/Prompt"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { KeptUntil, Labels } from "./RunRecord.ts"
import type { Session } from "./Session.ts"

/**
 * Names an existing run: by its id, or by a position in it (a token, or the text that `ContinuationToken.encode` made).
 *
 * @since 0.1.0
 * @category models
 */
export type RunRef =
  | { readonly runId: string; readonly continuationToken?: never; readonly input?: never }
  | { readonly continuationToken: ContinuationToken | string; readonly runId?: never; readonly input?: never }

/**
 * Names an existing run, and the update after which a viewer begins.
 *
 * **Details**
 *
 * - A run's id: from its start.
 * - A token: right after the update that carried it.
 * - A run's id, an `offset` and an `epoch`, both from the token of an update of a run with an update log: right after that
 *   update. These two numbers stay good after `Agent.retry`, when tokens do not. Without an `epoch`, nobody checks whether
 *   the log still has the update that the viewer saw.
 *
 * @since 0.1.0
 * @category models
 */
export type WatchRef =
  | (RunRef & { readonly offset?: never; readonly epoch?: never })
  | {
      readonly runId: string
      readonly offset: number
      readonly epoch?: number
      readonly continuationToken?: never
      readonly input?: never
    }

/**
 * A task for an agent.
 *
 * **Details**
 *
 * With a `runId` the call can be repeated: the same id with the same input continues that run and buys nothing. Without a
 * `runId`, each execution of the effect starts, and buys, a new run.
 *
 * `labels` are names and values by which your application finds the run (see `RunRecord.Labels`). Listings show them, so
 * put no content into them. They are set when the run is first recorded, and never change.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunInput {
  readonly input: Prompt.RawInput
  readonly runId?: string
  readonly session?: Session
  readonly labels?: Labels
  readonly continuationToken?: never
}

/**
 * A task for an agent, for a worker to open.
 *
 * **Details**
 *
 * - `background`: whether the run goes on at the provider while no process follows it. By default as the agent says, or
 *   true.
 * - `notBefore`: workers do not take the run before this time, by the clock of this process. By default they may take it at
 *   once.
 * - `keepInput`: how long the store keeps the input. With `"ended"`, the default, until the run has ended well, so that
 *   `Agent.retry` needs no input. With `"accepted"`, only until the provider has accepted the run.
 *
 * @since 0.1.0
 * @category models
 */
export interface EnqueueInput extends RunInput {
  readonly background?: boolean
  readonly notBefore?: DateTime.DateTime | Date
  readonly keepInput?: KeptUntil
}

/**
 * A response that another program opened, and the id and labels of the run that `Agent.adopt` makes of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdoptOptions extends Pick<RunInput, "labels" | "runId"> {
  readonly responseId: string
}

/**
 * Says what happens if another worker holds the run.
 *
 * **Details**
 *
 * - `"fail"`, the default: fail with `RunLeased`, which names the worker and the end of its lease.
 * - `"wait"`: try again on the schedule `RunPolicy.leaseRetry` until the run is free.
 * - `"steal"`: take the run at once. The other worker writes nothing from then on, and stops with `LeaseLost`: within one
 *   `RunPolicy.checkpointEvery` and one write if it has something to write, else at its next renewal, which comes within a
 *   third of `RunPolicy.leaseTime`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LeaseOptions {
  readonly ifLeased?: "fail" | "wait" | "steal"
}

/**
 * Options of a stream that advances a run.
 *
 * **Details**
 *
 * `acknowledge`: with `"pull"`, the default, an update is acknowledged when the next one is pulled, or when the stream's
 * scope closes with success. With `"manual"` the elements are `AgentUpdate.Delivery`, and you acknowledge each of them.
 * Every operator that pulls ahead of its consumer needs `"manual"`: `buffer`, `grouped`, `mapEffect` with concurrency,
 * `merge`, `timeout`, `debounce`, …
 *
 * `onInterrupt`: says what happens to the run if the stream is interrupted. With `"leave"`, the default, the run goes on;
 * with `"cancel"` it is cancelled.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions extends LeaseOptions {
  readonly acknowledge?: "pull" | "manual"
  readonly onInterrupt?: "leave" | "cancel"
}

/**
 * Names a tool call of a run: by the id of its approval, or by the provider's id of the call.
 *
 * **Details**
 *
 * Call ids are unique only within a turn. Without a `turn`, the last call of the run with this id is meant. `approvalId` is
 * in the `tool-approval-request` part of the run's updates, and in `AgentResponse.pending`.
 *
 * @since 0.1.0
 * @category models
 */
export type CallRef = RunRef &
  (
    | { readonly approvalId: string; readonly callId?: never; readonly turn?: never }
    | { readonly callId: string; readonly turn?: number; readonly approvalId?: never }
  )
