import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import * as Shared from "../primitives/shared.ts"
import type { OpenRun } from "../run/openRun.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Batch, Updates } from "../run/turnEnd.ts"
import * as Attached from "./attached.ts"

// What is kept for viewers that come later or fall behind. Those that need more read the run for themselves.
const mostUpdates = 65_536

/** The updates of a run that one attachment brought for all viewers of this process. */
class History {
  /** The number of updates that were dropped before the first one that is kept. */
  first = 0
  exit: Exit.Exit<never, AgentError | Cause.Done> | undefined
  private updates: Array<AgentUpdate> = []
  private next: Latch.Latch | undefined

  add(batch: Batch): void {
    this.updates.push(...batch)
    const excess = this.updates.length - mostUpdates
    // Without tokens, a viewer that fell behind could not go on.
    if (excess > mostUpdates / 2 && Option.isSome(batch[0].continuationToken)) {
      this.updates = this.updates.slice(excess)
      this.first += excess
    }
    this.tell()
  }

  finish(exit: Exit.Exit<never, AgentError | Cause.Done>): void {
    this.exit = exit
    this.tell()
  }

  from(index: number): ReadonlyArray<AgentUpdate> {
    return this.updates.slice(index - this.first)
  }

  get changed(): Effect.Effect<void> {
    return Effect.suspend(() => (this.next ??= Latch.makeUnsafe(false)).await)
  }

  private tell(): void {
    const { next } = this
    // First, because a fiber that waits may go on at once, and wait for the next change.
    this.next = undefined
    next?.openUnsafe()
  }
}

const read = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<History, never, Scope.Scope> {
  const pull = yield* Attached.makePull(run)
  const history = new History()
  const all = Effect.forever(Effect.map(pull, (batch) => history.add(batch)))
  yield* Effect.forkScoped(Effect.flatMap(Effect.exit(all), (exit) => Effect.sync(() => history.finish(exit))))
  return history
})

const historyOf = Shared.make<TokenStore["Service"], OpenRun, History, never>(
  read,
  (history) => history.exit !== undefined || history.first > 0
)

/** Reads a run from its start. All viewers of a run in this process share one attachment. */
export const makePull = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<Updates, never, Scope.Scope> {
  const history = yield* historyOf(run.store, run.runId, run)
  const scope = yield* Effect.scope
  let index = 0
  let last: AgentUpdate | undefined
  let own: Updates | undefined
  const pull: Updates = Effect.suspend((): Updates => {
    if (own !== undefined) return own
    if (index < history.first) return behind
    const some = history.from(index)
    if (Arr.isReadonlyArrayNonEmpty(some)) {
      index += some.length
      last = some.at(-1)
      return Effect.succeed(some)
    }
    return history.exit ?? Effect.andThen(history.changed, pull)
  })
  const behind: Updates = Effect.suspend(() => {
    const from = last === undefined ? undefined : Option.getOrUndefined(last.continuationToken)
    const made = Attached.makePull({ ...run, ...(from === undefined ? {} : { from }) })
    return Effect.flatMap(Scope.provide(made, scope), (attached) => {
      own = attached
      return pull
    })
  })
  return pull
})
