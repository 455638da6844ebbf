/**
 * The error of all verbs: one tagged error with a reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { AgentErrorReason } from "./AgentErrorReason.ts"

/**
 * All reasons, so that `AgentError.RunFailed` stands beside `AgentError.AgentError`.
 *
 * @since 0.1.0
 * @category errors
 */
export * from "./AgentErrorReason.ts"

/**
 * The error of the verbs of `Agent` and `Runs`: it names the run, and says why the call failed.
 *
 * **When to use**
 *
 * Handle single reasons with `Effect.catchReason`, and check `isRetryable` before you retry.
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
 *   Effect.catchReason("AgentError", "RunLeased", (leased) => Effect.succeed(`${leased.owner} writes it`))
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
  /** The provider's id of the run's current response, if it is known. */
  responseId: Schema.optionalKey(Schema.String),
  reason: AgentErrorReason
}) {
  override readonly cause: unknown = this.reason

  /** Whether the same call can succeed later. */
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
