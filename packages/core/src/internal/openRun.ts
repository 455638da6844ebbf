import { Effect, Option, Predicate, Result, Schema } from "effect"
import { Prompt } from "effect/ai"
import { Digest } from "effect/crypto"
import type { Agent, RunInput, RunRef } from "../Agent.ts"
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
import { ContinuationToken, decode as decodeToken } from "../ContinuationToken.ts"
import { isOver, maxRunIdBytes, RunId } from "../Run.ts"
import * as RunRecord from "../RunRecord.ts"
import { RunPolicy } from "../RunPolicy.ts"
import { TokenStore } from "../TokenStore.ts"
import type { TokenStoreError } from "../TokenStoreError.ts"
import { freshId } from "./freshId.ts"

/** A run that a verb works on, with the services it was found through. */
export interface OpenRun {
  readonly agent: Agent
  readonly runId: RunId
  readonly record: RunRecord.RunRecord
  readonly model: BackgroundModel["Service"]
  readonly store: TokenStore["Service"]
  readonly policy: RunPolicy
  /** What opens the run's response; only who has the input has it. */
  readonly request?: ModelRequest
  /** The position to go on from, where the caller named one. */
  readonly from?: ContinuationToken
}

const maxNameBytes = 64

const invalid = (description: string) => new AgentError({ reason: new InvalidInput({ description }) })

export const storeFailed = (runId: string) => (error: TokenStoreError) =>
  new AgentError({ runId, reason: new StoreFailed({ error }) })

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

const digest = Effect.fnUntraced(function* (agent: Agent, prompt: Prompt.Prompt, session: RunInput["session"]) {
  const encoded = yield* Effect.orDie(encodePrompt(prompt))
  const text = JSON.stringify([agent.name, encoded, session?.previousResponseId ?? null])
  // MD5 tells two inputs apart, which is all that is asked, and is not asynchronous as WebCrypto's digests are: under a
  // TestClock a run stands at its next sleep when the clock is adjusted.
  return yield* Digest.Digest.use((digest) => digest.digestHex(Digest.md5, new TextEncoder().encode(text)))
}, Effect.provide(Digest.layerWebCrypto))

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

const unchanged = (agent: Agent, record: RunRecord.RunRecord, policy: RunPolicy) =>
  agent.version === record.agentVersion || policy.agentChanged === "continue" || isOver(record.status)
    ? Effect.void
    : Effect.fail(
        new AgentError({
          runId: record.runId,
          reason: new AgentChanged({ started: record.agentVersion ?? "none", now: agent.version ?? "none" })
        })
      )

/** The run that this input names: the one that is known, or a new one, recorded but not opened. */
export const create = Effect.fnUntraced(function* (
  agent: Agent,
  options: RunInput & { readonly background?: boolean }
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const model = yield* BackgroundModel
  const store = yield* TokenStore
  const policy = yield* RunPolicy
  // A name is part of every token, where JSON would write a control character with six bytes.
  if (agent.name === "" || new TextEncoder().encode(agent.name).length > maxNameBytes || /\p{Cc}/u.test(agent.name)) {
    return yield* invalid(`An agent's name is a text of 1 to ${maxNameBytes} bytes without control characters.`)
  }
  if ("continuationToken" in options && options.continuationToken !== undefined) {
    return yield* invalid(
      "A continued run takes no new input: resume it with its token, or start another with the input."
    )
  }
  const prompt = yield* readPrompt(options.input)
  const runId = options.runId === undefined ? RunId.make(yield* freshId) : yield* decodeRunId(options.runId)
  const background = options.background ?? agent.background
  if (background && !model.capabilities.background) {
    return yield* new AgentError({
      runId,
      reason: new BackgroundUnsupported({ provider: `${model.provider} ${model.model}` })
    })
  }
  const session = options.session ?? {}
  const known = yield* digest(agent, prompt, session)
  const { record } = yield* store
    .create({
      runId,
      agent: agent.name,
      ...(agent.version === undefined ? {} : { agentVersion: agent.version }),
      digest: known,
      background,
      session
    })
    .pipe(Effect.mapError(storeFailed(runId)))
  if (record.digest !== known) {
    return yield* new AgentError({ runId, reason: new RunInputMismatch({ runId }) })
  }
  yield* unchanged(agent, record, policy)
  return {
    agent,
    runId,
    record,
    model,
    store,
    policy,
    request: {
      runId,
      agent: agent.name,
      ...(agent.instructions === undefined ? {} : { instructions: agent.instructions }),
      prompt,
      ...(session.previousResponseId === undefined ? {} : { previousResponseId: session.previousResponseId }),
      background: record.background,
      ...(agent.options === undefined ? {} : { options: agent.options })
    }
  }
})

const isToken = Schema.is(ContinuationToken)

const readToken = (agent: Agent, given: ContinuationToken | string): Effect.Effect<ContinuationToken, AgentError> =>
  (typeof given === "string"
    ? decodeToken(given)
    : isToken(given)
      ? Effect.succeed(given)
      : Effect.fail(new TokenInvalid({ kind: "malformed", description: "it is not one of Baton's" }))
  ).pipe(
    Effect.filterOrFail(
      (token) => token.agent === agent.name,
      (token) =>
        new TokenInvalid({
          kind: "wrong-agent",
          description: `it belongs to agent '${token.agent}', not to '${agent.name}'`
        })
    ),
    Effect.mapError((reason) => new AgentError({ reason }))
  )

/** The run that a reference names, which must exist and be this agent's. */
export const find = Effect.fnUntraced(function* (
  agent: Agent,
  ref: RunRef
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const model = yield* BackgroundModel
  const store = yield* TokenStore
  const policy = yield* RunPolicy
  if ("input" in ref && ref.input !== undefined) {
    return yield* invalid("A continued run takes no new input: leave the input out, or start another run with it.")
  }
  const from = ref.continuationToken === undefined ? undefined : yield* readToken(agent, ref.continuationToken)
  const runId = from === undefined ? yield* decodeRunId(ref.runId) : from.runId
  const fail = (reason: AgentError["reason"]) => Effect.fail(new AgentError({ runId, reason }))
  const record = yield* store.read(runId).pipe(Effect.mapError(storeFailed(runId)))
  if (Option.isNone(record)) return yield* fail(new RunNotFound({ runId }))
  if (record.value.agent !== agent.name) {
    const description = `Run '${runId}' belongs to agent '${record.value.agent}', not to '${agent.name}'.`
    return yield* fail(new RunNotFound({ runId, description }))
  }
  if (from !== undefined && from.turn > 0 && RunRecord.opening(record.value, from.turn)._tag !== "Accepted") {
    return yield* fail(
      new TokenInvalid({ kind: "unknown-position", description: "the run never came to where it points" })
    )
  }
  return { agent, runId, record: record.value, model, store, policy, ...(from === undefined ? {} : { from }) }
})

/** Fails where another version of the agent started the run and the policy forbids to continue it. */
export const checkVersion = (run: OpenRun): Effect.Effect<void, AgentError> =>
  unchanged(run.agent, run.record, run.policy)
