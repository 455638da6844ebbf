import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import type { AgentError } from "../../AgentError.ts"
import type { Lease as LeaseOf, ReleaseOptions } from "../../TokenStore.ts"
import * as Instruments from "../telemetry/instruments.ts"
import { restOf } from "../run/deciding.ts"
import type { OpenRun } from "../run/openRun.ts"
import { Signal } from "../primitives/signal.ts"
import type { Cancels } from "./cancels.ts"
import type { Checkpointer } from "./checkpointer.ts"
import * as Lease from "./lease.ts"

interface Options {
  readonly run: OpenRun
  readonly held: Lease.HeldLease
  readonly checkpointer: Checkpointer
  readonly cancels: Cancels
  /** The scope of everything that runs while the run is held, the renewal of the lease included. */
  readonly inner: Scope.Closeable
  /** Whether the lease counted an attempt. `onOwed` is called if that could not be given back. */
  readonly attempt: boolean
  readonly onOwed: ((lease: LeaseOf) => void) | undefined
}

/** Leaves a held run: the last write and the release, which are repeated while the store cannot be reached. */
export class Leaving {
  private readonly options: Options
  private readonly hasLeft = new Signal<void>()
  private how: Partial<ReleaseOptions> = {}
  private pause: Duration.Duration = Duration.zero
  private isLeaving = false
  private isReleased = false

  constructor(options: Options) {
    this.options = options
  }

  /** Sets options for the release. By default they follow from the journal. */
  as(how: Partial<ReleaseOptions>): void {
    this.how = { ...this.how, ...how }
  }

  /** If the run is due after its release, this is the shortest time until then. */
  notBefore(pause: Duration.Duration): void {
    this.pause = pause
  }

  /** False while the run is held. While the run is being left, this waits for the end of that, and is true then. */
  left(): Effect.Effect<boolean> {
    return this.isLeaving ? this.hasLeft.whenFired(() => Effect.succeed(true)) : Effect.succeed(false)
  }

  /** Writes everything that is not written yet, and releases the run, within `closeTimeout`. */
  leave(): Effect.Effect<void> {
    const { attempt, cancels, held, inner, onOwed, run } = this.options
    const { closeTimeout } = run.policy
    return this.lastWrite().pipe(
      // A cancel that is being sent gets half of the time, and the release the rest.
      Effect.andThen(Effect.timeoutOption(cancels.ended(), Duration.times(closeTimeout, 0.5))),
      Effect.andThen(Effect.suspend(() => this.giveBack())),
      Effect.interruptible,
      Effect.timeoutOrElse({
        duration: closeTimeout,
        orElse: () =>
          Effect.andThen(
            Metric.update(Instruments.finalWritesFailed(this.attributes()), 1),
            this.warn(
              "a run could not be released in time; its lease ends by itself, and its last updates may come again",
              {
                message: `the store did not take the last write within ${Duration.format(closeTimeout)}`
              }
            )
          )
      }),
      Effect.ensuring(Scope.close(inner, Exit.void)),
      Effect.ensuring(
        Effect.sync(() => {
          if (!this.isReleased && attempt && this.how.attempt !== "keep") onOwed?.(held.lease)
          this.hasLeft.fire()
        })
      )
    )
  }

  private attributes() {
    return { "gen_ai.agent.name": this.options.held.record.agent }
  }

  private warn(what: string, error: { readonly message: string }): Effect.Effect<void> {
    const { held, run } = this.options
    return Effect.annotateLogs(Effect.logWarning(`baton: ${what}`, error.message), {
      runId: run.runId,
      agent: held.record.agent
    })
  }

  private lastWrite(): Effect.Effect<void> {
    const { checkpointer, held } = this.options
    return Effect.suspend((): Effect.Effect<void, AgentError> => {
      this.isLeaving = true
      if (held.gone() !== undefined) return Effect.void
      return Effect.retry(checkpointer.flush, {
        while: (error) => error.isRetryable && held.gone() === undefined,
        schedule: Lease.persistently
      })
    }).pipe(
      Effect.catch((error) =>
        Effect.andThen(
          Metric.update(Instruments.finalWritesFailed(this.attributes()), 1),
          this.warn(
            "the last position of a run could not be written; its updates since the last write come again",
            error
          )
        )
      )
    )
  }

  private giveBack(): Effect.Effect<void> {
    const { attempt, held, run } = this.options
    const { journal, lease, record } = held
    const release = Effect.suspend(() => {
      const rest = restOf(run, { ...record, journal: journal.facts })
      const due = Duration.max(rest.due, this.pause)
      return run.store.release(lease, { seen: journal.seen, attempt: "back", ...rest, due, ...this.how })
    })
    const isLost = held.gone() !== undefined
    const lost = Metric.update(Instruments.leasesLost(this.attributes()), 1)
    return (isLost ? Effect.andThen(lost, attempt ? release : Effect.void) : release).pipe(
      Effect.retry({ while: (error) => error.isRetryable, schedule: Lease.persistently }),
      Effect.tap(() => {
        this.isReleased = true
        return held.released()
      }),
      Effect.catch((error) => this.warn("the lease of a run could not be released; it ends by itself", error))
    )
  }
}
