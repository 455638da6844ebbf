import * as Agent from "@effect-baton/core/Agent"
import type { PendingCall } from "@effect-baton/core/AgentResponse"
import * as Runs from "@effect-baton/core/Runs"
import * as RunState from "@effect-baton/core/RunState"
import type { RunRecord } from "@effect-baton/core/RunRecord"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Caller, RunAccess } from "../RunAccess.ts"
import type * as Call from "../RunCall.ts"
import { CallNotFound, InvalidRequest, RunStuck } from "../RunProblem.ts"
import type * as Wire from "../RunWire.ts"
import { find, infoOf, may, type Served, subjectOf } from "./known.ts"
import { refuseAnswer, refuseRaise, refuseRead } from "./problems.ts"

/** The path parameters that name a call. */
export interface CallPath {
  readonly runId: string
  readonly turn: number
  readonly callId: string
}

const isJson = Schema.is(Schema.Json)

/** Calls that have no result yet, as clients see them. */
export const pendingOf = (
  served: Served,
  runId: string,
  calls: ReadonlyArray<PendingCall> | undefined
): { readonly pending?: ReadonlyArray<Call.PendingCall> } =>
  calls === undefined
    ? {}
    : {
        pending: calls.map(({ params, ...call }) => ({
          ...call,
          ...(isJson(params) ? { params } : {}),
          url: `${served.pathOf(runId)}/turns/${call.turn}/calls/${encodeURIComponent(call.callId)}`
        }))
      }

/** Whether a run has tool calls, or waits after them: the journal then has all that there is to say of it. */
const isActing = (record: RunRecord): boolean => {
  const state = RunState.fold(record)
  const last = RunState.winners(state).at(-1)
  const calls = last === undefined ? undefined : state.turns[last.turn]?.end?.calls
  return state.ended === undefined && calls?.some(({ external }) => !external) === true
}

/** Calls are content of the run, like its updates. Whoever answers for calls must see them. */
const mayReadCalls = Effect.fnUntraced(function* (record: RunRecord) {
  for (const action of ["watch", "approve", "complete"] as const) {
    if (yield* may(action, subjectOf(record))) return true
  }
  return false
})

/** A run, with its calls that have no result yet. The provider is not asked. */
export const viewOf = Effect.fnUntraced(function* (served: Served, agent: Agent.Any, record: RunRecord) {
  const info = infoOf(served, record)
  if (!isActing(record)) return info satisfies Wire.RunView
  const { runId } = record
  const { limit, pending, status, waitingFor } = yield* Effect.catch(Agent.poll(agent, { runId }), refuseRead)
  const calls = pending !== undefined && (yield* mayReadCalls(record)) ? pending : undefined
  const view: Wire.RunView = {
    ...info,
    status,
    ...(waitingFor === undefined ? {} : { waitingFor }),
    ...(limit === undefined ? {} : { limit }),
    ...pendingOf(served, runId, calls)
  }
  return view
})

/** The name under which the answers of the caller are recorded. */
const callerName = Effect.gen(function* () {
  const { value } = yield* Caller
  return (yield* RunAccess).nameOf(value)
})

const infoNow = (served: Served, runId: string) =>
  Effect.map(Effect.catch(Runs.get(runId), refuseRead), (record) => infoOf(served, record))

/** Approves a call. */
export const approve = Effect.fnUntraced(function* (served: Served, call: CallPath) {
  const { agent } = yield* find(served, call.runId, "approve")
  const by = yield* callerName
  yield* Effect.catch(Agent.approve(agent, { ...call, by }), refuseAnswer)
  return yield* infoNow(served, call.runId)
})

/** Rejects a call. */
export const reject = Effect.fnUntraced(function* (served: Served, call: CallPath, { reason }: Call.Rejection) {
  const { agent } = yield* find(served, call.runId, "approve")
  const by = yield* callerName
  yield* Effect.catch(Agent.reject(agent, { ...call, reason, by }), refuseAnswer)
  return yield* infoNow(served, call.runId)
})

/** Gives the result of a call. The record says of which tool it is. */
export const complete = Effect.fnUntraced(function* (served: Served, path: CallPath, answer: Call.Answer) {
  const { agent, record } = yield* find(served, path.runId, "complete")
  const by = yield* callerName
  const call = RunState.fold(record).turns[path.turn]?.calls.find(({ callId }) => callId === path.callId)
  if (call === undefined || call.external) return yield* new CallNotFound()
  const tool = Agent.toolOf(agent, call.name)
  if (tool === undefined) {
    return yield* new RunStuck({ detail: "The run asks for a tool that this service does not have." })
  }
  const isFailure = "failure" in answer
  const given = yield* Schema.decodeUnknownEffect(Agent.resultCodec(tool, isFailure))(
    isFailure ? answer.failure : answer.result
  ).pipe(Effect.mapError(({ message }) => new InvalidRequest({ detail: `It does not fit the tool: ${message}` })))
  const typed = { ...path, by, tool: call.name, ...(isFailure ? { failure: given } : { result: given }) }
  // The types of the agent's tools are not known here: the schema of the tool has decoded the answer.
  yield* Effect.catch(Agent.completeTool(agent, typed as never), refuseAnswer)
  return yield* infoNow(served, path.runId)
})

/** Raises limits of a run. */
export const raise = Effect.fnUntraced(function* (served: Served, runId: string, limits: Call.Limits) {
  const { agent } = yield* find(served, runId, "raise")
  const by = yield* callerName
  yield* Effect.catch(Agent.raise(agent, { runId, by }, limits), refuseRaise)
  return yield* infoNow(served, runId)
})
