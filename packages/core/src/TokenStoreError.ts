/**
 * The error of a token store.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * An operation of a token store failed.
 *
 * **Details**
 *
 * `kind` says what to do:
 *
 * - `unavailable`: the store was not reached, or is too slow. Try again.
 * - `full`: there is no room. Make some, and try again.
 * - `denied`: permission is missing, or the store is read-only. Change that.
 * - `locked`: another process owns the store's directory. Use it from that process, or try again after it has ended.
 * - `corrupt`: the stored data cannot be read, and was not changed. Restore it from a backup.
 * - `newer`: a later version of Baton wrote the data, which was not changed. Update Baton.
 * - `closed`: the scope of the store's layer is closed. Use the store within that scope.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenStoreError extends Schema.TaggedError<TokenStoreError>()("TokenStoreError", {
  operation: Schema.String,
  kind: Schema.Literals(["unavailable", "full", "denied", "locked", "corrupt", "newer", "closed"]),
  description: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** Whether the same operation can succeed later. */
  get isRetryable(): boolean {
    return this.kind === "unavailable" || this.kind === "full" || this.kind === "locked"
  }
  override get message(): string {
    return `${this.operation}: ${this.description}`
  }
}
