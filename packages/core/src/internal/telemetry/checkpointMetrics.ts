import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Instruments from "./instruments.ts"
import { errorType } from "./telemetry.ts"

/** The metrics of a held run: its writes, and how late they are. */
export class CheckpointMetrics {
  private readonly clock: Clock.Clock
  private readonly attributes: Readonly<Record<string, string>>
  private readonly duration: ReturnType<typeof Instruments.checkpointDuration>
  private readonly lag: ReturnType<typeof Instruments.checkpointLag>
  /** When the oldest waiting position was acknowledged, and the oldest of those that are being written. */
  private waiting: bigint | undefined
  private underway: bigint | undefined

  constructor(clock: Clock.Clock, agent: string) {
    this.clock = clock
    this.attributes = { "gen_ai.agent.name": agent }
    this.duration = Instruments.checkpointDuration(this.attributes)
    this.lag = Instruments.checkpointLag(this.attributes)
  }

  now(): bigint {
    return this.clock.monotonicTimeNanosUnsafe()
  }

  /** A position was acknowledged. Costs nothing while another waits to be written. */
  acknowledged(): void {
    this.waiting ??= this.now()
  }

  /** All positions acknowledged until now are in the next write, and in its repetitions. */
  taken(): void {
    this.underway ??= this.waiting
    this.waiting = undefined
  }

  /** The write that began at this time has ended. */
  written(begun: bigint, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    // It is not known whether an interrupted write arrived.
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return Effect.void
    return Effect.contextWith((context) => {
      const error = errorType(exit)
      const duration =
        error === undefined
          ? this.duration
          : Instruments.checkpointDuration({ ...this.attributes, "error.type": error })
      const now = this.now()
      duration.updateUnsafe(secondsBetween(begun, now), context)
      if (this.underway !== undefined) this.lag.updateUnsafe(secondsBetween(this.underway, now), context)
      if (Exit.isSuccess(exit)) this.underway = undefined
      return Effect.void
    })
  }
}

const secondsBetween = (from: bigint, to: bigint): number => Number(to - from) / 1e9
