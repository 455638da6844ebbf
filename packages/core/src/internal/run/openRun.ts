import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  AgentChanged,
  AgentError,
  BackgroundUnsupported,
  RunNotFound,
  StoreFailed,
  TokenInvalid
} from "../../AgentError.ts"
import type { BackgroundModel, ModelRequest } from "../../BackgroundModel.ts"
import { ContinuationToken, decode as decodeToken, TokenCodec } from "../../ContinuationToken.ts"
import { isOver, maxRunIdBytes, RunId } from "../../Run.ts"
import * as RunEngine from "../../RunEngine.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import type { Agent } from "../../AgentDefinition.ts"
import type { RunRef } from "../../RunInput.ts"
import { isMinted, minted, plainCodec } from "../token/minted.ts"
import { bytesOf, firstRequest, invalid, promptOf } from "./task.ts"
import { typedModel } from "../ports/typedModel.ts"
import { typedStore } from "../ports/typedStore.ts"

/** Which tool calls the caller runs: all of them, as an agent has no tools yet. */
const ExternalCalls = Context.Reference<(name: string) => boolean>("@effect-baton/core/ExternalCalls", {
  defaultValue: () => () => true
})

/** A run that a verb works on, with the services it was found through. */
export interface OpenRun {
  readonly agent: Agent
  readonly runId: RunId
  readonly record: RunRecord
  readonly isExternal: (name: string) => boolean
  /** Whether tokens leave this process sealed, and are accepted as objects only if it made them. */
  readonly sealed: boolean
  /** What is known of the run beside its record, for errors: the response that it is at. */
  readonly known: { responseId: string | undefined }
  readonly model: BackgroundModel["Service"]
  readonly store: TokenStore["Service"]
  readonly policy: RunPolicy
  /** What opens the run's response; only who has the input has it. */
  readonly request?: ModelRequest
  /** The position to go on from, where the caller named one. */
  readonly from?: ContinuationToken
}

const maxNameBytes = 64

/** Says in an error which agent, and which run if it is known, was asked for. */
export const named = (agent: Agent, runId?: RunId) =>
  Effect.mapError(
    ({ reason }: AgentError) => new AgentError({ ...(runId === undefined ? {} : { runId }), agent: agent.name, reason })
  )

/** An error of this run. */
export const errorOf =
  ({ agent, known, runId }: Pick<OpenRun, "agent" | "known" | "runId">) =>
  (reason: AgentError["reason"]): AgentError =>
    new AgentError({
      runId,
      agent: agent.name,
      ...(known.responseId === undefined ? {} : { responseId: known.responseId }),
      reason
    })

export const storeFailed =
  (run: Pick<OpenRun, "agent" | "known" | "runId">) =>
  (error: TokenStoreError): AgentError =>
    errorOf(run)(new StoreFailed({ error }))

/** What the next step of this run depends on. */
export const contextOf = (
  run: Pick<OpenRun, "policy" | "request">,
  { background, handled, input }: Pick<RunRecord, "background" | "handled" | "input">
): RunEngine.Context => ({
  onUnconfirmed: run.policy.onUnconfirmed,
  hasInput: run.request !== undefined || input !== undefined,
  handled,
  background
})

/** When a run like this is work again, and why workers must leave it alone if they must. */
export const restOf = (
  { policy }: Pick<OpenRun, "policy">,
  record: Pick<RunRecord, "background" | "handled" | "incarnation" | "input" | "journal">
): { readonly due: Duration.Duration; readonly parked?: string } => {
  // Whoever comes next has the input only if the store keeps it.
  const step = RunEngine.decide(RunState.fold(record), contextOf({ policy }, record))
  if (step._tag === "Over") return { due: Duration.infinity }
  if (step._tag !== "Wait") return { due: Duration.zero }
  switch (step.for) {
    case "unconfirmed":
      return {
        due: Duration.infinity,
        parked:
          "A request that opens its response was sent but never answered: open it again with Agent.retry, or discard it."
      }
    case "input":
      return {
        due: Duration.infinity,
        parked: "It was recorded, but never opened at the provider: start it again with its input, or discard it."
      }
    default:
      return { due: Duration.infinity }
  }
}

export const decodeRunId = (runId: unknown): Effect.Effect<RunId, AgentError> =>
  Effect.fromResult(
    Result.mapError(Schema.decodeUnknownResult(RunId)(runId), () =>
      invalid(
        `A run id is a text of 1 to ${maxRunIdBytes} bytes without slashes and control characters. ` +
          `Shorten or hash what you have.`
      )
    )
  )

/** The request that opens the first turn of a run whose input the store keeps. */
export const requestFrom = (run: OpenRun, input: string): Effect.Effect<ModelRequest, AgentError> =>
  promptOf(input).pipe(
    Effect.map((prompt) => firstRequest(run.agent, run.record, prompt)),
    Effect.mapError(() => {
      const description = `the input that it keeps of run '${run.runId}' is no prompt. Start the run again under another id.`
      return storeFailed(run)(new TokenStoreError({ operation: "claim", kind: "corrupt", description }))
    })
  )

/** Fails if another version of the agent started the run and the policy forbids to continue it. */
export const checkVersion = (run: OpenRun): Effect.Effect<void, AgentError> => {
  const { agent, policy, record } = run
  return agent.version === record.agentVersion ||
    policy.onAgentChanged === "continue" ||
    isOver(RunState.statusOf(RunState.fold(record), record.position))
    ? Effect.void
    : Effect.fail(
        errorOf(run)(new AgentChanged({ started: record.agentVersion ?? "none", now: agent.version ?? "none" }))
      )
}

/** Why a model cannot open responses of a run, if it cannot. */
export const unableOf = (
  { capabilities, model, provider }: BackgroundModel["Service"],
  background: boolean
): BackgroundUnsupported | undefined =>
  background && !capabilities.background ? new BackgroundUnsupported({ provider: `${provider} ${model}` }) : undefined

/** Fails if the run is to be opened, and was recorded as one that the model cannot run. */
export const checkModel = (run: OpenRun): Effect.Effect<void, AgentError> => {
  const unable = unableOf(run.model, run.record.background)
  return unable === undefined || RunEngine.decide(RunState.fold(run.record), contextOf(run, run.record))._tag !== "Open"
    ? Effect.void
    : Effect.fail(errorOf(run)(unable))
}

/** What runs are worked on with, of any agent. */
const services = Effect.gen(function* () {
  const model = yield* typedModel
  const store = yield* typedStore
  const policy = yield* RunPolicy
  const isExternal = yield* ExternalCalls
  const sealed = (yield* TokenCodec) !== plainCodec
  return { model, store, policy, isExternal, sealed }
})

/** The response that a run is at, as far as its record tells. */
export const lastResponse = (record: RunRecord): string | undefined =>
  RunState.winners(RunState.fold(record)).at(-1)?.responseId

/** Makes runs of records that were read already. */
export const known = Effect.map(services, (found) => (agent: Agent, record: RunRecord): OpenRun => ({
  ...found,
  agent,
  runId: record.runId,
  record,
  known: { responseId: lastResponse(record) }
}))

/** Fails if an agent cannot have runs. */
export const checkAgent = (agent: Agent): Effect.Effect<void, AgentError> =>
  // A name is part of every token, where JSON would write a control character with six bytes.
  agent.name === "" || bytesOf(agent.name) > maxNameBytes || /\p{Cc}/u.test(agent.name)
    ? Effect.fail(invalid(`An agent's name is a text of 1 to ${maxNameBytes} bytes without control characters.`))
    : Effect.void

/** What a run of this agent is found and worked on with. */
export const servicesOf = Effect.fnUntraced(function* (agent: Agent) {
  yield* checkAgent(agent)
  const seen: OpenRun["known"] = { responseId: undefined }
  return { ...(yield* services), agent, known: seen }
})

const isToken = Schema.is(ContinuationToken)

const readToken = Effect.fnUntraced(function* (agent: Agent, given: ContinuationToken | string) {
  const invalidToken = (kind: TokenInvalid["kind"], description: string) =>
    Effect.fail(new TokenInvalid({ kind, description }))
  const read = Effect.gen(function* () {
    if (typeof given === "string") return yield* decodeToken(given)
    if (!isToken(given)) return yield* invalidToken("malformed", "it is not one of Baton's")
    // What came as JSON went past the codec, which would have refused it.
    return (yield* TokenCodec) === plainCodec || isMinted(given)
      ? given
      : yield* invalidToken(
          "signature",
          "as an object it is not signed. Give the text that ContinuationToken.encode made"
        )
  })
  const token = yield* Effect.mapError(read, (reason) => new AgentError({ agent: agent.name, reason }))
  if (token.agent === agent.name) return token
  return yield* new AgentError({
    runId: token.runId,
    agent: agent.name,
    reason: new TokenInvalid({
      kind: "wrong-agent",
      description: `it belongs to agent '${token.agent}', not to '${agent.name}'`
    })
  })
})

/** The run that a reference names, which must exist and be this agent's. */
export const find = Effect.fnUntraced(function* (
  agent: Agent,
  ref: RunRef
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const found = yield* servicesOf(agent)
  if ("input" in ref && ref.input !== undefined) {
    const why = "A continued run takes no new input: leave the input out, or start another run with it."
    return yield* named(agent)(Effect.fail(invalid(why)))
  }
  const from = ref.continuationToken === undefined ? undefined : yield* readToken(agent, ref.continuationToken)
  const runId = from === undefined ? yield* named(agent)(decodeRunId(ref.runId)) : from.runId
  const run = { ...found, runId }
  const fail = (reason: AgentError["reason"]) => Effect.fail(errorOf(run)(reason))
  const read = yield* found.store.read(runId).pipe(Effect.mapError(storeFailed(run)))
  if (Option.isNone(read)) return yield* fail(new RunNotFound({ runId }))
  const record = read.value
  if (record.agent !== agent.name) {
    const description = `It belongs to agent '${record.agent}', not to '${agent.name}'. Give that agent.`
    return yield* fail(new RunNotFound({ runId, description }))
  }
  const state = RunState.fold(record)
  run.known = { responseId: RunState.winners(state).at(-1)?.responseId }
  if (from !== undefined && from.incarnation !== state.incarnation) {
    const description =
      "it was made before the run was opened again, or for another run of the same id. Resume by the run's id instead"
    return yield* fail(new TokenInvalid({ kind: "outdated", description }))
  }
  if (from !== undefined && from.turn > 0 && from.turn > RunState.currentTurn(state) + 1) {
    return yield* fail(
      new TokenInvalid({ kind: "unknown-position", description: "the run never came to where it points" })
    )
  }
  const winner = from === undefined ? undefined : state.turns[from.turn]?.winner?.responseId
  if (from?.responseId !== undefined && winner !== undefined && from.responseId !== winner) {
    return yield* fail(
      new TokenInvalid({ kind: "unknown-position", description: "it belongs to another response than the run's" })
    )
  }
  return { ...run, record, ...(from === undefined ? {} : { from: minted(from) }) }
})

/** The run's record as it is now. */
export const readAgain = (run: OpenRun): Effect.Effect<RunRecord, AgentError> =>
  run.store.read(run.runId).pipe(
    Effect.mapError(storeFailed(run)),
    Effect.flatMap((record) =>
      Option.isNone(record)
        ? Effect.fail(errorOf(run)(new RunNotFound({ runId: run.runId })))
        : Effect.succeed(record.value)
    )
  )

/** The time, as stores tell it. */
export const now = Clock.currentTimeMillis
