import { type AgentError, RunCancelled, RunExpired, RunFailed, RunInterrupted, Unconfirmed } from "../../AgentError.ts"
import * as RunState from "../../RunState.ts"

/** The reason for which a run that has ended failed; undefined if it did not fail. */
export const reasonOf = (
  state: Pick<RunState.RunState, "turns"> & {
    readonly ended: Pick<NonNullable<RunState.RunState["ended"]>, "error" | "reason" | "status"> | undefined
  }
): AgentError["reason"] | undefined => {
  const end = state.ended
  switch (end?.status) {
    case "failed":
      if (end.reason === "unconfirmed") return new Unconfirmed({})
      if (end.reason === "interrupted") return new RunInterrupted()
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
