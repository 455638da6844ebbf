import type { Any as Agent } from "@effect-baton/core/Agent"
import type { AgentError } from "@effect-baton/core/AgentError"
import type { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import * as Runs from "@effect-baton/core/Runs"
import * as RunState from "@effect-baton/core/RunState"
import type { RunRecord } from "@effect-baton/core/RunRecord"
import type { TokenStore } from "@effect-baton/core/TokenStore"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { type Action, Caller, RunAccess, type Subject } from "../RunAccess.ts"
import { Forbidden, type InvalidRequest, RunNotFound, type ServerFault, type Unavailable } from "../RunProblem.ts"
import type * as Wire from "../RunWire.ts"
import { refuseRead } from "./problems.ts"

/** What a service serves, and where. */
export interface Served {
  readonly agents: ReadonlyMap<string, Agent>
  /** The path of a run, as the group has it in its API. */
  readonly pathOf: (runId: string) => string
}

/** What verbs need. */
export type Engine = BackgroundModel | TokenStore

/** A run, as `RunAccess` is asked about it. */
export const subjectOf = ({ agent, labels = {}, runId }: Pick<RunRecord, "agent" | "labels" | "runId">): Subject => ({
  agent,
  runId,
  labels
})

/** Whether the caller of this request may do something. */
export const may = Effect.fnUntraced(function* (action: Action, run: Subject) {
  const access = yield* RunAccess
  const { value } = yield* Caller
  return yield* access.may(value, action, run)
})

/** Whether the caller may read a run, which must be of an agent that is served. */
export const mayRead = (served: Served, record: RunRecord) =>
  served.agents.has(record.agent) ? may("read", subjectOf(record)) : Effect.succeed(false)

/**
 * The run that a request names, and its agent. A run that the caller may not read is not there: whoever guesses ids learns
 * nothing.
 */
export const find = Effect.fnUntraced(function* (
  served: Served,
  runId: string,
  action: Action
): Effect.fn.Return<
  { readonly agent: Agent; readonly record: RunRecord },
  RunNotFound | Forbidden | InvalidRequest | ServerFault | Unavailable,
  RunAccess | Caller | TokenStore | HttpServerRequest
> {
  const record = yield* Effect.catch(Runs.get(runId), (error: AgentError) => refuseRead(error))
  const agent = served.agents.get(record.agent)
  if (agent === undefined || !(yield* mayRead(served, record))) return yield* new RunNotFound()
  if (action !== "read" && !(yield* may(action, subjectOf(record)))) return yield* new Forbidden()
  return { agent, record }
})

/** A run as clients see it. */
export const infoOf = (served: Served, record: RunRecord): Wire.RunInfo => {
  const url = served.pathOf(record.runId)
  return {
    runId: record.runId,
    agent: record.agent,
    status: RunState.statusOfRecord(record),
    background: record.background,
    labels: record.labels ?? {},
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    url,
    ...(record.logged === true ? { updates: `${url}/updates` } : {})
  }
}
