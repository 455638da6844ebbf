import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  AgentChanged,
  AgentError,
  BackgroundUnsupported,
  InvalidInput,
  LogMissing,
  RunNotFound,
  StoreFailed,
  TokenInvalid
} from "../../AgentError.ts"
import type { BackgroundModel, ModelRequest } from "../../BackgroundModel.ts"
import { ContinuationToken, decode as decodeToken, start, TokenCodec } from "../../ContinuationToken.ts"
import { isOver, maxRunIdBytes, RunId } from "../../Run.ts"
import * as RunEngine from "../../RunEngine.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { WatchRef } from "../../RunInput.ts"
import type { UpdateLog } from "../../UpdateLog.ts"
import { isMinted, minted, plainCodec } from "../token/minted.ts"
import * as Handlers from "../tools/handlers.ts"
import { contextOf } from "./deciding.ts"
import { bytesOf } from "../primitives/bytes.ts"
import { firstRequest, invalid, promptOf } from "./task.ts"
import { typedLog } from "../ports/typedLog.ts"
import { typedModel } from "../ports/typedModel.ts"
import { typedStore } from "../ports/typedStore.ts"

/** A run on which a verb works, with the services that it needs. */
export interface OpenRun {
  readonly agent: Agent
  readonly runId: RunId
  readonly record: RunRecord
  /** The handlers of the agent's tools, if this process has them. */
  readonly handlers: Handlers.Found | undefined
  readonly clock: Clock.Clock
  /** Whether a codec seals tokens: a token object is then accepted only if this process made it. */
  readonly sealed: boolean
  /** The current response of the run, for errors. */
  readonly known: { responseId: string | undefined }
  readonly model: BackgroundModel["Service"]
  readonly store: TokenStore["Service"]
  /** The update log of this process, if it has one. */
  readonly log: UpdateLog["Service"] | undefined
  readonly policy: RunPolicy
  /** The request that opens the run; present only if the caller gave the input. */
  readonly request?: ModelRequest
  /** The position to go on from, if the caller gave one. */
  readonly from?: ContinuationToken
}

const maxNameBytes = 64

/** Turns a reason into an error that names the agent, and the run if it is known. */
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

export const decodeRunId = (runId: unknown): Effect.Effect<RunId, AgentError> =>
  Effect.fromResult(
    Result.mapError(Schema.decodeUnknownResult(RunId)(runId), () =>
      invalid(
        `A run id must be a text of 1 to ${maxRunIdBytes} bytes without slashes and control characters. ` +
          `Shorten or hash the given one.`
      )
    )
  )

/** Makes the request that opens the first turn of a run from the input in the store. */
export const requestFrom = (run: OpenRun, input: string): Effect.Effect<ModelRequest, AgentError> =>
  promptOf(input).pipe(
    Effect.map((prompt) => firstRequest(run.agent, run.record, prompt)),
    Effect.mapError(() => {
      const description = `the input that it keeps of run '${run.runId}' is no prompt. Start the run again under another id.`
      return storeFailed(run)(new TokenStoreError({ operation: "claim", kind: "corrupt", description }))
    })
  )

/** Fails if another version of the agent started the run, unless the policy allows that. */
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

/** The log of the run; undefined if the run is not logged. Fails if the run is logged, and this process has no log. */
export const logOf = (run: OpenRun): Effect.Effect<UpdateLog["Service"] | undefined, AgentError> => {
  if (run.record.logged !== true) return Effect.undefined
  return run.log === undefined ? Effect.fail(errorOf(run)(new LogMissing())) : Effect.succeed(run.log)
}

/** The reason for which a model cannot open responses of a run; undefined if it can. */
export const unableOf = (
  { capabilities, model, provider }: BackgroundModel["Service"],
  background: boolean
): BackgroundUnsupported | undefined =>
  background && !capabilities.background ? new BackgroundUnsupported({ provider: `${provider} ${model}` }) : undefined

/** Fails if the run must still be opened, and its model cannot do that. */
export const checkModel = (run: OpenRun): Effect.Effect<void, AgentError> => {
  const unable = unableOf(run.model, run.record.background)
  return unable === undefined || RunEngine.decide(RunState.fold(run.record), contextOf(run, run.record))._tag !== "Open"
    ? Effect.void
    : Effect.fail(errorOf(run)(unable))
}

/** The services that a run needs. */
const servicesFor = Effect.fnUntraced(function* (agent: Pick<Agent, "name">) {
  const model = yield* typedModel
  const store = yield* typedStore
  const log = yield* typedLog
  const policy = yield* RunPolicy
  const sealed = (yield* TokenCodec) !== plainCodec
  const handlers = Option.getOrUndefined(yield* Effect.serviceOption(Handlers.keyOf(agent.name)))
  return { model, store, log, policy, sealed, handlers, clock: yield* Clock.Clock }
})

/** The current response of a run according to its record. */
export const lastResponse = (record: RunRecord): string | undefined =>
  RunState.winners(RunState.fold(record)).at(-1)?.responseId

/** Makes `OpenRun`s of records of an agent's runs that were read already. */
export const known = (agent: Agent) =>
  Effect.map(servicesFor(agent), (found) => (record: RunRecord): OpenRun => ({
    ...found,
    agent,
    runId: record.runId,
    record,
    known: { responseId: lastResponse(record) }
  }))

/** Fails if an agent cannot be used as it is. */
export const checkAgent = (agent: Agent): Effect.Effect<void, AgentError> =>
  // The name is a part of every token, in which JSON writes a control character with six bytes.
  agent.name === "" || bytesOf(agent.name) > maxNameBytes || /\p{Cc}/u.test(agent.name)
    ? Effect.fail(invalid(`An agent's name must be a text of 1 to ${maxNameBytes} bytes without control characters.`))
    : (agent.toolConcurrency ?? 1) >= 1
      ? Effect.void
      : Effect.fail(invalid("An agent's toolConcurrency must be at least 1, or no call could ever run."))

/** The services and settings for runs of this agent. */
export const servicesOf = Effect.fnUntraced(function* (agent: Agent) {
  yield* checkAgent(agent)
  const seen: OpenRun["known"] = { responseId: undefined }
  return { ...(yield* servicesFor(agent)), agent, known: seen }
})

const isToken = Schema.is(ContinuationToken)

/** The position that a caller gave, as a token or as its text. */
export const readToken = Effect.fnUntraced(function* (agent: Agent, given: ContinuationToken | string) {
  const invalidToken = (kind: TokenInvalid["kind"], description: string) =>
    Effect.fail(new TokenInvalid({ kind, description }))
  const read = Effect.gen(function* () {
    if (typeof given === "string") return yield* decodeToken(given)
    if (!isToken(given))
      return yield* invalidToken("malformed", "it was not made by Baton. Give a token of an update or a response")
    // An object from JSON has bypassed the codec, which would have refused it.
    return (yield* TokenCodec) === plainCodec || isMinted(given)
      ? given
      : yield* invalidToken("signature", "an object has no signature. Give the text that ContinuationToken.encode made")
  })
  const token = yield* Effect.mapError(read, (reason) => new AgentError({ agent: agent.name, reason }))
  if (token.agent === agent.name) return token
  return yield* new AgentError({
    runId: token.runId,
    agent: agent.name,
    reason: new TokenInvalid({
      kind: "wrong-agent",
      description: `it belongs to agent '${token.agent}', not to '${agent.name}'. Give that agent`
    })
  })
})

/** Finds the run that a reference names. It must exist and belong to this agent. */
export const find = Effect.fnUntraced(function* (
  agent: Agent,
  ref: WatchRef
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const found = yield* servicesOf(agent)
  if ("input" in ref && ref.input !== undefined) {
    const why = "A run that is continued takes no new input. Leave the input out, or start another run with it."
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
    const description = `The run belongs to agent '${record.agent}', not to '${agent.name}'. Give that agent.`
    return yield* fail(new RunNotFound({ runId, description }))
  }
  const state = RunState.fold(record)
  if (ref.offset !== undefined) {
    const { epoch, offset } = ref
    const why = !Schema.is(Schema.Natural)(offset)
      ? "An offset must be a natural number: the number of updates before it."
      : record.logged === true
        ? undefined
        : "The run has no update log, and so no offsets that stay. Use a token, or the run's id alone."
    if (why !== undefined) return yield* fail(new InvalidInput({ description: why }))
    const place = start(agent.name, runId, state.incarnation, { offset })
    run.known = { responseId: RunState.winners(state).at(-1)?.responseId }
    return { ...run, record, from: minted({ ...place, ...(epoch === undefined ? {} : { epoch }) }) }
  }
  run.known = { responseId: RunState.winners(state).at(-1)?.responseId }
  if (from !== undefined && from.incarnation !== state.incarnation) {
    const description =
      "it was made before the run was retried, or for an earlier run with the same id. Use the run's id instead"
    return yield* fail(new TokenInvalid({ kind: "outdated", description }))
  }
  if (from !== undefined && from.turn > 0 && from.turn > RunState.currentTurn(state) + 1) {
    return yield* fail(
      new TokenInvalid({
        kind: "unknown-position",
        description: "it names a turn that the run has not reached. Use the run's id instead"
      })
    )
  }
  const winner = from === undefined ? undefined : state.turns[from.turn]?.winner?.responseId
  if (from?.responseId !== undefined && winner !== undefined && from.responseId !== winner) {
    return yield* fail(
      new TokenInvalid({
        kind: "unknown-position",
        description: "it belongs to a response that is not the run's. Use the run's id instead"
      })
    )
  }
  return { ...run, record, ...(from === undefined ? {} : { from: minted(from) }) }
})

/** Reads the run's record again. */
export const readAgain = (run: OpenRun): Effect.Effect<RunRecord, AgentError> =>
  run.store.read(run.runId).pipe(
    Effect.mapError(storeFailed(run)),
    Effect.flatMap((record) =>
      Option.isNone(record)
        ? Effect.fail(errorOf(run)(new RunNotFound({ runId: run.runId })))
        : Effect.succeed(record.value)
    )
  )

/** The current time in the form that stores use: milliseconds since the epoch. */
export const now = Clock.currentTimeMillis
