/**
 * The error of the contract suites.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A store, a log or a model broke a law of its contract.
 *
 * **Details**
 *
 * Test runners show the difference between `expected` and `actual`. `cause` is the error of the store, the log or the model,
 * if it failed where the law expects an answer.
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
