/**
 * The port to a provider that can run a model in the background.
 *
 * @since 0.1.0
 */
import { Context, type Duration, type Effect, Schema, type Stream } from "effect"
import { AiError, type Prompt, type Response } from "effect/ai"
import type { RunId, RunStatus } from "./Run.ts"

/**
 * One `effect/ai` stream part of a response, and where it belongs.
 *
 * **Details**
 *
 * `item` is the index of the output item and `lane` that of the sequence inside the item which the part extends: a text,
 * its citations, a call's parameters. A lane holds a start, deltas and an end, or parts that stand alone; both numbers
 * must come out the same from events and from a snapshot. Parts outside of items (finish, metadata) have neither.
 *
 * `whole` comes with the end of a text, of reasoning or of parameters where the provider repeats all of it there: what
 * was delivered is held to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelPart {
  readonly item?: number
  readonly lane?: number
  readonly part: Response.StreamPartEncoded
  readonly whole?: string
}

/**
 * One event of a provider's stream, decoded without looking at the events before it.
 *
 * **Details**
 *
 * An event without parts becomes one update of its own, so that nothing the provider said is lost; a `keepalive` becomes
 * none. `closes` is the index of an item that this event finishes, and `lanes` what that item came to, where the provider
 * repeats it there. `terminal` ends the response.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelEvent {
  /** Rises along the response, with gaps; absent for providers without numbers, whose streams cannot be resumed. */
  readonly sequenceNumber?: number
  readonly parts: ReadonlyArray<ModelPart>
  readonly keepalive?: boolean
  readonly status?: RunStatus
  readonly responseId?: string
  readonly closes?: number
  readonly lanes?: ReadonlyArray<SnapshotLane>
  readonly terminal?: ModelSnapshot
  /** The event as the provider sent it. */
  readonly raw?: unknown
}

/**
 * The whole content of one lane, as the stream parts that would deliver it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnapshotLane {
  readonly item: number
  readonly lane: number
  readonly parts: ReadonlyArray<Response.StreamPartEncoded>
}

/**
 * A response as a retrieval shows it. `lanes` are in the order of the output.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSnapshot {
  readonly responseId: string
  readonly status: RunStatus
  readonly lanes: ReadonlyArray<SnapshotLane>
  /** Present once the response is over. */
  readonly finish?: Response.FinishPartEncoded
  /** The model that answered, where the provider tells. */
  readonly model?: string
  /** Why a failed response failed. */
  readonly error?: AiError.AiError
  readonly raw?: unknown
}

/**
 * What a run asks of a model.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelRequest {
  readonly runId: RunId
  readonly agent: string
  readonly instructions?: string
  readonly prompt: Prompt.Prompt
  /** The response that this one continues. */
  readonly previousResponseId?: string
  readonly background: boolean
  /** Provider options, merged over the layer's: see the provider's package. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * A create request was sent and its answer never came: whether the provider accepted it is unknown.
 *
 * @since 0.1.0
 * @category errors
 */
export class CreateUnconfirmed extends Schema.TaggedError<CreateUnconfirmed>()("CreateUnconfirmed", {
  error: AiError.AiError
}) {}

/**
 * The provider will not replay this response's stream (too old, or not made to be resumed). It can still be polled.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReplayUnavailable extends Schema.TaggedError<ReplayUnavailable>()("ReplayUnavailable", {
  description: Schema.String
}) {}

/**
 * The provider does not know the response (any longer).
 *
 * @since 0.1.0
 * @category errors
 */
export class ResponseGone extends Schema.TaggedError<ResponseGone>()("ResponseGone", {
  responseId: Schema.String
}) {}

/**
 * The port to a provider. `@effect-baton/openai` implements it for OpenAI and Azure OpenAI, `@effect-baton/testing` as a
 * script for tests.
 *
 * **Details**
 *
 * - `create` opens a response and streams it; the request is sent once, and a failure that leaves open whether it was
 *   accepted is `CreateUnconfirmed`, while an `AiError` before the first event means that nothing was bought.
 * - `submit` opens a background response without streaming it, under the same rule.
 * - `resume` replays a response's events after `after` (from the first without it), and goes on live.
 * - `retrieve` looks once; `pollAfter` is the provider's wish for the next look.
 * - `cancel` asks; the end may still be a completion.
 * - A stream may end without a terminal event, and often does: the caller resumes it.
 *
 * @since 0.1.0
 * @category services
 */
export class BackgroundModel extends Context.Service<
  BackgroundModel,
  {
    /** Whose it is, by OpenTelemetry's names where there is one: `openai`, `azure.ai.openai`. */
    readonly provider: string
    /** The model that is asked for. */
    readonly model: string
    readonly capabilities: {
      readonly background: boolean
      readonly resume: boolean
      readonly cancel: boolean
    }
    readonly create: (request: ModelRequest) => Stream.Stream<ModelEvent, AiError.AiError | CreateUnconfirmed>
    readonly submit: (request: ModelRequest) => Effect.Effect<ModelSnapshot, AiError.AiError | CreateUnconfirmed>
    readonly resume: (
      responseId: string,
      options: { readonly after?: number }
    ) => Stream.Stream<ModelEvent, AiError.AiError | ReplayUnavailable | ResponseGone>
    readonly retrieve: (
      responseId: string
    ) => Effect.Effect<
      { readonly snapshot: ModelSnapshot; readonly pollAfter?: Duration.Duration },
      AiError.AiError | ResponseGone
    >
    readonly cancel: (responseId: string) => Effect.Effect<"requested" | "already over", AiError.AiError | ResponseGone>
    readonly remove: (responseId: string) => Effect.Effect<void, AiError.AiError>
  }
>()("@effect-baton/core/BackgroundModel") {}
