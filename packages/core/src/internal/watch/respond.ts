import * as Option from "effect/Option"
import * as Response from "effect/ai/Response"
import { type AgentResponse, fromSnapshot, type PendingCall, type Shown } from "../../AgentResponse.ts"
import * as ContinuationToken from "../../ContinuationToken.ts"
import { isOver } from "../../Run.ts"
import { decide } from "../../RunEngine.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { extend, type Session } from "../../Session.ts"
import { contextOf, type Deciding } from "../run/deciding.ts"
import type { OpenRun } from "../run/openRun.ts"
import { minted } from "../token/minted.ts"
import { approvalId, resultPart } from "../tools/told.ts"

/** The parts of a run from which its response is made. */
export interface Told extends Deciding, Pick<OpenRun, "from" | "runId"> {
  readonly agent: Deciding["agent"] & Pick<OpenRun["agent"], "name">
}

/** The conversation after the run: only completed and incomplete turns extend it. */
const sessionOf = (record: RunRecord, state: RunState.RunState): Session => {
  const good = state.turns.findLast(({ end }) => end?.status === "completed" || end?.status === "incomplete")
  return good?.winner === undefined ? record.session : extend(record.session, good.winner.responseId)
}

const waitsFor = (
  run: Told,
  record: RunRecord,
  state: RunState.RunState
): Pick<AgentResponse, "limit" | "waitingFor"> | undefined => {
  const step = decide(state, contextOf(run, record))
  if (step._tag !== "Wait") return undefined
  const { for: waitingFor, limit } = step
  return waitingFor === "unconfirmed" || waitingFor === "input" || waitingFor === "tools"
    ? undefined
    : { waitingFor, ...(limit === undefined ? {} : { limit }) }
}

type Content = AgentResponse["content"]

const callPart = ({ callId: id, metadata, name, params }: RunState.CallState): Content[number] =>
  Response.makePart("tool-call", {
    id,
    name,
    params,
    providerExecuted: false,
    ...(metadata === undefined ? {} : { metadata })
  }) as Content[number]

/** The calls of a turn and their results, without those that the content has already. */
const callsOf = ({ calls }: RunState.TurnState, content: Content): Content => {
  const has = (type: "tool-call" | "tool-result", id: string) =>
    content.some((part) => part.type === type && part.id === id)
  const own = calls.filter(({ external, provider }) => !external && provider !== true)
  return [
    ...own.filter(({ callId }) => !has("tool-call", callId)).map(callPart),
    ...own.flatMap((call) => {
      const part = has("tool-result", call.callId) ? undefined : resultPart(call)
      return part === undefined ? [] : [part as Content[number]]
    })
  ]
}

/** The calls of a run that have no result yet. */
export const pendingOf = (runId: string, state: RunState.RunState): ReadonlyArray<PendingCall> => {
  const turn = RunState.currentTurn(state)
  if (state.ended !== undefined) return []
  return (state.turns[turn]?.calls ?? [])
    .filter((call) => !call.external && !RunState.isDone(call))
    .map((call) => {
      const { asked, callId, deferred, name, params } = call
      const isUndecided = RunState.isUndecided(call)
      const until = isUndecided ? asked?.until : deferred?.until
      return {
        turn,
        callId,
        tool: name,
        params,
        ...(isUndecided ? { waitingFor: "approval", approvalId: approvalId(runId, turn, callId) } : {}),
        ...(deferred === undefined ? {} : { waitingFor: "deferred" }),
        ...(until === undefined ? {} : { until })
      }
    })
}

const positionOf = (run: Told, record: RunRecord, state: RunState.RunState) => {
  const position = run.from ?? record.position
  return position.incarnation === state.incarnation
    ? position
    : ContinuationToken.start(run.agent.name, run.runId, state.incarnation)
}

/** What all turns of a run used; undefined if no response has said so. */
const usageOf = ({ turns }: RunState.RunState): Response.Usage | undefined => {
  const usages = turns.flatMap(({ end }) => (end?.usage === undefined ? [] : [end.usage]))
  const [first, ...rest] = usages
  return first === undefined ? undefined : rest.reduce(added, first)
}

const plus = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : a + b

const added = (a: Response.Usage, b: Response.Usage): Response.Usage =>
  new Response.Usage({
    inputTokens: {
      uncached: plus(a.inputTokens.uncached, b.inputTokens.uncached),
      total: plus(a.inputTokens.total, b.inputTokens.total),
      cacheRead: plus(a.inputTokens.cacheRead, b.inputTokens.cacheRead),
      cacheWrite: plus(a.inputTokens.cacheWrite, b.inputTokens.cacheWrite)
    },
    outputTokens: {
      total: plus(a.outputTokens.total, b.outputTokens.total),
      text: plus(a.outputTokens.text, b.outputTokens.text),
      reasoning: plus(a.outputTokens.reasoning, b.outputTokens.reasoning)
    }
  })

/** The output of a run's last response: as a snapshot shows it, or as its updates told it. */
export interface Output extends Pick<Shown, "finish"> {
  readonly status?: Shown["status"]
  readonly items?: Shown["items"]
  readonly content?: Content
}

/** Makes the response of a run from its journal and the output of its last response. */
export const respond = (run: Told, record: RunRecord, state: RunState.RunState, shown: Output): AgentResponse => {
  const waits = state.ended === undefined ? waitsFor(run, record, state) : undefined
  const current = RunState.currentTurn(state)
  const turn = state.turns[current]
  const status =
    state.ended !== undefined
      ? state.ended.status
      : waits !== undefined
        ? "waiting"
        : turn?.winner !== undefined && turn.end === undefined && shown.status !== undefined
          ? current === 0 || shown.status !== "queued"
            ? shown.status
            : "in_progress"
          : RunState.statusOf(state, record.position)
  const { items = [], finish } = shown
  const response = fromSnapshot(
    { items, status, ...(finish === undefined ? {} : { finish }) },
    {
      runId: run.runId,
      responseId: Option.fromUndefinedOr(RunState.winners(state).at(-1)?.responseId),
      session: sessionOf(record, state),
      ...waits,
      continuationToken:
        isOver(status) || !record.background ? Option.none() : Option.some(minted(positionOf(run, record, state)))
    },
    current
  )
  const own = shown.content ?? response.content
  const before = state.turns.slice(0, current).flatMap((earlier) => callsOf(earlier, []))
  const after = turn === undefined ? [] : callsOf(turn, own)
  const usage = isOver(status) && state.turns.length > 1 ? usageOf(state) : undefined
  const pending = isOver(status) ? [] : pendingOf(run.runId, state)
  return {
    ...response,
    text: shown.content === undefined ? response.text : textOf(shown.content),
    content: [...before, ...own, ...after],
    ...(usage === undefined ? {} : { usage: Option.some(usage) }),
    ...(pending.length === 0 ? {} : { pending })
  }
}

const textOf = (content: Content): string => content.map((part) => (part.type === "text" ? part.text : "")).join("")
