import { type AgentError, RunNotOpened, Unconfirmed } from "../../AgentError.ts"
import { decide } from "../../RunEngine.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { contextOf, type OpenRun } from "./openRun.ts"

/** The reason for which no worker will open the run's next response; undefined if one may be about to. */
export const stuck = (
  run: Pick<OpenRun, "policy">,
  record: RunRecord,
  time: number
): AgentError["reason"] | undefined => {
  if (record.lease !== null || (record.due !== null && record.due > time)) return undefined
  const step = decide(RunState.fold(record), contextOf({ policy: run.policy }, record))
  if (step._tag !== "Wait") return undefined
  return step.for === "unconfirmed" ? new Unconfirmed({}) : step.for === "input" ? new RunNotOpened() : undefined
}
