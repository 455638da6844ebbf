import { Duration, Effect, Exit, Latch, Metric, Scope } from "effect"
import type { Lease as LeaseOf, ReleaseOptions } from "../../TokenStore.ts"
import * as Instruments from "../instruments.ts"
import { type OpenRun, restOf } from "../openRun.ts"
import type { Cancels } from "./cancels.ts"
import type { Checkpointer } from "./checkpointer.ts"
import * as Lease from "./lease.ts"

/** How a held run is left: the last write, the release, and what becomes of them if the store is away. */
export interface Leaving {
  /** How this run's attempt, and what is left to do, is released. By default as the journal says. */
  readonly as: (how: Partial<ReleaseOptions>) => void
  /** Writes what is not written yet, and gives the run back, within the time that leaving may take. */
  readonly leave: Effect.Effect<void>
  /** False while the run is held; when it is being left, waits until it was, and is true then. */
  readonly left: Effect.Effect<boolean>
}

export const make = (options: {
  readonly run: OpenRun
  readonly held: Lease.HeldLease
  readonly checkpointer: Checkpointer
  readonly cancels: Cancels
  /** What runs while the run is held: the lease is renewed in it until the run is left. */
  readonly inner: Scope.Closeable
  /** Whether the lease counted an attempt, and who is told if it could not be given back. */
  readonly attempt: boolean
  readonly onOwed: ((lease: LeaseOf) => void) | undefined
}): Leaving => {
  const { attempt, cancels, checkpointer, held, inner, onOwed, run } = options
  const { journal, lease, record } = held
  const { policy, runId, store } = run
  const left = Latch.makeUnsafe(false)
  let how: Partial<ReleaseOptions> = {}
  let leaving = false
  let released = false

  const attributes = { "gen_ai.agent.name": record.agent }
  const warn = (what: string) => (error: { readonly message: string }) =>
    Effect.annotateLogs(Effect.logWarning(`baton: ${what}`, error.message), { runId, agent: record.agent })

  const untilTaken = <A, E extends { readonly isRetryable: boolean }>(write: Effect.Effect<A, E>) =>
    Effect.retry(write, {
      while: (error) => error.isRetryable && held.gone() === undefined,
      schedule: Lease.persistently
    })

  const lastWrite = Effect.suspend(() => {
    leaving = true
    return held.gone() === undefined ? untilTaken(checkpointer.flush) : Effect.void
  }).pipe(
    Effect.catch((error) =>
      Effect.andThen(
        Metric.update(Instruments.finalWritesFailed(attributes), 1),
        warn("the last position of a run could not be written: its updates since the last write come again")(error)
      )
    )
  )

  const giveBack = Effect.suspend(() => {
    const isLost = held.gone() !== undefined
    const release = store.release(lease, {
      seen: journal.seen,
      attempt: "back",
      ...restOf(run, { ...record, journal: journal.facts }),
      ...how
    })
    return isLost
      ? Effect.andThen(Metric.update(Instruments.leasesLost(attributes), 1), attempt ? release : Effect.void)
      : release
  }).pipe(
    Effect.retry({ while: (error) => error.isRetryable, schedule: Lease.persistently }),
    Effect.tap(() => {
      released = true
      return held.released
    }),
    Effect.catch(warn("the lease of a run could not be released, and ends by itself"))
  )

  return {
    as: (next) => {
      how = { ...how, ...next }
    },
    leave: lastWrite.pipe(
      // A cancel that is being sent gets some of the time, and the release what is left.
      Effect.andThen(Effect.timeoutOption(cancels.ended, Duration.times(policy.closeTimeout, 0.5))),
      Effect.andThen(giveBack),
      Effect.interruptible,
      Effect.timeoutOrElse({
        duration: policy.closeTimeout,
        orElse: () =>
          Effect.andThen(
            Metric.update(Instruments.finalWritesFailed(attributes), 1),
            warn("a run could not be left in time: its lease ends by itself, and its last updates may come again")({
              message: `the store did not take the last write within ${Duration.format(policy.closeTimeout)}`
            })
          )
      }),
      Effect.ensuring(Scope.close(inner, Exit.void)),
      Effect.ensuring(
        Effect.sync(() => {
          if (!released && attempt && how.attempt !== "keep") onOwed?.(lease)
          left.openUnsafe()
        })
      )
    ),
    left: Effect.suspend(() => (leaving ? Effect.as(left.await, true) : Effect.succeed(false)))
  }
}
