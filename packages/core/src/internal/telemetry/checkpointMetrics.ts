import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Instruments from "./instruments.ts"
import { errorType } from "./telemetry.ts"

/** What is told of a held run: its writes, and how far they are behind. */
export class CheckpointMetrics {
  private readonly clock: Clock.Clock
  private readonly attributes: Readonly<Record<string, string>>
  private readonly duration: ReturnType<typeof Instruments.checkpointDuration>
  private readonly lag: ReturnType<typeof Instruments.checkpointLag>
  /** When the oldest position was acknowledged that waits, and the oldest of those that are being written. */
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

  /** What was acknowledged until now is in the next write, and in those that repeat it. */
  taken(): void {
    this.underway ??= this.waiting
    this.waiting = undefined
  }

  /** A write that began then is over. */
  written(begun: bigint, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    // Whether a write that was broken off arrived is not known.
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
