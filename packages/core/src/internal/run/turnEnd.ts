import * as Arr from "effect/Array"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { type ContinuationToken, start } from "../../ContinuationToken.ts"
import type { Source } from "../../Followed.ts"
import type { RunStatus } from "../../Run.ts"
import type { FactOf, RunRecord } from "../../RunRecord.ts"
import { extend } from "../../Session.ts"
import { minted } from "../token/minted.ts"
import type { OpenRun } from "./openRun.ts"

// From the end of a turn's response to the status of its run, and to the position of the next turn.

export type Batch = readonly [AgentUpdate, ...Array<AgentUpdate>]

/** The updates of a run. */
export type Updates = Pull.Pull<Batch, AgentError>

/** What the end of a response means for its run: the run ends with this status, or goes on from this position. */
export type Meaning =
  | { readonly _tag: "Over"; readonly status: RunStatus }
  | { readonly _tag: "GoesOn"; readonly from: ContinuationToken }

/** The position before the first update of the next turn. */
export const nextTurn = ({ agent, incarnation, offset, runId, turn }: ContinuationToken): ContinuationToken =>
  start(agent, runId, incarnation, { turn: turn + 1, offset })

/** The source to follow for the response of a turn. */
export const sourceOf = (
  { agent }: OpenRun,
  { at, responseId, streamed }: FactOf<"Accepted">,
  background: boolean
): Source => ({
  responseId,
  streamed,
  background,
  acceptedAt: at,
  options: agent.options
})

/**
 * Sets the status of the last update of a turn to that of the run, which can differ from the status of the response. If the
 * run ended well, the update also says how its conversation goes on.
 */
export const meant = (
  updates: ReadonlyArray<AgentUpdate>,
  meaning: Meaning,
  { background, session }: Pick<RunRecord, "background" | "session">,
  turn: number
): Batch => {
  const last = updates.at(-1)!
  const changed: AgentUpdate =
    meaning._tag === "Over"
      ? {
          ...last,
          turn,
          status: meaning.status,
          ...(isGood(meaning.status) ? { session: extend(session, last.responseId) } : {})
        }
      : {
          ...last,
          turn,
          status: "in_progress",
          continuationToken: background ? Option.some(minted(meaning.from)) : Option.none()
        }
  return Arr.append(updates.slice(0, -1), changed)
}

const isGood = (status: RunStatus): boolean => status === "completed" || status === "incomplete"
