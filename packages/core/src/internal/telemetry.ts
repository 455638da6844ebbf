import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import * as AiError from "effect/ai/AiError"
import * as GenAi from "effect/ai/Telemetry"
import { AgentError, LeaseLost } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import {
  type BackgroundModel,
  CreateUnconfirmed,
  type ModelSnapshot,
  ReplayUnavailable,
  ResponseGone
} from "../BackgroundModel.ts"
import type { RunStatus } from "../Run.ts"
import type { Attachment, RunPolicy } from "../RunPolicy.ts"
import { TokenStoreError } from "../TokenStoreError.ts"
import * as Instruments from "./instruments.ts"

/** A connection ended before the response did. */
export class Disconnected extends Data.TaggedError("Disconnected") {
  override readonly message = "The connection ended before the response did"
}

/** What is told of one stream of a run. */
export interface Telemetry {
  /**
   * Tells the policy's hook, and opens a span: one of the whole run would be lost with the process. The span ends with
   * the scope, and as it does.
   */
  readonly attached: (
    attachment: Omit<Attachment, "attempt">,
    responseId?: string
  ) => Effect.Effect<Tracer.Span, never, Scope.Scope>
  readonly named: (responseId: string) => void
  readonly delivered: (batch: ReadonlyArray<AgentUpdate>) => Effect.Effect<void>
  /** The run is over; called while the attachment that showed it lasts. */
  readonly ended: (ending: { readonly status: RunStatus; readonly snapshot?: ModelSnapshot }) => Effect.Effect<void>
}

const attributesOf = ({ model, provider }: BackgroundModel["Service"], agent: string) => ({
  "gen_ai.operation.name": "invoke_agent",
  "gen_ai.provider.name": provider,
  "gen_ai.request.model": model,
  "gen_ai.agent.name": agent
})

export const make = Effect.fnUntraced(function* (run: {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  readonly agent: string
  /** Whether the tokens of a response are counted here: false if they were counted before, or by others. */
  readonly counts: (responseId: string) => boolean
  /** How many attachments there were before. */
  readonly attempt?: number
}): Effect.fn.Return<Telemetry> {
  const { agent, model, policy } = run
  const clock = yield* Clock.Clock
  const secondsSince = (begun: bigint) => Number(clock.monotonicTimeNanosUnsafe() - begun) / 1e9
  const attributes = attributesOf(model, agent)
  const updates = Instruments.updates(attributes)
  let attempt = run.attempt ?? 0
  let span: Tracer.Span | undefined
  let last: Attachment["how"] | undefined
  /** When the response was asked for of which nothing came yet. */
  let asked: bigint | undefined

  const attached = Effect.fnUntraced(function* (attachment: Omit<Attachment, "attempt">, responseId?: string) {
    const { how, runId, sequenceNumber } = attachment
    attempt++
    yield* policy.onAttach({ ...attachment, attempt })
    if (last !== undefined && how === "replay") yield* Metric.update(Instruments.reconnects(attributes), 1)
    if (last !== undefined && last !== how && how === "poll") {
      yield* Metric.update(Instruments.fallbacks(attributes), 1)
    }
    last = how
    const begun = clock.monotonicTimeNanosUnsafe()
    asked = how === "create" ? begun : undefined
    const opened = yield* Effect.makeSpanScoped(`invoke_agent ${agent}`, {
      kind: "client",
      attributes: {
        ...attributes,
        "baton.run.id": runId,
        "baton.attach.how": how,
        "baton.attach.attempt": attempt,
        "baton.attach.position": sequenceNumber
      }
    })
    span = opened
    GenAi.addGenAIAnnotations(opened, { response: { id: responseId } })
    yield* Effect.addFinalizer((exit) => {
      const error = errorType(exit)
      if (error !== undefined) opened.attribute("error.type", error)
      const duration = Instruments.operationDuration({
        ...attributes,
        "baton.attach.how": how,
        ...(error === undefined ? {} : { "error.type": error })
      })
      return Metric.update(duration, secondsSince(begun))
    })
    return opened
  })

  return {
    attached,
    named: (responseId) => {
      if (span !== undefined) GenAi.addGenAIAnnotations(span, { response: { id: responseId } })
    },
    delivered: (batch) => {
      const count = Metric.update(updates, batch.length)
      if (asked === undefined) return count
      const waited = secondsSince(asked)
      asked = undefined
      span?.attribute("gen_ai.response.time_to_first_chunk", waited)
      return Effect.andThen(count, Metric.update(Instruments.timeToFirstChunk(attributes), waited))
    },
    ended: ({ snapshot, status }) => {
      span?.attribute("baton.run.status", status)
      if (span !== undefined && snapshot !== undefined) describe(span, snapshot)
      return snapshot !== undefined && run.counts(snapshot.responseId) ? used(model, agent, snapshot) : Effect.void
    }
  }
})

const describe = (span: Tracer.Span, { finish, model, responseId }: ModelSnapshot) => {
  GenAi.addGenAIAnnotations(span, {
    response: { id: responseId, model, finishReasons: finish && [finish.reason] },
    usage: { inputTokens: finish?.usage.inputTokens.total, outputTokens: finish?.usage.outputTokens.total }
  })
  // Effect has no names for these.
  const cached = finish?.usage.inputTokens.cacheRead
  const reasoning = finish?.usage.outputTokens.reasoning
  if (cached !== undefined) span.attribute("gen_ai.usage.cache_read.input_tokens", cached)
  if (reasoning !== undefined) span.attribute("gen_ai.usage.reasoning.output_tokens", reasoning)
}

/** Counts the tokens that a response used. */
const used = (
  model: BackgroundModel["Service"],
  agent: string,
  snapshot: Pick<ModelSnapshot, "finish" | "model">
): Effect.Effect<void> => {
  const usage = snapshot.finish?.usage
  const attributes = {
    ...attributesOf(model, agent),
    ...(snapshot.model === undefined ? {} : { "gen_ai.response.model": snapshot.model })
  }
  const count = (type: "input" | "output", tokens: number | undefined) =>
    tokens === undefined
      ? Effect.void
      : Metric.update(Instruments.tokenUsage({ ...attributes, "gen_ai.token.type": type }), tokens)
  return Effect.andThen(count("input", usage?.inputTokens.total), count("output", usage?.outputTokens.total))
}

/** The name of what something failed with: one of few, as they tell metrics apart. Leaving is no failure. */
export const errorType = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return undefined
  const error = exit.cause.reasons.find(Cause.isFailReason)?.error
  if (error instanceof AgentError) return AiError.isAiError(error.reason) ? error.reason.reason._tag : error.reason._tag
  if (AiError.isAiError(error)) return error.reason._tag
  if (error instanceof TokenStoreError) return error.kind
  return error instanceof Disconnected ||
    error instanceof CreateUnconfirmed ||
    error instanceof LeaseLost ||
    error instanceof ReplayUnavailable ||
    error instanceof ResponseGone
    ? error._tag
    : "_OTHER"
}
