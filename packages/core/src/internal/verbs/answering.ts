import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  AgentError,
  AlreadyAnswered,
  InvalidInput,
  RunNotFound,
  RunOver,
  StoreFailed,
  ToolNotFound
} from "../../AgentError.ts"
import { type Any as Agent, type Limits as GivenLimits, resultCodec, toolOf } from "../../AgentDefinition.ts"
import type { RunId } from "../../Run.ts"
import type { CallRef, RunRef } from "../../RunInput.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import { type Fact, Limits, type NewFact } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { record as observe } from "../hold/observe.ts"
import { typedStore } from "../ports/typedStore.ts"
import { limitsOf } from "../run/deciding.ts"
import { decodeRunId, named, readToken } from "../run/openRun.ts"
import * as Recorded from "../tools/recorded.ts"
import { approvalId } from "../tools/told.ts"

// Answers to a run's tool calls, and new limits, from any process. They are facts that need no lease. Whoever answers does
// not advance the run: the fact makes it due, and a worker goes on with it.

interface Answered {
  readonly runId: RunId
  readonly incarnation: number
  readonly state: RunState.RunState
  readonly by: string
  readonly fail: (reason: AgentError["reason"]) => Effect.Effect<never, AgentError>
  /** Records a fact, and returns the state of the run after that. */
  readonly record: (fact: NewFact) => Effect.Effect<RunState.RunState, AgentError>
}

/** Reads the run, which must not have ended. */
const open = Effect.fnUntraced(function* (
  agent: Agent,
  ref: RunRef,
  by: string | undefined
): Effect.fn.Return<Answered, AgentError, TokenStore> {
  const store = yield* typedStore
  const { workerName } = yield* RunPolicy
  const runId =
    ref.continuationToken === undefined
      ? yield* named(agent)(decodeRunId(ref.runId))
      : (yield* readToken(agent, ref.continuationToken)).runId
  const fail = (reason: AgentError["reason"]) => Effect.fail(new AgentError({ runId, agent: agent.name, reason }))
  const found = yield* Effect.catch(store.read(runId), (error) => fail(new StoreFailed({ error })))
  if (Option.isNone(found)) return yield* fail(new RunNotFound({ runId }))
  const read = found.value
  if (read.agent !== agent.name) {
    const description = `The run belongs to agent '${read.agent}', not to '${agent.name}'. Give that agent.`
    return yield* fail(new RunNotFound({ runId, description }))
  }
  const state = RunState.fold(read)
  if (state.ended !== undefined) return yield* fail(new RunOver({ status: state.ended.status }))
  const record = (fact: NewFact) =>
    observe({ agent, runId, store }, fact, 0).pipe(
      Effect.map((journal: ReadonlyArray<Fact>) => RunState.fold({ incarnation: read.incarnation, journal })),
      Effect.catch((error) => fail(error._tag === "Gone" ? new RunNotFound({ runId }) : new StoreFailed({ error })))
    )
  return { runId, incarnation: state.incarnation, state, by: by ?? workerName ?? "a caller", fail, record }
})

interface Found {
  readonly turn: number
  readonly call: RunState.CallState
}

const callsOf = ({ turns }: RunState.RunState): ReadonlyArray<Found> =>
  turns.flatMap(({ calls }, turn) => calls.map((call) => ({ turn, call })))

const find = ({ fail, runId, state }: Answered, ref: CallRef): Effect.Effect<Found, AgentError> => {
  const { approvalId: id, callId, turn } = ref
  const found = callsOf(state).findLast(({ call, turn: of }) =>
    id === undefined
      ? call.callId === callId && (turn === undefined || turn === of)
      : approvalId(runId, of, call.callId) === id || (call.provider === true && call.callId === id)
  )
  if (found !== undefined && !found.call.external) return Effect.succeed(found)
  const description =
    found === undefined
      ? "the run has no such call. Agent.poll shows the calls that wait."
      : "the agent has no such tool, so that the call is not Baton's."
  return fail(new ToolNotFound({ call: String(id ?? callId), description }))
}

const nameOf = (answer: Fact): AlreadyAnswered["answer"] =>
  answer._tag === "Approved" ? "approved" : answer._tag === "Rejected" ? "rejected" : "completed"

const already = ({ fail }: Answered, callId: string, answer: Fact) =>
  fail(new AlreadyAnswered({ callId, answer: nameOf(answer), by: answer.by, at: answer.at }))

/** The call after a fact was recorded. */
const later = (state: RunState.RunState, { call, turn }: Found): RunState.CallState | undefined =>
  state.turns[turn]?.calls.find(({ callId }) => callId === call.callId)

const decideCall = Effect.fnUntraced(function* (
  agent: Agent,
  ref: CallRef & { readonly by?: string },
  tag: "Approved" | "Rejected",
  reason: string | undefined
): Effect.fn.Return<void, AgentError, TokenStore> {
  const run = yield* open(agent, ref, ref.by)
  const found = yield* find(run, ref)
  const { call, turn } = found
  const { callId } = call
  if (call.asked === undefined) {
    const description = "it does not wait for approval."
    return yield* run.fail(new ToolNotFound({ call: callId, description }))
  }
  const common = { incarnation: run.incarnation, by: run.by, turn, callId }
  const decision =
    call.decision ??
    later(
      yield* run.record(
        tag === "Approved" ? { _tag: tag, ...common } : { _tag: tag, ...common, reason: reason ?? "rejected" }
      ),
      found
    )?.decision
  if (decision !== undefined && decision._tag !== tag) return yield* already(run, callId, decision)
})

/** Approves a call. */
export const approve = (
  agent: Agent,
  ref: CallRef & { readonly by?: string }
): Effect.Effect<void, AgentError, TokenStore> => decideCall(agent, ref, "Approved", undefined)

/** Rejects a call. */
export const reject = (
  agent: Agent,
  ref: CallRef & { readonly reason: string; readonly by?: string }
): Effect.Effect<void, AgentError, TokenStore> => decideCall(agent, ref, "Rejected", ref.reason)

interface Answer {
  readonly tool: string
  readonly result?: unknown
  readonly failure?: unknown
  readonly by?: string
}

/** Encodes a result or a failure by the tool's schema. */
const encoded = Effect.fnUntraced(function* (
  agent: Agent,
  run: Answered,
  answer: Answer
): Effect.fn.Return<Recorded.Recorded, AgentError> {
  const { failure, tool: name } = answer
  const tool = toolOf(agent, name)
  if (tool === undefined) {
    return yield* run.fail(new InvalidInput({ description: `The agent has no tool '${name}'.` }))
  }
  const isFailure = "failure" in answer
  const refuse = (why: string) =>
    run.fail(new InvalidInput({ description: `The result of tool '${name}' cannot be used: ${why}` }))
  const value = yield* Schema.encodeUnknownEffect(resultCodec(tool, isFailure))(
    isFailure ? failure : answer.result
  ).pipe(Effect.catch(({ message }) => refuse(message)))
  const { maxToolResult } = yield* RunPolicy
  const json = Recorded.toJson(value, maxToolResult)
  if (Result.isFailure(json)) return yield* refuse(json.failure)
  const ends = isFailure && tool.failureMode === "error"
  return { result: json.success, isFailure, ...(ends ? { ends: "failed" as const } : {}) }
})

/** Gives the result of a call. */
export const completeTool = Effect.fn("Agent.completeTool")(function* (
  agent: Agent,
  ref: CallRef & Answer
): Effect.fn.Return<void, AgentError, TokenStore> {
  const run = yield* open(agent, ref, ref.by)
  const found = yield* find(run, ref)
  const { call, turn } = found
  const { callId } = call
  const unfit =
    toolOf(agent, call.name) !== toolOf(agent, ref.tool)
      ? `it is a call of tool '${call.name}', not of '${ref.tool}'.`
      : call.starts === 0 && call.decision?._tag !== "Rejected"
        ? "it was not started yet."
        : undefined
  if (unfit !== undefined) return yield* run.fail(new ToolNotFound({ call: callId, description: unfit }))
  const recorded = yield* encoded(agent, run, ref)
  if (call.decision?._tag === "Rejected") return yield* already(run, callId, call.decision)
  const common = { incarnation: run.incarnation, by: run.by, turn, callId }
  const result = call.result ?? later(yield* run.record({ _tag: "ToolEnded", ...common, ...recorded }), found)?.result
  if (result === undefined || isSame(result, recorded)) return
  return yield* already(run, callId, result)
})

const isSame = (a: Recorded.Recorded, b: Recorded.Recorded): boolean =>
  a.isFailure === b.isFailure && Equal.equals(a.result, b.result)

const decodeLimits = Schema.decodeUnknownResult(Limits)

/** Raises limits of a run. */
export const raise = Effect.fn("Agent.raise")(function* (
  agent: Agent,
  ref: RunRef & { readonly by?: string },
  given: GivenLimits
): Effect.fn.Return<void, AgentError, TokenStore> {
  const run = yield* open(agent, ref, ref.by)
  const limits = Result.flatMap(
    Result.try(() => limitsOf({ limits: given })),
    decodeLimits
  )
  if (Result.isFailure(limits) || Object.values(limits.success).every((limit) => limit === undefined)) {
    const description =
      "Limits are numbers: turns, toolCalls and tokens are natural, time is a duration, and cost is a number. Give at least one."
    return yield* run.fail(new InvalidInput({ description }))
  }
  yield* run.record({ _tag: "LimitsRaised", incarnation: run.incarnation, by: run.by, limits: limits.success })
})
