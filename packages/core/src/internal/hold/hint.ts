import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { RunId } from "../../Run.ts"
import type { TokenStore } from "../../TokenStore.ts"
import * as Wakeups from "./wakeups.ts"

/** Ends a wait early if a hint for the run came, during the wait or since the last one. */
export type Hint = <A>(wait: Effect.Effect<A>, early: A) => Effect.Effect<A>

/** Hints for a run, as long as the scope lasts. */
export const hear = Effect.fnUntraced(function* (
  store: TokenStore["Service"],
  id: RunId
): Effect.fn.Return<Hint, never, Scope.Scope> {
  const wakeups = yield* Wakeups.of(store)
  const come = Latch.makeUnsafe()
  yield* Effect.acquireRelease(
    Effect.sync(() => wakeups.onRun(id, () => come.openUnsafe())),
    (off) => Effect.sync(off)
  )
  return (wait, early) =>
    Effect.raceFirst(wait, Effect.as(come.await, early)).pipe(Effect.ensuring(Effect.sync(() => come.closeUnsafe())))
})
