/**
 * The part of a test runner that the contract suites need.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

/**
 * The part of a test runner that `suite` needs: `describe` and `it` of `@effect/vitest` fit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Runner {
  readonly describe: (name: string, body: () => void) => void
  readonly it: {
    readonly effect: (name: string, body: () => Effect.Effect<void, unknown>, timeout: number) => void
    readonly live: (name: string, body: () => Effect.Effect<void, unknown>, timeout: number) => void
  }
}
