import {
  type AgentError,
  RunCancelled,
  RunExpired,
  RunFailed,
  RunInterrupted,
  ToolDefect,
  ToolFailed,
  Unconfirmed
} from "../../AgentError.ts"
import { type Any as Agent, toolOf } from "../../AgentDefinition.ts"
import * as RunState from "../../RunState.ts"
import { errorIn } from "../tools/recorded.ts"

/** The reason for which a run that has ended failed; undefined if it did not fail. */
export const reasonOf = (
  agent: Pick<Agent, "toolkit">,
  state: Pick<RunState.RunState, "turns"> & {
    readonly ended: Pick<NonNullable<RunState.RunState["ended"]>, "error" | "reason" | "status"> | undefined
  }
): AgentError["reason"] | undefined => {
  const end = state.ended
  switch (end?.status) {
    case "failed":
      if (end.reason === "unconfirmed") return new Unconfirmed({})
      if (end.reason === "interrupted") return new RunInterrupted()
      if (end.reason === "tool") return ofTool(agent, state)
      if (end.error === undefined) return undefined
      return end.reason === "refused" ? end.error : new RunFailed({ error: end.error })
    case "cancelled":
      return new RunCancelled()
    case "expired":
      return new RunExpired({ responseId: RunState.winners(state).at(-1)?.responseId ?? "" })
    default:
      return undefined
  }
}

/** The failure of the call that ended the run. */
const ofTool = (
  agent: Pick<Agent, "toolkit">,
  { turns }: Pick<RunState.RunState, "turns">
): AgentError["reason"] | undefined => {
  const call = turns.flatMap(({ calls }) => calls).findLast(({ result }) => result?.ends !== undefined)
  if (call?.result === undefined) return undefined
  const { callId, name: tool, result } = call
  return result.ends === "defect"
    ? new ToolDefect({ tool, callId, description: String(result.result) })
    : new ToolFailed({ tool, callId, error: errorIn(toolOf(agent, tool), result.result) })
}
