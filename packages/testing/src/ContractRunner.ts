/**
 * What the contract suites need of a test runner.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

/**
 * What `suite` needs of a test runner: `describe` and `it` of `@effect/vitest` have it.
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
