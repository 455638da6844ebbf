/**
 * Why something went wrong with a run: every reason that an `AgentError` can have.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import { RunStatus } from "./Run.ts"
import { TokenStoreError } from "./TokenStoreError.ts"

/**
 * The provider ended the run as failed; `error` says why. Not retryable: the run is over, start another.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunFailed extends Schema.TaggedError<RunFailed>()("RunFailed", { error: AiError.AiError }) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `It failed at the provider: ${this.error.reason.message.replace(/\.$/, "")}. Open it again with Agent.retry.`
  }
}

/**
 * The run was cancelled. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunCancelled extends Schema.TaggedError<RunCancelled>()("RunCancelled", {}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return "It was cancelled. Start a new run if you still want its result."
  }
}

/**
 * The run ran in the foreground, and ended with the process that watched it. Not retryable: start it again, in the
 * background if it must outlive its process.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunInterrupted extends Schema.TaggedError<RunInterrupted>()("RunInterrupted", {}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      "It ran in the foreground, which ends with the process or the stream that watches it. Start it again with " +
      "background: true and another run id, and it can be resumed."
    )
  }
}

/**
 * The run waits for somebody: for the approval of a tool call, for a call's result, or for a higher limit. Not retryable:
 * the run goes on once that is there.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunWaiting extends Schema.TaggedError<RunWaiting>()("RunWaiting", {
  waitingFor: Schema.Literals(["approval", "deferred", "limit"])
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    const what = {
      approval: "for the approval of a tool call",
      deferred: "for the result of a tool call",
      limit: "because it reached a limit"
    }
    return `It waits ${what[this.waitingFor]}. Resume it when that is there.`
  }
}

/**
 * The run was recorded, but never opened at the provider, and its input is not here. Not retryable as it is: start it
 * again with its input.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunNotOpened extends Schema.TaggedError<RunNotOpened>()("RunNotOpened", {}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      "It was recorded, but never opened at the provider, and only its input can open it. Call Agent.stream, Agent.run or " +
      "Agent.start with the same run id and input, or give it up with Agent.remove."
    )
  }
}

/**
 * The provider no longer knows the run's response: it was deleted there, or kept no longer. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunExpired extends Schema.TaggedError<RunExpired>()("RunExpired", { responseId: Schema.String }) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The provider no longer has its response '${this.responseId}'. Start a new run under another run id.`
  }
}

/**
 * The run stands still for longer than the policy allows. Retryable: `resume` goes on waiting from the same position.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunStalled extends Schema.TaggedError<RunStalled>()("RunStalled", {
  /** What was last seen of it: its status, the provider's response, and the number of the last event. */
  status: RunStatus,
  responseId: Schema.optionalKey(Schema.String),
  sequenceNumber: Schema.optionalKey(Schema.Int),
  description: Schema.String
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = true
  override get message(): string {
    const event = this.sequenceNumber === undefined ? "" : `event ${this.sequenceNumber} of `
    const seen = this.responseId === undefined ? "" : `, last seen at ${event}response '${this.responseId}'`
    return `It stalled while ${this.status}${seen}: ${this.description}. Resume it later, or cancel it.`
  }
}

/**
 * What the provider says of the output contradicts what was delivered already: its final output does not begin with it,
 * a text ends as another one, or an event of a replay comes too late. Not retryable: read the whole output with
 * `Agent.result`.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunDiverged extends Schema.TaggedError<RunDiverged>()("RunDiverged", { description: Schema.String }) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The output contradicts what was delivered: ${this.description}. Read it whole with Agent.result.`
  }
}

/**
 * The token store has no such run, or it belongs to another agent. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  runId: Schema.String,
  description: Schema.optionalKey(Schema.String)
}) {
  /** Whether the same call again can help. */
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
 * Another worker holds the run's lease. Retryable: once the lease is released or over, the run is free.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunLeased extends Schema.TaggedError<RunLeased>()("RunLeased", {
  runId: Schema.String,
  owner: Schema.String,
  /** When the lease ends unless renewed: milliseconds since the epoch, by the store's clock. */
  until: Schema.Number
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = true
  override get message(): string {
    return (
      `Worker '${this.owner}' holds it until ${new Date(this.until).toISOString()}. Read along with Agent.watch, wait ` +
      `for it with ifLeased: "wait", or try again later.`
    )
  }
}

/**
 * This worker lost the run's lease: it was out of touch for longer than the lease, or another worker stole the run.
 * It has committed nothing since. Retryable: the run goes on from its last position.
 *
 * @since 0.1.0
 * @category reasons
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", { runId: Schema.String }) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = true
  override get message(): string {
    return (
      "This worker lost its lease: it was out of touch for too long, or another worker stole the run. Resume the run to " +
      "go on from its last position."
    )
  }
}

/**
 * The run id is known with another input. Not retryable: give another run id, or the first input again.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RunInputMismatch extends Schema.TaggedError<RunInputMismatch>()("RunInputMismatch", {
  runId: Schema.String
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `It was started with another agent, input or session. A run id names one task: use another id for another input, ` +
      `or continue this run with Agent.resume.`
    )
  }
}

/**
 * The agent's version changed while the run was under way. Not retryable; `RunPolicy.onAgentChanged` can allow it.
 *
 * @since 0.1.0
 * @category reasons
 */
export class AgentChanged extends Schema.TaggedError<AgentChanged>()("AgentChanged", {
  started: Schema.String,
  now: Schema.String
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `Version '${this.started}' of the agent started it, and this is version '${this.now}'. ` +
      `Set RunPolicy.onAgentChanged to "continue" to go on all the same.`
    )
  }
}

/**
 * A request that opens a response was sent, and no answer came: the provider may or may not be working on it. Baton does
 * not send it again by itself, as that could buy the work twice.
 *
 * **Details**
 *
 * Look for the run's id in the metadata of the provider's responses (`baton_run_id`). Then remove the run, open it again
 * with `Agent.retry`, or start it again with `RunPolicy.onUnconfirmed` set to `"restart"`. If the response's id becomes
 * known, the run goes on by itself.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unconfirmed extends Schema.TaggedError<Unconfirmed>()("Unconfirmed", {
  error: Schema.optionalKey(AiError.AiError)
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    const cause = this.error === undefined ? "" : ` (${this.error.reason.message})`
    return (
      `A request that opens its response was sent but never answered${cause}, so it may have been bought. Open it again ` +
      `with Agent.retry, or with RunPolicy.onUnconfirmed set to "restart", or give it up with Agent.remove.`
    )
  }
}

/**
 * A continuation token cannot be used. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
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
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The continuation token is invalid: ${this.description}`
  }
}

/**
 * A background run was asked of a provider or model that cannot run in the background. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BackgroundUnsupported extends Schema.TaggedError<BackgroundUnsupported>()("BackgroundUnsupported", {
  provider: Schema.String
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `The model '${this.provider}' cannot run in the background. Choose one that can, or stream with background: false.`
  }
}

/**
 * The arguments of a call cannot be used: an empty input, a run id out of bounds, input beside a token. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", { description: Schema.String }) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return this.description
  }
}

/**
 * The input is larger than `RunPolicy.maxInput`, in bytes of UTF-8 as a store keeps it. Nothing was recorded. Not retryable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class InputTooLarge extends Schema.TaggedError<InputTooLarge>()("InputTooLarge", {
  bytes: Schema.Number,
  limit: Schema.Number
}) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `Its input is ${this.bytes} bytes, and RunPolicy.maxInput is ${this.limit}: name files by URL, or use Agent.start.`
  }
}

/**
 * The token store could not do what the run needs. Retryable when the store's error is.
 *
 * @since 0.1.0
 * @category reasons
 */
export class StoreFailed extends Schema.TaggedError<StoreFailed>()("StoreFailed", { error: TokenStoreError }) {
  /** Whether the same call again can help. */
  get isRetryable(): boolean {
    return this.error.isRetryable
  }
  override get message(): string {
    return `The token store failed: ${this.error.message}`
  }
}

/**
 * Every reason of an `AgentError`. A provider's refusal of a request is `effect/ai`'s own `AiError`.
 *
 * @since 0.1.0
 * @category models
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
