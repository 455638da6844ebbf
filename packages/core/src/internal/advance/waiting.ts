import * as Option from "effect/Option"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { minted } from "../token/minted.ts"
import type { OpenRun } from "../run/openRun.ts"

/** The last update of a stream whose run waits for its caller. */
export const waiting = (
  run: OpenRun,
  record: RunRecord,
  state: RunState.RunState,
  position: ContinuationToken,
  why: Pick<AgentUpdate, "limit" | "waitingFor">
): AgentUpdate => ({
  _tag: "Update",
  text: "",
  status: "waiting",
  ...why,
  runId: run.runId,
  responseId: RunState.winners(state).at(-1)?.responseId ?? "",
  continuationToken: record.background ? Option.some(minted(position)) : Option.none(),
  origin: "journal"
})
