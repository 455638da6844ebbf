/**
 * Everything that can go wrong with a run, as one typed error with a reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { AgentErrorReason } from "./AgentErrorReason.ts"

/**
 * The reasons, so that `AgentError.RunFailed` is there beside `AgentError.AgentError`.
 *
 * @since 0.1.0
 * @category reasons
 */
export * from "./AgentErrorReason.ts"

/**
 * The error of every verb of `Agent`: which run, and why.
 *
 * **When to use**
 *
 * Match reasons with `Effect.catchReason`, and ask `isRetryable` before a retry.
 *
 * **Example** (Handling one reason)
 *
 * ```ts
 * import { AgentError } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * declare const report: Effect.Effect<string, AgentError.AgentError>
 *
 * export const program = report.pipe(
 *   Effect.catchReason("AgentError", "RunLeased", (leased) => Effect.succeed(`${leased.owner} is at it`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentError extends Schema.TaggedError<AgentError>()("AgentError", {
  /** The run's id; absent if the call failed before a run had one. */
  runId: Schema.optionalKey(Schema.String),
  /** The name of the run's agent, if it is known. */
  agent: Schema.optionalKey(Schema.String),
  /** The provider's id of the response that the run was at, if anybody knows it. */
  responseId: Schema.optionalKey(Schema.String),
  reason: AgentErrorReason
}) {
  override readonly cause: unknown = this.reason

  /** Whether the same call again can help. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  override get message(): string {
    const { agent, reason, responseId, runId } = this
    const response = responseId === undefined ? "" : `, response '${responseId}'`
    if (runId !== undefined) {
      return `Run '${runId}'${agent === undefined ? "" : ` of agent '${agent}'`}${response}: ${reason.message}`
    }
    return agent === undefined ? reason.message : `Agent '${agent}'${response}: ${reason.message}`
  }
}
