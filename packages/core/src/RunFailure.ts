/**
 * Reasons that lie in the run itself: how it ended, or why it does not go on. `AgentError` exports all of them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import { LimitName, RunStatus, WaitingFor } from "./Run.ts"

/**
 * The provider ended the run as failed; `error` says why. Not retryable: the run is over. Open it again with `Agent.retry`.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunFailed extends Schema.TaggedError<RunFailed>()("RunFailed", { error: AiError.AiError }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The run failed at the provider: ${this.error.reason.message.replace(/\.$/, "")}. Open it again with Agent.retry.`
  }
}

/**
 * The run was cancelled. Not retryable: the run is over.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunCancelled extends Schema.TaggedError<RunCancelled>()("RunCancelled", {}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return "The run was cancelled. Start a new run, or open this one again with Agent.retry, if you still want its result."
  }
}

/**
 * The run was a foreground run, and ended together with the process or the stream that followed it. Not retryable: start a
 * new run, in the background if it must outlive its process.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunInterrupted extends Schema.TaggedError<RunInterrupted>()("RunInterrupted", {}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      "The run was a foreground run, and ended together with the process or the stream that followed it. Start a run " +
      "with background: true and another run id: such a run can be resumed."
    )
  }
}

/**
 * The run waits for its caller: to approve a tool call, to give a call's result, or to raise a limit. Not retryable: the
 * run goes on after the caller has done that. `limit` names the limit that was reached.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunWaiting extends Schema.TaggedError<RunWaiting>()("RunWaiting", {
  waitingFor: WaitingFor,
  limit: Schema.optionalKey(LimitName)
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    const what = {
      approval: "until somebody approves or rejects a tool call",
      deferred: "until somebody gives the result of a tool call",
      limit: `because it reached its limit${this.limit === undefined ? "" : ` '${this.limit}'`}, until somebody raises it`
    }
    return `The run waits ${what[this.waitingFor]}. Resume it after that.`
  }
}

/**
 * The run was recorded, but no request for it was sent to the provider, and this call does not have its input. Not
 * retryable: call a verb that takes the input.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotOpened extends Schema.TaggedError<RunNotOpened>()("RunNotOpened", {}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      "The run was recorded, but never opened at the provider, and cannot be opened without its input. Call Agent.stream, " +
      "Agent.run or Agent.start with the same run id and input, or remove the run with Agent.remove."
    )
  }
}

/**
 * The provider no longer has the run's response: somebody deleted it, or the provider kept it no longer. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunExpired extends Schema.TaggedError<RunExpired>()("RunExpired", { responseId: Schema.String }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The provider no longer has the run's response '${this.responseId}'. Start a new run under another run id.`
  }
}

/**
 * The run made no progress for longer than `RunPolicy` allows. Retryable: `Agent.resume` waits on from the same position.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunStalled extends Schema.TaggedError<RunStalled>()("RunStalled", {
  /** The status that was seen last. `responseId` and `sequenceNumber` name the response and its event that were. */
  status: RunStatus,
  responseId: Schema.optionalKey(Schema.String),
  sequenceNumber: Schema.optionalKey(Schema.Int),
  description: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = true
  override get message(): string {
    const event = this.sequenceNumber === undefined ? "" : `event ${this.sequenceNumber} of `
    const seen = this.responseId === undefined ? "" : `, last seen at ${event}response '${this.responseId}'`
    return `The run stalled while ${this.status}${seen}: ${this.description}. Resume it later, or cancel it.`
  }
}

/**
 * The provider's output contradicts the updates that were delivered already: the final output does not begin with them, a
 * text ends differently, or a replay brings an event too late. Not retryable: read the whole output with `Agent.result`.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunDiverged extends Schema.TaggedError<RunDiverged>()("RunDiverged", { description: Schema.String }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The provider's output contradicts what was delivered: ${this.description}. Read all of it with Agent.result.`
  }
}
