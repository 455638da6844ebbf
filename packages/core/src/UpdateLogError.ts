/**
 * What an update log fails with.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RunId } from "./Run.ts"

/**
 * A newer holder of the run writes its log: this one must stop, as after `LeaseLost`.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogFenced extends Schema.TaggedError<LogFenced>()("LogFenced", {
  runId: RunId,
  /** The epoch that writes now. */
  epoch: Schema.Number
}) {
  override get message(): string {
    return `Run '${this.runId}': another worker writes its log now, with epoch ${this.epoch}. Stop, and resume the run to follow it.`
  }
}

/**
 * A chunk does not begin where the log ends: a part of the log was lost, or this writer did not read where it ends.
 *
 * **When to use**
 *
 * Open the log again, and go on from its end.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogGap extends Schema.TaggedError<LogGap>()("LogGap", {
  runId: RunId,
  /** How many updates the log holds. */
  length: Schema.Number
}) {
  override get message(): string {
    return `Run '${this.runId}': its log holds ${this.length} updates, and the chunk begins elsewhere. Open the log again to go on from its end.`
  }
}

/**
 * The wanted updates were removed from the log, which had grown too large.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogTruncated extends Schema.TaggedError<LogTruncated>()("LogTruncated", {
  runId: RunId,
  /** The offset of the oldest update that the log still has. */
  first: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `Run '${this.runId}': its log begins at offset ${this.first}, as older updates were removed. Read from there, or ask Agent.result for the whole output.`
  }
}

/**
 * The log of a run has reached `RunPolicy.maxLog`, and its consumer has not acknowledged enough for older updates to be
 * removed. Not retryable: the run is parked. Raise `maxLog`, or let the consumer acknowledge.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogFull extends Schema.TaggedError<LogFull>()("LogFull", {
  runId: RunId,
  /** The size of the log, and the largest that the policy allows, in bytes. */
  bytes: Schema.Number,
  limit: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `The log of run '${this.runId}' has ${this.bytes} bytes; RunPolicy.maxLog is ${this.limit}. ` +
      "Updates that nobody has acknowledged are not removed. Read and acknowledge them, or raise maxLog."
    )
  }
}

/**
 * There is no log of this run: it was never opened, or it was removed.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogNotFound extends Schema.TaggedError<LogNotFound>()("LogNotFound", {
  runId: RunId
}) {
  override get message(): string {
    return `Run '${this.runId}' has no log: nobody opened one, or it was removed with its run.`
  }
}

/**
 * An update log could not do an operation.
 *
 * **Details**
 *
 * `kind` tells what to do: `unavailable` (not reached, or too slow: try again), `full` (no room: make some), `denied` (no
 * permission, or read-only), `locked` (another process owns the place), `corrupt` (what is stored cannot be read: nothing
 * was changed), `newer` (written by a later version of Baton: left alone), `closed` (its layer's scope is closed).
 *
 * @since 0.1.0
 * @category errors
 */
export class UpdateLogError extends Schema.TaggedError<UpdateLogError>()("UpdateLogError", {
  operation: Schema.String,
  kind: Schema.Literals(["unavailable", "full", "denied", "locked", "corrupt", "newer", "closed"]),
  description: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** Whether the same operation again can help. */
  get isRetryable(): boolean {
    return this.kind === "unavailable" || this.kind === "full" || this.kind === "locked"
  }
  override get message(): string {
    return `${this.operation}: ${this.description}`
  }
}
