/**
 * What a contract suite fails with.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A store, a log or a model does not do what each of its kind promises: what was expected, and what came.
 *
 * **Details**
 *
 * `cause` is what the store, the log or the model itself failed with, though it was to answer. Test runners show `expected` and `actual` as a
 * difference.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContractViolation extends Data.TaggedError("ContractViolation")<{
  readonly message: string
  readonly expected?: unknown
  readonly actual?: unknown
  readonly cause?: unknown
}> {}
