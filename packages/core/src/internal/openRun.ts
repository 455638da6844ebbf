import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Prompt from "effect/ai/Prompt"
import * as Digest from "effect/crypto/Digest"
import {
  AgentChanged,
  AgentError,
  BackgroundUnsupported,
  InvalidInput,
  RunInputMismatch,
  RunNotFound,
  StoreFailed,
  TokenInvalid
} from "../AgentError.ts"
import { BackgroundModel, type ModelRequest } from "../BackgroundModel.ts"
import { ContinuationToken, decode as decodeToken, TokenCodec } from "../ContinuationToken.ts"
import { isOver, maxRunIdBytes, RunId } from "../Run.ts"
import * as RunEngine from "../RunEngine.ts"
import type { RunRecord } from "../RunRecord.ts"
import * as RunState from "../RunState.ts"
import { RunPolicy } from "../RunPolicy.ts"
import type { TokenStore } from "../TokenStore.ts"
import type { TokenStoreError } from "../TokenStoreError.ts"
import type { Agent, RunInput, RunRef } from "./agent.ts"
import { freshId } from "./freshId.ts"
import { lazily } from "./lazily.ts"
import { timeOf } from "./hold/lease.ts"
import { isMinted, minted, plainCodec } from "./minted.ts"
import { typedStore } from "./typedStore.ts"

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

const utf8 = new TextEncoder()

const invalid = (description: string) => new AgentError({ reason: new InvalidInput({ description }) })

/** Says in an error which agent, and which run if it is known, was asked for. */
const named = (agent: Agent, runId?: RunId) =>
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
  { background, handled }: Pick<RunRecord, "background" | "handled">
): RunEngine.Context => ({
  onUnconfirmed: run.policy.onUnconfirmed,
  hasInput: run.request !== undefined,
  handled,
  background
})

/** When a run like this is work again, and why workers must leave it alone if they must. */
export const restOf = (
  { policy }: Pick<OpenRun, "policy">,
  record: Pick<RunRecord, "background" | "handled" | "incarnation" | "journal">
): { readonly due: Duration.Duration; readonly parked?: string } => {
  // Whoever comes next does not have the input.
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

const encodePrompt = Schema.encodeEffect(Schema.toCodecJson(Prompt.Prompt))

// MD5 tells two inputs apart, which is all that is asked, and is not asynchronous as WebCrypto's digests are: under a
// TestClock a run stands at its next sleep when the clock is adjusted.
const digests = lazily(() => Effect.runSync(Effect.provide(Digest.Digest, Digest.layerWebCrypto)))
const hash = (text: string) => digests().digestHex(Digest.md5, utf8.encode(text))

const digest = Effect.fnUntraced(function* (agent: Agent, prompt: Prompt.Prompt, session: RunInput["session"]) {
  const encoded = yield* Effect.orDie(encodePrompt(prompt))
  return yield* hash(JSON.stringify([agent.name, encoded, session?.previousResponseId ?? null]))
})

const readPrompt = (input: Prompt.RawInput): Effect.Effect<Prompt.Prompt, AgentError> =>
  Effect.try({
    try: () => Prompt.make(input),
    catch: (cause) =>
      invalid(
        `The input is not a prompt of effect/ai: ${Predicate.isError(cause) ? cause.message : "it cannot be read"}`
      )
  }).pipe(
    Effect.filterOrFail(
      (prompt) =>
        Prompt.isPrompt(prompt) &&
        prompt.content.some(
          (message) =>
            message.role !== "system" && message.content.some((part) => part.type !== "text" || part.text.trim() !== "")
        ),
      () => invalid("The input is empty, or no prompt. Say what the agent is to do.")
    )
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

/** What runs are worked on with, of any agent. */
const services = Effect.gen(function* () {
  const model = yield* BackgroundModel
  const store = yield* typedStore
  const policy = yield* RunPolicy
  const isExternal = yield* ExternalCalls
  const sealed = (yield* TokenCodec) !== plainCodec
  return { model, store, policy, isExternal, sealed }
})

/** The response that a run is at, as far as its record tells. */
const lastResponse = (record: RunRecord): string | undefined =>
  RunState.winners(RunState.fold(record)).at(-1)?.responseId

/** Makes runs of records that were read already. */
export const known = Effect.map(services, (found) => (agent: Agent, record: RunRecord): OpenRun => ({
  ...found,
  agent,
  runId: record.runId,
  record,
  known: { responseId: lastResponse(record) }
}))

/** What a run of this agent is found and worked on with. */
const servicesOf = Effect.fnUntraced(function* (agent: Agent) {
  // A name is part of every token, where JSON would write a control character with six bytes.
  if (agent.name === "" || utf8.encode(agent.name).length > maxNameBytes || /\p{Cc}/u.test(agent.name)) {
    return yield* invalid(`An agent's name is a text of 1 to ${maxNameBytes} bytes without control characters.`)
  }
  const seen: OpenRun["known"] = { responseId: undefined }
  return { ...(yield* services), agent, known: seen }
})

/** Whether runs of this agent go on in the background, if the caller does not say. */
const inBackground = (agent: Agent, model: BackgroundModel["Service"], asked: boolean | undefined): boolean =>
  asked ?? agent.background ?? model.capabilities.background

type Asked = Pick<RunInput, "input" | "session">

/** What names the task that an input is: the prompt, and a digest of it. */
export const readTask = Effect.fnUntraced(function* (agent: Agent, { input, session }: Asked) {
  const prompt = yield* readPrompt(input)
  return { prompt, digest: yield* digest(agent, prompt, session) }
})

/** The request that opens the first turn of a run. */
export const firstRequest = (agent: Agent, record: RunRecord, prompt: Prompt.Prompt): ModelRequest => ({
  runId: record.runId,
  agent: agent.name,
  ...(agent.instructions === undefined ? {} : { instructions: agent.instructions }),
  prompt,
  ...(record.session.previousResponseId === undefined ? {} : { previousResponseId: record.session.previousResponseId }),
  background: record.background,
  ...(agent.options === undefined ? {} : { options: agent.options })
})

/** The run that this input names: the one that is known, or a new one, recorded but not opened. */
export const create = Effect.fnUntraced(function* (
  agent: Agent,
  options: RunInput & { readonly background?: boolean }
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const found = yield* servicesOf(agent)
  const { model, policy, store } = found
  if ("continuationToken" in options && options.continuationToken !== undefined) {
    const why = "A continued run takes no new input: resume it with its token, or start another with the input."
    return yield* named(agent)(Effect.fail(invalid(why)))
  }
  const runId =
    options.runId === undefined ? RunId.make(yield* freshId) : yield* named(agent)(decodeRunId(options.runId))
  const fail = errorOf({ ...found, runId })
  const task = yield* named(agent, options.runId === undefined ? undefined : runId)(readTask(agent, options))
  const background = inBackground(agent, model, options.background)
  if (background && !model.capabilities.background) {
    return yield* fail(new BackgroundUnsupported({ provider: `${model.provider} ${model.model}` }))
  }
  const { record } = yield* store
    .create(
      {
        runId,
        agent: agent.name,
        ...(agent.version === undefined ? {} : { agentVersion: agent.version }),
        digest: task.digest,
        background,
        session: options.session ?? {}
      },
      // A starter that lives holds its run by then.
      { due: Duration.times(timeOf(policy), 2) }
    )
    .pipe(Effect.mapError(storeFailed({ ...found, runId })))
  found.known.responseId = lastResponse(record)
  if (record.agent !== agent.name || (record.digest !== undefined && record.digest !== task.digest)) {
    return yield* fail(new RunInputMismatch({ runId }))
  }
  const run: OpenRun = { ...found, runId, record, request: firstRequest(agent, record, task.prompt) }
  yield* checkVersion(run)
  return run
})

/** A run that something else started at the provider, recorded as this agent's. */
export const adopt = Effect.fnUntraced(function* (
  agent: Agent,
  options: { readonly responseId: string; readonly runId?: string }
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const found = yield* servicesOf(agent)
  const { model, store } = found
  const { responseId } = options
  if (responseId === "") {
    return yield* named(agent)(Effect.fail(invalid("A response id is a text that is not empty: give the provider's.")))
  }
  found.known.responseId = responseId
  const isName = Schema.is(RunId)
  const name = options.runId ?? responseId
  const runId =
    options.runId === undefined && !isName(name)
      ? RunId.make(`adopted-${yield* hash(responseId)}`)
      : yield* named(agent)(decodeRunId(name))
  const run = { ...found, runId }
  const { record } = yield* store
    .create(
      {
        runId,
        agent: agent.name,
        ...(agent.version === undefined ? {} : { agentVersion: agent.version }),
        background: true,
        session: {}
      },
      {
        facts: [{ _tag: "Accepted", by: "adopt", turn: 0, responseId, streamed: model.capabilities.resume }]
      }
    )
    .pipe(Effect.mapError(storeFailed(run)))
  if (record.agent !== agent.name || !RunState.responseIds(record).includes(responseId)) {
    const description = `Its id is taken by another run. Give response '${responseId}' another run id.`
    return yield* errorOf(run)(new InvalidInput({ description }))
  }
  return { ...run, record }
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
