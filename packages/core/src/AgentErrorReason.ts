/**
 * Reasons for which a call about a run fails: all that an `AgentError` can have.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import {
  RunCancelled,
  RunDiverged,
  RunExpired,
  RunFailed,
  RunInterrupted,
  RunNotOpened,
  RunStalled,
  RunWaiting
} from "./RunFailure.ts"
import { AlreadyAnswered, RunOver, ToolDefect, ToolFailed, ToolMissing, ToolNotFound } from "./ToolErrors.ts"
import { TokenStoreError } from "./TokenStoreError.ts"
import { LogFull, LogNotFound, LogTruncated, UpdateLogError } from "./UpdateLogError.ts"

/**
 * Reasons that lie in the run itself.
 *
 * @since 0.1.0
 * @category errors
 */
export * from "./RunFailure.ts"

/**
 * Reasons that concern tool calls.
 *
 * @since 0.1.0
 * @category errors
 */
export * from "./ToolErrors.ts"

/**
 * Reasons that come from the update log as they are.
 *
 * @since 0.1.0
 * @category errors
 */
export { LogFull, LogNotFound, LogTruncated } from "./UpdateLogError.ts"

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
 * **Details**
 *
 * `kind` is `"rewritten"` if the update log lost what lies before this position, and has something else there now: read the
 * run from its start.
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
    "rewritten",
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
 * An operation of the update log failed. Retryable if the log's error is.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogFailed extends Schema.TaggedError<LogFailed>()("LogFailed", { error: UpdateLogError }) {
  /** Whether the same call can succeed later. */
  get isRetryable(): boolean {
    return this.error.isRetryable
  }
  override get message(): string {
    return `The update log failed: ${this.error.message}`
  }
}

/**
 * The updates of the run are in an update log, and this process has none. Not retryable: provide the same `UpdateLog` that
 * the run was started with.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogMissing extends Schema.TaggedError<LogMissing>()("LogMissing", {}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return "The run was started with an update log, and this process has none. Provide the layer of that UpdateLog here too."
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
  ToolFailed,
  ToolDefect,
  ToolMissing,
  ToolNotFound,
  AlreadyAnswered,
  RunOver,
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
  LogFailed,
  LogMissing,
  LogNotFound,
  LogTruncated,
  LogFull,
  AiError.AiError
])

/**
 * The type of `AgentErrorReason`.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentErrorReason = typeof AgentErrorReason.Type
