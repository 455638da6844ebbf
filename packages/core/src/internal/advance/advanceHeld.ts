import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AgentError } from "../../AgentError.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import { logOf, type OpenRun } from "../run/openRun.ts"
import type { Advance, AdvanceOptions } from "./advanceOptions.ts"
import { make } from "./advancing.ts"
import * as Pump from "./pump.ts"

/** Advances a held run from its last acknowledged position, through its log if it has one. */
export const advanceHeld = (
  run: OpenRun,
  held: HeldRun,
  options: AdvanceOptions = {}
): Effect.Effect<Advance, AgentError, Scope.Scope> =>
  Effect.flatMap(logOf(run), (log): Effect.Effect<Advance, AgentError, Scope.Scope> =>
    log === undefined ? make(run, held, options) : Pump.make(run, held, log, options)
  )
