import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import type { RunId } from "../../Run.ts"

/** Hints within a process that logs changed. Several hints that a listener has not pulled yet become one. */
export class Changes {
  private readonly listeners = new Map<RunId, Set<Latch.Latch>>()

  /** Gives a hint to all listeners of a run. */
  tell(runId: RunId): void {
    for (const latch of this.listeners.get(runId) ?? []) latch.openUnsafe()
  }

  /** A hint at once, and then the hints of a run. */
  of(runId: RunId): Stream.Stream<void> {
    const listening = Effect.acquireRelease(
      Effect.sync(() => {
        const latch = Latch.makeUnsafe(true)
        const all = this.listeners.get(runId) ?? new Set()
        this.listeners.set(runId, all.add(latch))
        return latch
      }),
      (latch) =>
        Effect.sync(() => {
          const all = this.listeners.get(runId)
          all?.delete(latch)
          if (all?.size === 0) this.listeners.delete(runId)
        })
    )
    return Stream.scoped(
      Stream.fromPull(
        Effect.map(listening, (latch) => Effect.as(Effect.andThen(latch.await, latch.close), [undefined] as const))
      )
    )
  }
}
