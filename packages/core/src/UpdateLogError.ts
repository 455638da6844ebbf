/**
 * The errors of update logs.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RunId } from "./Run.ts"

/**
 * Another worker with a higher epoch writes the log of this run. The worker that gets this error must stop, as after
 * `LeaseLost`.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogFenced extends Schema.TaggedError<LogFenced>()("LogFenced", {
  runId: RunId,
  /** The epoch of the other worker. */
  epoch: Schema.Number
}) {
  override get message(): string {
    return (
      `Run '${this.runId}': another worker writes its log now, with epoch ${this.epoch}. ` +
      "Stop writing, and resume the run to follow it."
    )
  }
}

/**
 * The chunk does not begin where the log ends. Either a part of the log was lost, or the writer does not know the end of the
 * log.
 *
 * **When to use**
 *
 * Open the log again, and continue from its end.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogGap extends Schema.TaggedError<LogGap>()("LogGap", {
  runId: RunId,
  /** The number of updates in the log. */
  length: Schema.Number
}) {
  override get message(): string {
    return (
      `Run '${this.runId}': its log has ${this.length} updates, and the chunk does not begin there. ` +
      "Open the log again, and continue from its end."
    )
  }
}

/**
 * The log no longer has the updates that were asked for: they were removed because the log was too large.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogTruncated extends Schema.TaggedError<LogTruncated>()("LogTruncated", {
  runId: RunId,
  /** The offset of the oldest update in the log. */
  first: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `Run '${this.runId}': its log begins at offset ${this.first}, because older updates were removed. ` +
      "Read from there, or ask Agent.result for the whole output."
    )
  }
}

/**
 * The log of a run is as large as `RunPolicy.maxLog` allows, and its consumer has not acknowledged enough updates to remove
 * older ones. The run is parked. Raise `maxLog`, or let the consumer acknowledge.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogFull extends Schema.TaggedError<LogFull>()("LogFull", {
  runId: RunId,
  /** The size of the log in bytes. */
  bytes: Schema.Number,
  /** The largest size that the policy allows, in bytes. */
  limit: Schema.Number
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return (
      `Run '${this.runId}': its log has ${this.bytes} bytes, and RunPolicy.maxLog allows ${this.limit}. ` +
      "Only updates that the consumer has acknowledged are removed. Read and acknowledge updates, or raise maxLog."
    )
  }
}

/**
 * The run has no log: it was never opened, or it was removed.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogNotFound extends Schema.TaggedError<LogNotFound>()("LogNotFound", {
  runId: RunId
}) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `Run '${this.runId}' has no log: it was never opened, or it was removed.`
  }
}

/**
 * An operation of an update log failed.
 *
 * **Details**
 *
 * `kind` says what to do:
 *
 * - `unavailable`: the log was not reached, or is too slow. Try again.
 * - `full`: there is no room. Make some, and try again.
 * - `denied`: permission is missing. Change that.
 * - `locked`: another process owns the directory of the log. Use the log from that process, or try again after it has ended.
 * - `corrupt`: the stored data cannot be read, and was not changed. Restore it from a backup.
 * - `lost`: the place of the log lost updates that it had confirmed, for instance in a failover. Take the run again: the
 *   lost updates are then read from the provider and appended again.
 * - `newer`: a later version of Baton wrote the data, which was not changed. Update Baton.
 * - `closed`: the scope of the log's layer is closed. Use the log within that scope.
 *
 * @since 0.1.0
 * @category errors
 */
export class UpdateLogError extends Schema.TaggedError<UpdateLogError>()("UpdateLogError", {
  operation: Schema.String,
  kind: Schema.Literals(["unavailable", "full", "denied", "locked", "corrupt", "lost", "newer", "closed"]),
  description: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** Whether the same operation can succeed later. */
  get isRetryable(): boolean {
    const { kind } = this
    return kind === "unavailable" || kind === "full" || kind === "locked" || kind === "lost"
  }
  override get message(): string {
    return `${this.operation}: ${this.description}`
  }
}
