/**
 * The verbs that answer for a run's tool calls and limits. `Agent` exports all of them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Tool from "effect/ai/Tool"
import type { Any, Limits, ToolsOf } from "./AgentDefinition.ts"
import type { AgentError } from "./AgentError.ts"
import * as Answering from "./internal/verbs/answering.ts"
import type { CallRef, RunRef } from "./RunInput.ts"
import type { TokenStore } from "./TokenStore.ts"

/**
 * Approves a tool call that waits for approval. A worker then runs the call, or the next `Agent.resume`.
 *
 * **Details**
 *
 * Works from any process, and needs neither the provider nor the handlers. `by` names who approves; it is kept with the run.
 * Approving a call twice is no error. Fails with `AlreadyAnswered` if the call was rejected before, also because its time
 * ran out, with `ToolNotFound` if no such call waits for approval, with `RunOver`, `RunNotFound` and `StoreFailed`.
 *
 * **Example** (Approving all calls of a run)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const clerk = Agent.make("clerk")
 *
 * export const program = Effect.gen(function* () {
 *   const { pending = [] } = yield* Agent.poll(clerk, { runId: "refund-7" })
 *   for (const { approvalId } of pending) {
 *     if (approvalId !== undefined) yield* Agent.approve(clerk, { runId: "refund-7", approvalId, by: "alice" })
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const approve: (
  agent: Any,
  ref: CallRef & { readonly by?: string }
) => Effect.Effect<void, AgentError, TokenStore> = Answering.approve

/**
 * Rejects a tool call that waits for approval: it does not run, and the model is told the reason.
 *
 * **Details**
 *
 * Rejecting a call twice is no error; the first reason counts. Fails as `approve` does.
 *
 * **Example** (Rejecting a call)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 *
 * const clerk = Agent.make("clerk")
 *
 * export const program = Agent.reject(clerk, { runId: "refund-7", callId: "call_1", reason: "The order was not paid." })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const reject: (
  agent: Any,
  ref: CallRef & { readonly reason: string; readonly by?: string }
) => Effect.Effect<void, AgentError, TokenStore> = Answering.reject

/**
 * The result of a tool call, or its failure, with the types of the agent's tools.
 *
 * @since 0.1.0
 * @category models
 */
export type ToolAnswer<A extends Any> = {
  readonly [Name in keyof ToolsOf<A> & string]: { readonly tool: Name } & (
    | { readonly result: Tool.Success<ToolsOf<A>[Name]>; readonly failure?: never }
    | { readonly failure: Tool.Failure<ToolsOf<A>[Name]>; readonly result?: never }
  )
}[keyof ToolsOf<A> & string]

/**
 * Gives the result of a tool call that was started and has none: a handler answered `ToolCall.later`, or its process died
 * and the tool's `onCut` is `"wait"`. The run then goes on, by a worker or the next `Agent.resume`.
 *
 * **Details**
 *
 * Works from any process, and needs neither the provider nor the handlers. It may come before the handler has answered
 * `later`. The first result counts: the same result a second time is no error, another one fails with `AlreadyAnswered`. A
 * `failure` of a tool with `failureMode: "error"` ends the run. Fails with `ToolNotFound` if the run has no such call of this
 * tool, or if the call was not started, with `InvalidInput` if the result does not fit the tool's schema or is larger than
 * `RunPolicy.maxToolResult`, with `RunOver`, `RunNotFound` and `StoreFailed`.
 *
 * **Example** (Giving a result from another process)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Schema } from "effect"
 * import { Tool, Toolkit } from "effect/ai"
 *
 * const ask = Tool.make("ask", { parameters: Schema.Struct({ question: Schema.String }), success: Schema.String })
 * const clerk = Agent.make("clerk", { toolkit: Toolkit.make(ask) })
 *
 * export const program = Agent.completeTool(clerk, { runId: "order-7", callId: "call_1", tool: "ask", result: "Yes." })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const completeTool = <A extends Any>(
  agent: A,
  ref: CallRef & ToolAnswer<A> & { readonly by?: string }
): Effect.Effect<void, AgentError, TokenStore> => Answering.completeTool(agent, ref as never)

/**
 * Raises limits of a run that has reached one, or will. The run then goes on, by a worker or the next `Agent.resume`.
 *
 * **Details**
 *
 * Each given limit is the new total: `turns: 20` allows 20 turns in all. A limit that is lower than the present one changes
 * nothing. It has no effect on a limit that the agent does not have. Works from any process. Fails with `InvalidInput`,
 * `RunOver`, `RunNotFound` and `StoreFailed`.
 *
 * **Example** (Allowing ten more turns)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 *
 * const clerk = Agent.make("clerk", { limits: { turns: 10 } })
 *
 * export const program = Agent.raise(clerk, { runId: "order-7" }, { turns: 20 })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const raise: (
  agent: Any,
  ref: RunRef & { readonly by?: string },
  limits: Limits
) => Effect.Effect<void, AgentError, TokenStore> = Answering.raise
