import { decide } from "../../RunEngine.ts"
import type { Fact, RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { endedBy } from "../hold/heldRun.ts"
import { contextOfNext, type Deciding } from "../run/deciding.ts"

/**
 * The state of a run. If only the end of the run must still be recorded, this is the state after that: the worker that ends
 * a logged run ends its log first.
 */
export const foreseen = (run: Deciding, record: RunRecord): RunState.RunState => {
  const state = RunState.fold(record)
  const step = decide(state, contextOfNext(run, record))
  if (step._tag !== "End") return state
  const { incarnation } = state
  const ended = { ...endedBy(step), incarnation, by: "", at: 0 } as Fact
  return RunState.fold({ ...record, journal: [...record.journal, ended] })
}
