import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Wakeup } from "../../StoreOperations.ts"

/** Hints within a process. */
export class Hints {
  private readonly listeners = new Set<(hint: Wakeup) => void>()

  /** Tells a hint to whoever listens now. */
  tell(hint: Wakeup): void {
    for (const listener of this.listeners) listener(hint)
  }

  /** These hints, and those that are told from then on. */
  after(first: ReadonlyArray<Wakeup>): Stream.Stream<Wakeup> {
    return Stream.callback<Wakeup>((queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const listener = (hint: Wakeup) => void Queue.offerUnsafe(queue, hint)
          this.listeners.add(listener)
          first.forEach(listener)
          return listener
        }),
        (listener) => Effect.sync(() => this.listeners.delete(listener))
      )
    )
  }
}

/** That there may be work in every shard, now. */
export const workIn = (shards: ReadonlyArray<string>): ReadonlyArray<Wakeup> =>
  shards.map((shard) => ({ _tag: "Work", shard, after: Duration.zero }))
