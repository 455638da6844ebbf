import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Instruments from "../instruments.ts"
import { errorType } from "../telemetry.ts"

/** What is told of a held run: its writes, and how far they are behind. */
export interface Checkpoints {
  /** A position was acknowledged. Costs nothing while another waits to be written. */
  readonly acknowledged: () => void
  /** What was acknowledged until now is in the next write, and in those that repeat it. */
  readonly taken: () => void
  readonly written: <A, E>(write: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const make = (clock: Clock.Clock, attributes: Readonly<Record<string, string>>): Checkpoints => {
  const secondsSince = (begun: bigint) => Number(clock.monotonicTimeNanosUnsafe() - begun) / 1e9
  const lag = Instruments.checkpointLag(attributes)
  const duration = Instruments.checkpointDuration(attributes)
  // When the oldest position was acknowledged that waits, and the oldest of those that are being written.
  let waiting: bigint | undefined
  let underway: bigint | undefined

  const told = Effect.fnUntraced(function* (begun: bigint, exit: Exit.Exit<unknown, unknown>) {
    // Whether a write that was broken off arrived is not known.
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return
    const error = errorType(exit)
    const took = error === undefined ? duration : Instruments.checkpointDuration({ ...attributes, "error.type": error })
    yield* Metric.update(took, secondsSince(begun))
    if (underway !== undefined) yield* Metric.update(lag, secondsSince(underway))
    if (Exit.isSuccess(exit)) underway = undefined
  })

  return {
    acknowledged: () => {
      waiting ??= clock.monotonicTimeNanosUnsafe()
    },
    taken: () => {
      underway ??= waiting
      waiting = undefined
    },
    written: (write) =>
      Effect.suspend(() => {
        const begun = clock.monotonicTimeNanosUnsafe()
        return Effect.onExit(write, (exit) => told(begun, exit))
      })
  }
}
