/**
 * What the verbs of agents are given: a task, the name of a run, and how it is read. `Agent` exports all of it.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Prompt from "effect/ai/Prompt"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { KeptUntil, Labels } from "./RunRecord.ts"
import type { Session } from "./Session.ts"

/**
 * Names a run that exists: by its id, or by a position in it (a token, or the text that `ContinuationToken.encode` made).
 *
 * @since 0.1.0
 * @category models
 */
export type RunRef =
  | { readonly runId: string; readonly continuationToken?: never; readonly input?: never }
  | { readonly continuationToken: ContinuationToken | string; readonly runId?: never; readonly input?: never }

/**
 * A task for an agent.
 *
 * **Details**
 *
 * `runId` makes the call repeatable: the same id with the same input continues that run and buys nothing. Without one,
 * each execution starts, and buys, a new run.
 *
 * `labels` are what your application calls the run by (see `RunRecord.Labels`): listings show them, so keep content out of
 * them. They are set when the run is recorded first, and never change.
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
 * A task for an agent that a worker does.
 *
 * **Details**
 *
 * - `background`: whether the run goes on at the provider when nobody watches. By default as the agent says, or true.
 * - `notBefore`: workers leave the run alone until then, by the clock of this process. By default they may take it at once.
 * - `keepInput`: how long the store keeps the input. With `"ended"`, the default, until the run has ended well, so that
 *   `Agent.retry` needs no input; with `"accepted"` only until the provider has accepted it.
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
 * A response that something else opened, and what its run is called.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdoptOptions extends Pick<RunInput, "labels" | "runId"> {
  readonly responseId: string
}

/**
 * What to do about a run that another worker holds.
 *
 * **Details**
 *
 * - `"fail"`, the default: `RunLeased`, which says who holds it and until when.
 * - `"wait"`: ask again on the policy's schedule until the run is free.
 * - `"steal"`: take it at once. The other worker commits nothing any more, and stops with `LeaseLost`: within one
 *   `checkpointEvery` and one write if it has something to write, else at its next renewal, which comes within a third of
 *   `leaseTime`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LeaseOptions {
  readonly ifLeased?: "fail" | "wait" | "steal"
}

/**
 * How a stream is read.
 *
 * **Details**
 *
 * `acknowledge`: with `"pull"`, the default, an update counts as finished when the next one is pulled, or when the
 * stream's scope closes with success. With `"manual"` the elements are `AgentUpdate.Delivery`, and you acknowledge each:
 * everything that pulls ahead needs that (`buffer`, `grouped`, `mapEffect` with concurrency, `merge`, `timeout`,
 * `debounce`, …).
 *
 * `onInterrupt`: what the interruption of the stream does to the run. With `"leave"`, the default, the run goes on; with
 * `"cancel"` it is cancelled.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions extends LeaseOptions {
  readonly acknowledge?: "pull" | "manual"
  readonly onInterrupt?: "leave" | "cancel"
}
