import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import * as AiError from "effect/ai/AiError"
import * as GenAi from "effect/ai/Telemetry"
import { AgentError, LeaseLost } from "../../AgentError.ts"
import {
  type BackgroundModel,
  CreateUnconfirmed,
  type ModelSnapshot,
  ReplayUnavailable,
  ResponseGone
} from "../../BackgroundModel.ts"
import type { RunStatus } from "../../Run.ts"
import type { Attachment, RunPolicy } from "../../RunPolicy.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import * as Instruments from "./instruments.ts"

/** The outcome of an attachment whose connection ended before the response did. */
export class Disconnected extends Data.TaggedError("Disconnected") {
  override readonly message = "The connection ended before the response did"
}

const attributesOf = ({ model, provider }: BackgroundModel["Service"], agent: string) => ({
  "gen_ai.operation.name": "invoke_agent",
  "gen_ai.provider.name": provider,
  "gen_ai.request.model": model,
  "gen_ai.agent.name": agent
})

interface Options {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  readonly agent: string
  /**
   * Whether this process counts the used tokens of a response: false if they were counted before, or by another process.
   */
  readonly counts: (responseId: string) => boolean
  /** The number of earlier attachments. */
  readonly attempt?: number
}

/** The telemetry of one stream of a run. */
export class Telemetry {
  private readonly options: Options
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private readonly updates: ReturnType<typeof Instruments.updates>
  private attempt: number
  private span: Tracer.Span | undefined
  private last: Attachment["how"] | undefined
  /** The time of the request, until the first output of its response. */
  private asked: bigint | undefined

  constructor(options: Options, clock: Clock.Clock, context: Context.Context<never>) {
    this.options = options
    this.clock = clock
    this.context = context
    this.updates = Instruments.updates(this.attributes())
    this.attempt = options.attempt ?? 0
  }

  private attributes() {
    return attributesOf(this.options.model, this.options.agent)
  }

  /**
   * Calls `RunPolicy.onAttach`, and opens a span for the attachment: a span of the whole run would be lost with the
   * process. The span ends with the scope.
   */
  attached(
    attachment: Omit<Attachment, "attempt">,
    responseId?: string
  ): Effect.Effect<Tracer.Span, never, Scope.Scope> {
    const { how, runId, sequenceNumber } = attachment
    const { agent, policy } = this.options
    const attributes = this.attributes()
    return Effect.gen({ self: this }, function* () {
      const attempt = ++this.attempt
      yield* policy.onAttach({ ...attachment, attempt })
      if (this.last !== undefined && how === "replay") yield* Metric.update(Instruments.reconnects(attributes), 1)
      if (this.last !== undefined && this.last !== how && how === "poll") {
        yield* Metric.update(Instruments.fallbacks(attributes), 1)
      }
      this.last = how
      const begun = this.clock.monotonicTimeNanosUnsafe()
      this.asked = how === "create" ? begun : undefined
      const span = yield* Effect.makeSpanScoped(`invoke_agent ${agent}`, {
        kind: "client",
        attributes: {
          ...attributes,
          "baton.run.id": runId,
          "baton.attach.how": how,
          "baton.attach.attempt": attempt,
          "baton.attach.position": sequenceNumber
        }
      })
      this.span = span
      GenAi.addGenAIAnnotations(span, { response: { id: responseId } })
      yield* Scope.addFinalizerExit(yield* Effect.scope, (exit) => this.detached(span, how, begun, exit))
      return span
    })
  }

  private detached(
    span: Tracer.Span,
    how: Attachment["how"],
    begun: bigint,
    exit: Exit.Exit<unknown, unknown>
  ): Effect.Effect<void> {
    const error = errorType(exit)
    if (error !== undefined) span.attribute("error.type", error)
    const duration = Instruments.operationDuration({
      ...this.attributes(),
      "baton.attach.how": how,
      ...(error === undefined ? {} : { "error.type": error })
    })
    return Metric.update(duration, this.secondsSince(begun))
  }

  private secondsSince(begun: bigint): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() - begun) / 1e9
  }

  named(responseId: string): void {
    if (this.span !== undefined) GenAi.addGenAIAnnotations(this.span, { response: { id: responseId } })
  }

  /** Counts delivered updates. It is no effect, because it is called for each read. */
  delivered(count: number): void {
    this.updates.updateUnsafe(count, this.context)
    const { asked } = this
    if (asked === undefined) return
    const waited = this.secondsSince(asked)
    this.asked = undefined
    this.span?.attribute("gen_ai.response.time_to_first_chunk", waited)
    Instruments.timeToFirstChunk(this.attributes()).updateUnsafe(waited, this.context)
  }

  /** Called when the run has ended, within the attachment that showed the end. */
  ended({ snapshot, status }: { readonly status: RunStatus; readonly snapshot?: ModelSnapshot }): Effect.Effect<void> {
    const { agent, counts, model } = this.options
    const { span } = this
    span?.attribute("baton.run.status", status)
    if (span !== undefined && snapshot !== undefined) describe(span, snapshot)
    return snapshot !== undefined && counts(snapshot.responseId) ? used(model, agent, snapshot) : Effect.void
  }
}

export const make = (options: Options): Effect.Effect<Telemetry> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.map(Clock.Clock, (clock) => new Telemetry(options, clock, context))
  )

const describe = (span: Tracer.Span, { finish, model, responseId }: ModelSnapshot) => {
  GenAi.addGenAIAnnotations(span, {
    response: { id: responseId, model, finishReasons: finish && [finish.reason] },
    usage: { inputTokens: finish?.usage.inputTokens.total, outputTokens: finish?.usage.outputTokens.total }
  })
  // Effect's GenAI attributes lack these names.
  const cached = finish?.usage.inputTokens.cacheRead
  const reasoning = finish?.usage.outputTokens.reasoning
  if (cached !== undefined) span.attribute("gen_ai.usage.cache_read.input_tokens", cached)
  if (reasoning !== undefined) span.attribute("gen_ai.usage.reasoning.output_tokens", reasoning)
}

/** Records the tokens that a response used. */
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

/** The name of a failure as a metric attribute, with few values. Undefined for an interruption, which is no failure. */
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
