/**
 * Reasons for which a call about a run fails that concern tool calls. `AgentError` exports all of them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RunStatus } from "./Run.ts"

/**
 * A tool failed, and its failures end the run (`failureMode: "error"`). Not retryable: `Agent.retry` asks the model again
 * from the turn that failed.
 *
 * **Details**
 *
 * `error` is the failure as the handler gave it, or the `AiError` for parameters or a result that the tool's schemas refuse.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolFailed extends Schema.TaggedError<ToolFailed>()("ToolFailed", {
  tool: Schema.String,
  callId: Schema.String,
  error: Schema.Unknown
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `The tool '${this.tool}' failed in call '${this.callId}', and its failures end the run. Handle the failure in the ` +
      `tool's handler, or use failureMode: "return", which tells the model.`
    )
  }
}

/**
 * The handler of a tool died with a defect, which ended the run. Not retryable: mend the handler, then use `Agent.retry`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolDefect extends Schema.TaggedError<ToolDefect>()("ToolDefect", {
  tool: Schema.String,
  callId: Schema.String,
  description: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The handler of tool '${this.tool}' died in call '${this.callId}': ${this.description}`
  }
}

/**
 * The run asks for a tool for which this process has no handler. The run is parked, and has not failed. Not retryable:
 * provide `Agent.toLayer` of an agent with this tool, then resume the run, or use `Runs.retry`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolMissing extends Schema.TaggedError<ToolMissing>()("ToolMissing", { tool: Schema.String }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `The run asks for the tool '${this.tool}', and this process has no handler for it. Provide Agent.toLayer of an ` +
      "agent that has the tool, then resume the run, or use Runs.retry."
    )
  }
}

/**
 * The run has no such tool call, or the call has not been started. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolNotFound extends Schema.TaggedError<ToolNotFound>()("ToolNotFound", {
  call: Schema.String,
  description: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The tool call '${this.call}' cannot be answered: ${this.description}`
  }
}

/**
 * Somebody else has answered this tool call, with another answer. The first answer counts. Not retryable.
 *
 * **Details**
 *
 * `answer` is the answer that counts, `by` names who gave it, and `at` is the time in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlreadyAnswered extends Schema.TaggedError<AlreadyAnswered>()("AlreadyAnswered", {
  callId: Schema.String,
  answer: Schema.Literals(["approved", "rejected", "completed"]),
  by: Schema.String,
  at: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `The tool call '${this.callId}' was ${this.answer} by '${this.by}' at ${new Date(this.at).toISOString()}. The first ` +
      "answer counts."
    )
  }
}

/**
 * The run has ended, so that nothing about it can be decided any more. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunOver extends Schema.TaggedError<RunOver>()("RunOver", { status: RunStatus }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The run is ${this.status}. Nothing about it can be decided any more. Read it with Agent.result.`
  }
}
