/**
 * The decision whether a tool call may run.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { RunId } from "./Run.ts"

/**
 * A tool call about which a policy decides.
 *
 * **Details**
 *
 * `params` are the parameters as the model wrote them, not decoded. `needsApproval` is what the tool itself says; it is true
 * if the tool's own function failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly runId: RunId
  readonly turn: number
  readonly callId: string
  readonly tool: string
  readonly params: unknown
  readonly needsApproval: boolean
}

/**
 * What a policy decides about a call. `time` is how long the call waits for approval.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Allow" }
  | { readonly _tag: "Ask"; readonly time?: Duration.Input }
  | { readonly _tag: "Reject"; readonly reason: string }

/**
 * A policy: it is asked once for each call, and its decision is recorded. If it fails or dies, the call waits for approval.
 *
 * @since 0.1.0
 * @category models
 */
export type ToolPolicy<E = unknown, R = never> = (request: Request) => Effect.Effect<Decision, E, R>

/**
 * The call runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const allow: Decision = { _tag: "Allow" }

/**
 * The call waits until somebody approves or rejects it. After `time` it counts as rejected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ask = (options: { readonly time?: Duration.Input } = {}): Decision => ({ _tag: "Ask", ...options })

/**
 * The call does not run, and the model is told the reason.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reject = (reason: string): Decision => ({ _tag: "Reject", reason })
