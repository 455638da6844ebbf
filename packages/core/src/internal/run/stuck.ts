import { type AgentError, RunNotOpened, Unconfirmed } from "../../AgentError.ts"
import { decide } from "../../RunEngine.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { contextOfNext, type Deciding } from "./deciding.ts"

/** The reason for which no worker will open the run's next response; undefined if one may be about to. */
export const stuck = (run: Deciding, record: RunRecord, time: number): AgentError["reason"] | undefined => {
  if (record.lease !== null || (record.due !== null && record.due > time)) return undefined
  const step = decide(RunState.fold(record), contextOfNext(run, record))
  if (step._tag !== "Wait") return undefined
  return step.for === "unconfirmed" ? new Unconfirmed({}) : step.for === "input" ? new RunNotOpened() : undefined
}
