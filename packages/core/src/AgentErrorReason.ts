/**
 * Reasons for which a call about a run fails: all that an `AgentError` can have.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import { RunStatus } from "./Run.ts"
import { TokenStoreError } from "./TokenStoreError.ts"

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
 * run goes on after the caller has done that.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunWaiting extends Schema.TaggedError<RunWaiting>()("RunWaiting", {
  waitingFor: Schema.Literals(["approval", "deferred", "limit"])
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    const what = {
      approval: "until somebody approves or rejects a tool call",
      deferred: "until somebody gives the result of a tool call",
      limit: "because it reached a limit, until somebody raises the limit"
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

/**
 * The token store has no run with this id, or the run belongs to another agent. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  runId: Schema.String,
  description: Schema.optionalKey(Schema.String)
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      this.description ??
      `The token store has no run '${this.runId.slice(0, 64)}'. Check the id, and that this process uses the store ` +
        `that the run was started with.`
    )
  }
}

/**
 * Another worker holds the run's lease. Retryable: the run is free once the lease is released or has ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunLeased extends Schema.TaggedError<RunLeased>()("RunLeased", {
  runId: Schema.String,
  owner: Schema.String,
  /** When the lease ends unless it is renewed: milliseconds since the epoch, by the store's clock. */
  until: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = true
  override get message(): string {
    return (
      `Worker '${this.owner}' holds the run until ${new Date(this.until).toISOString()}. Read along with Agent.watch, wait ` +
      `for the run with ifLeased: "wait", or try again later.`
    )
  }
}

/**
 * This worker lost the run's lease: it did not reach the store for longer than the lease lasts, or another worker stole the
 * run. This worker has written nothing since. Retryable: the run goes on from its last position.
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", { runId: Schema.String }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = true
  override get message(): string {
    return (
      "This worker lost the run's lease: it did not reach the store in time to renew it, or another worker stole the run. " +
      "Resume the run to go on from its last position."
    )
  }
}

/**
 * The store has a run of this id with another agent, input or session. Not retryable: give another run id, or the same
 * input as before.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunInputMismatch extends Schema.TaggedError<RunInputMismatch>()("RunInputMismatch", {
  runId: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `The run was started with another agent, input or session. A run id names one task: use another id for another ` +
      `input, or continue this run with Agent.resume.`
    )
  }
}

/**
 * Another version of the agent started the run. Not retryable, unless `RunPolicy.onAgentChanged` is `"continue"`.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentChanged extends Schema.TaggedError<AgentChanged>()("AgentChanged", {
  started: Schema.String,
  now: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `Version '${this.started}' of the agent started the run, and this process has version '${this.now}'. ` +
      `Set RunPolicy.onAgentChanged to "continue" to go on with this version.`
    )
  }
}

/**
 * A request that opens a response was sent, and no answer came: the provider may or may not be working on it. Not
 * retryable: Baton does not send the request again, as that could buy the work twice.
 *
 * **Details**
 *
 * Look for the run's id in the metadata of the provider's responses (`baton_run_id`). Then remove the run, open it again
 * with `Agent.retry`, or start it again with `RunPolicy.onUnconfirmed` set to `"restart"`. If a process records the id of
 * the response later, the run goes on by itself.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unconfirmed extends Schema.TaggedError<Unconfirmed>()("Unconfirmed", {
  error: Schema.optionalKey(AiError.AiError)
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    const cause = this.error === undefined ? "" : ` (${this.error.reason.message})`
    return (
      `A request to the provider was sent but never answered${cause}, so its response may have been bought. Open the run ` +
      `again with Agent.retry, or with RunPolicy.onUnconfirmed set to "restart", or remove it with Agent.remove and force: true.`
    )
  }
}

/**
 * A continuation token cannot be used: `kind` and `description` say why. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenInvalid extends Schema.TaggedError<TokenInvalid>()("TokenInvalid", {
  kind: Schema.Literals([
    "empty",
    "malformed",
    "unknown-version",
    "wrong-agent",
    "outdated",
    "unknown-position",
    "signature",
    "expired"
  ]),
  description: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The continuation token is invalid: ${this.description}`
  }
}

/**
 * The call needs a background run, and the provider or its model cannot run in the background. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class BackgroundUnsupported extends Schema.TaggedError<BackgroundUnsupported>()("BackgroundUnsupported", {
  provider: Schema.String
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The model '${this.provider}' cannot run in the background. Choose one that can, or stream with background: false.`
  }
}

/**
 * An argument of the call cannot be used: an empty input, a run id that is too long, input with a token. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", { description: Schema.String }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return this.description
  }
}

/**
 * The input is larger than `RunPolicy.maxInput`: both count bytes of UTF-8. Nothing was recorded. Not retryable.
 *
 * @since 0.1.0
 * @category errors
 */
export class InputTooLarge extends Schema.TaggedError<InputTooLarge>()("InputTooLarge", {
  bytes: Schema.Number,
  limit: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The input has ${this.bytes} bytes; RunPolicy.maxInput is ${this.limit}. Give files by URL, or use Agent.start.`
  }
}

/**
 * An operation of the token store failed. Retryable if the store's error is.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreFailed extends Schema.TaggedError<StoreFailed>()("StoreFailed", { error: TokenStoreError }) {
  /** Whether the same call can succeed later. */
  get isRetryable(): boolean {
    return this.error.isRetryable
  }
  override get message(): string {
    return `The token store failed: ${this.error.message}`
  }
}

/**
 * All reasons of an `AgentError`. A request that a provider refuses has the `AiError` of `effect/ai`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AgentErrorReason = Schema.Union([
  RunFailed,
  RunCancelled,
  RunInterrupted,
  RunWaiting,
  RunNotOpened,
  RunExpired,
  RunStalled,
  RunDiverged,
  RunNotFound,
  RunLeased,
  LeaseLost,
  RunInputMismatch,
  AgentChanged,
  Unconfirmed,
  TokenInvalid,
  BackgroundUnsupported,
  InvalidInput,
  InputTooLarge,
  StoreFailed,
  AiError.AiError
])

/**
 * The type of `AgentErrorReason`.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentErrorReason = typeof AgentErrorReason.Type
