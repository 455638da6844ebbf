import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { ContractViolation } from "../../ContractViolation.ts"

/** Fails unless both values are structurally equal. */
export const equal = (actual: unknown, expected: unknown, message: string): Effect.Effect<void, ContractViolation> =>
  Equal.equals(actual, expected) ? Effect.void : Effect.fail(new ContractViolation({ message, expected, actual }))

/** Fails unless `actual` is greater than `least`. */
export const above = (actual: number, least: number, message: string): Effect.Effect<void, ContractViolation> =>
  actual > least
    ? Effect.void
    : Effect.fail(new ContractViolation({ message, expected: `above ${least}`, actual: String(actual) }))

/** Runs an effect that must fail with an error of this tag, and returns the error. */
export const refused = <A, E extends { readonly _tag: string }, Tag extends E["_tag"]>(
  effect: Effect.Effect<A, E>,
  tag: Tag,
  message: string
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, ContractViolation> => {
  const isIt = (error: E): error is Extract<E, { readonly _tag: Tag }> => error._tag === tag
  return Effect.matchEffect(effect, {
    onFailure: (error) =>
      isIt(error)
        ? Effect.succeed(error)
        : Effect.fail(new ContractViolation({ message, expected: tag, actual: error._tag, cause: error })),
    onSuccess: (actual) => Effect.fail(new ContractViolation({ message, expected: tag, actual }))
  })
}
