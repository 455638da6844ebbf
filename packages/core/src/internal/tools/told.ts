import * as Option from "effect/Option"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { type ContinuationToken, start } from "../../ContinuationToken.ts"
import type { Fact, FactOf, RunRecord } from "../../RunRecord.ts"
import type { RunId } from "../../Run.ts"
import type { CallState, RunState } from "../../RunState.ts"
import { minted } from "../token/minted.ts"

// The results and approvals of tool calls come to a consumer as updates of their own. They are made from the facts of the
// journal, in its order, so that every reader of the run gets the same ones, at any time.

/** The id by which an approval of a call is named. It is also the idempotency key of the call. */
export const approvalId = (runId: string, turn: number, callId: string): string => `${runId}:${turn}:${callId}`

type ToolPart = Extract<AgentUpdate["part"], { readonly type: "tool-result" | "tool-approval-request" }>

/** The result of a call that was rejected, as the model gets it. */
const denied = ({ reason }: FactOf<"Rejected">) => ({ type: "execution-denied", reason }) as const

/** The result of a call that has one. */
export const resultOf = ({
  decision,
  result
}: CallState): { readonly result: unknown; readonly isFailure: boolean } | undefined =>
  decision?._tag === "Rejected"
    ? { result: denied(decision), isFailure: true }
    : result === undefined
      ? undefined
      : { result: result.result, isFailure: result.isFailure }

/** A part with a result of a call. */
export const partOf = (
  { callId, name }: Pick<CallState, "callId" | "name">,
  { isFailure, result }: { readonly result: unknown; readonly isFailure: boolean },
  preliminary: boolean
) =>
  Response.makePart("tool-result", {
    id: callId,
    name,
    result,
    encodedResult: result,
    isFailure,
    providerExecuted: false,
    preliminary
  }) as Extract<ToolPart, { readonly type: "tool-result" }>

/** The part with the result of a call; undefined while it has none. The provider has the results of its own calls. */
export const resultPart = (call: CallState): Extract<ToolPart, { readonly type: "tool-result" }> | undefined => {
  const ended = resultOf(call)
  return ended === undefined || call.provider === true ? undefined : partOf(call, ended, false)
}

const partsOf = (runId: string, turn: number, call: CallState): ReadonlyArray<readonly [Fact, ToolPart]> => {
  if (call.external || call.provider === true) return []
  const { asked, callId, decision, result } = call
  const request: ReadonlyArray<readonly [Fact, ToolPart]> =
    asked === undefined
      ? []
      : [
          [
            asked,
            Response.makePart("tool-approval-request", {
              approvalId: approvalId(runId, turn, callId),
              toolCallId: callId
            })
          ]
        ]
  const part = resultPart(call)
  const fact = decision?._tag === "Rejected" ? decision : result
  return part === undefined || fact === undefined ? request : [...request, [fact, part]]
}

/** The parts for the results and approvals of a turn's calls, in the order of the journal. */
const partsOfTurn = (
  runId: string,
  state: RunState,
  journal: RunRecord["journal"],
  turn: number
): ReadonlyArray<ToolPart> => {
  const calls = state.turns[turn]?.calls ?? []
  return calls
    .flatMap((call) => partsOf(runId, turn, call))
    .map(([fact, part]) => ({ at: journal.indexOf(fact), part }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ part }) => part)
}

/** The position at the start of a turn that is opened again: the results of the turn before it are not delivered again. */
export const startAgain = (
  { agent, runId }: Pick<RunRecord, "agent" | "runId">,
  incarnation: number,
  { journal, state, turn }: { readonly journal: RunRecord["journal"]; readonly state: RunState; readonly turn: number },
  offset: number
): ContinuationToken =>
  start(agent, runId, incarnation, {
    turn,
    offset,
    results: turn === 0 ? 0 : partsOfTurn(runId, state, journal, turn - 1).length
  })

/** Whether a position is at the start of a turn after the first one. */
const isBetween = ({ responseId, sequenceNumber, turn }: ContinuationToken): boolean =>
  turn > 0 && sequenceNumber < 0 && responseId === undefined

/** The update with a part about a call of a turn. It has the position after it, if the run has positions. */
export const updateOf = (
  runId: RunId,
  { background }: Pick<RunRecord, "background">,
  state: RunState,
  {
    origin,
    part,
    position,
    turn
  }: Pick<AgentUpdate, "origin"> & {
    readonly part: ToolPart
    readonly position: ContinuationToken
    readonly turn: number
  }
): AgentUpdate => ({
  _tag: "Update",
  part,
  text: "",
  status: "in_progress",
  turn,
  runId,
  responseId: state.turns[turn]?.winner?.responseId ?? "",
  continuationToken: background ? Option.some(minted(position)) : Option.none(),
  origin
})

/** The updates of tool calls that follow a position at the start of a turn, and the position after them. */
export const updatesAfter = (
  run: { readonly agent: { readonly name: string }; readonly runId: RunId },
  record: Pick<RunRecord, "background" | "journal">,
  state: RunState,
  position: ContinuationToken
): readonly [updates: ReadonlyArray<AgentUpdate>, position: ContinuationToken] => {
  if (!isBetween(position)) return [[], position]
  const { incarnation, offset, results: known = 0, turn } = position
  const parts = partsOfTurn(run.runId, state, record.journal, turn - 1).slice(known)
  const at = (results: number) =>
    start(run.agent.name, run.runId, incarnation, {
      turn,
      offset: offset + results - known,
      results
    })
  const updates = parts.map((part, i) =>
    updateOf(run.runId, record, state, { origin: "journal", part, position: at(known + i + 1), turn: turn - 1 })
  )
  return [updates, parts.length === 0 ? position : at(known + parts.length)]
}
