import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AgentError } from "../../AgentError.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import * as Held from "../hold/heldRun.ts"
import { logOf, type OpenRun, readAgain } from "../run/openRun.ts"
import * as RunState from "../../RunState.ts"
import { foreseen } from "../watch/foreseen.ts"
import type { Look } from "../watch/lookAtRun.ts"
import * as Pump from "./pump.ts"

/** Ends a held run, and its log before that. Returns false if the run has no log. */
export const endLogged = (run: OpenRun, held: HeldRun): Effect.Effect<boolean, AgentError, Scope.Scope> =>
  Effect.flatMap(logOf(run), (log) =>
    log === undefined
      ? Effect.succeed(false)
      : Effect.as(
          Effect.flatMap(Pump.make(run, held, log), ({ pumped }) => pumped),
          true
        )
  )

/**
 * Completes the log of a run whose end this process has seen, and records that end, if no worker holds the run. If that
 * fails, the run stays due, and the next worker does it.
 */
export const finishLog = (run: OpenRun): Effect.Effect<void> => {
  if (run.record.logged !== true || run.log === undefined) return Effect.void
  return Effect.gen(function* () {
    const record = yield* readAgain(run)
    if (RunState.fold(record).ended !== undefined || record.lease !== null) return
    if (foreseen(run, record).ended === undefined) return
    const { from: _, ...whole } = { ...run, record }
    yield* Effect.scoped(Effect.flatMap(Held.acquire(whole), (held) => endLogged(whole, held)))
  }).pipe(Effect.ignore)
}

/** Does that if a look shows the end of the run. */
export const finishIfOver = (run: OpenRun, { state }: Look): Effect.Effect<void> =>
  state.ended === undefined ? Effect.void : finishLog(run)
