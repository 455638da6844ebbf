import * as Effect from "effect/Effect"
import type { OpenRun } from "../run/openRun.ts"
import type { HeldRun } from "./heldRun.ts"

/** Records a cancel of the run, within `closeTimeout`. */
export const requestCancel = (run: OpenRun, held: HeldRun): Effect.Effect<void> => {
  const forgotten = Effect.annotateLogs(
    Effect.logError("baton: a cancel could not be recorded, and the run goes on; cancel it with Agent.cancel"),
    { runId: run.runId, agent: run.agent.name, responseId: run.known.responseId }
  )
  return held.observe(held.own({ _tag: "CancelRequested" })).pipe(
    Effect.timeoutOrElse({ duration: run.policy.closeTimeout, orElse: () => forgotten }),
    Effect.catch((error) => (error._tag === "Gone" ? Effect.void : forgotten))
  )
}
