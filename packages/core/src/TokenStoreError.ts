/**
 * What a token store fails with.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A token store could not do an operation.
 *
 * **Details**
 *
 * `kind` tells what to do: `unavailable` (not reached, or too slow: try again), `full` (no room: make some), `denied`
 * (no permission, or read-only), `locked` (another process owns the place), `corrupt` (what is stored cannot be read:
 * nothing was changed), `newer` (written by a later version of Baton: left alone), `closed` (its layer's scope is closed:
 * use it within that scope).
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
  /** Whether the same operation again can help. */
  get isRetryable(): boolean {
    return this.kind === "unavailable" || this.kind === "full" || this.kind === "locked"
  }
  override get message(): string {
    return `${this.operation}: ${this.description}`
  }
}
