import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** Shares reads of the same key: `shared(key, read)`. */
export type ShareReads<A, E> = (key: string, read: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Makes callers that read the same at the same time share one read: a thousand viewers of a run can come back at once.
 *
 * A read that is under way may show a state from before it was asked for. So whoever asks meanwhile waits for the next read,
 * which starts when that one is over.
 */
export const make = <A, E>(): ShareReads<A, E> => {
  // The keys that are read now, and what waits for the next read of each.
  const reading = new Map<string, Deferred.Deferred<A, E> | undefined>()

  const run = (key: string, read: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.ensuring(
      read,
      Effect.suspend(() => {
        const waiting = reading.get(key)
        if (waiting === undefined) {
          reading.delete(key)
          return Effect.void
        }
        reading.set(key, undefined)
        // In a fiber of its own, because the one that read may be interrupted, and the others still wait.
        return Effect.asVoid(Effect.forkDetach(Deferred.into(run(key, read), waiting)))
      })
    )

  return (key, read) =>
    Effect.uninterruptibleMask((restore) => {
      if (!reading.has(key)) {
        reading.set(key, undefined)
        return run(key, restore(read))
      }
      const waiting = reading.get(key) ?? Deferred.makeUnsafe<A, E>()
      reading.set(key, waiting)
      return restore(Deferred.await(waiting))
    })
}
