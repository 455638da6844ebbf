import type * as Effect from "effect/Effect"
import type { AgentError } from "../../AgentError.ts"
import type * as ContinuationToken from "../../ContinuationToken.ts"
import type { ResponseEnded } from "../../Followed.ts"
import type { RunStatus } from "../../Run.ts"
import type * as Acknowledge from "../hold/acknowledge.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import type { Updates } from "../run/turnEnd.ts"

/** Options of `advanceHeld`. */
export interface AdvanceOptions {
  /** Called with the lease. A failure ends the advance. */
  readonly onHeld?: (held: HeldRun) => Effect.Effect<void, AgentError>
  /** The run is promised to a `handle`, whose success alone means that the last update was delivered. */
  readonly promised?: true
  /** Called when a response of the run has ended, before its last update is delivered. */
  readonly onEnd?: (ended: ResponseEnded) => void
}

/** The log of a run, for the worker that advances the run. */
export interface RunLog {
  /** The position at the end of the log, from which the provider is read. */
  readonly position: ContinuationToken.ContinuationToken
  /** Whether the log says that the run has ended. */
  readonly ended: () => boolean
  /** Appends all updates that were pulled, and that the run has ended. */
  readonly end: Effect.Effect<void, AgentError>
  /** Appends that the run has not ended after all. */
  readonly reopen: Effect.Effect<void, AgentError>
}

/** A run that is being advanced: its updates, and a test for the last one. */
export interface Advance {
  readonly pull: Updates
  readonly isLast: Acknowledge.IsLast
  /** The status with which the run ended; undefined before that. */
  readonly endedAs: () => RunStatus | undefined
}
