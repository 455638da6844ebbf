/**
 * The port to a provider that can run a model in the background.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type { RunId, RunStatus } from "./Run.ts"

/**
 * A text that grows: an output text or a refusal, reasoning, or the parameters of a call, as JSON or as they are.
 *
 * **Details**
 *
 * `text` is what there is of it: all of it where the lane is told as a whole, its beginning where the lane starts.
 * `metadata` goes onto the start and the end that the lane's parts get. `name` is the tool's, of `params`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TextLane {
  readonly lane: number
  readonly kind: "text" | "reasoning" | "params"
  readonly text: string
  readonly name?: string
  readonly metadata?: Metadata
}

/**
 * A list of sources, as the citations of a text are. One that cannot be read is `undefined`, so that those after it keep
 * their numbers. `from` is the number of the first one given here, 0 if it is absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourcesLane {
  readonly lane: number
  readonly kind: "sources"
  readonly from?: number
  readonly sources: ReadonlyArray<SourceWithoutId | undefined>
}

/**
 * A part that comes whole: a call, a file.
 *
 * @since 0.1.0
 * @category models
 */
export interface SingleLane {
  readonly lane: number
  readonly kind: "single"
  readonly part: Response.ToolCallPartEncoded | Response.FilePartEncoded
}

/**
 * A lane that is there and cannot be read. Without it the lane would count as missing.
 *
 * @since 0.1.0
 * @category models
 */
export interface UnreadLane {
  readonly lane: number
  readonly kind: "unread"
}

/**
 * One sequence inside an output item: a text, its citations, a call's parameters, the call itself.
 *
 * **Details**
 *
 * `lane` is its number within the item, which must come out the same from events and from snapshots.
 *
 * @since 0.1.0
 * @category models
 */
export type Lane = TextLane | SourcesLane | SingleLane | UnreadLane

/**
 * The metadata of a part, by provider.
 *
 * @since 0.1.0
 * @category models
 */
export type Metadata = Response.ProviderMetadata

/**
 * A source as a model tells it: the ids of parts are made by Baton.
 *
 * @since 0.1.0
 * @category models
 */
export type SourceWithoutId = Omit<Response.UrlSourcePartEncoded, "id"> | Omit<Response.DocumentSourcePartEncoded, "id">

/**
 * The output item that a statement is about: by its index, or, if the server gives none, by its id.
 *
 * @since 0.1.0
 * @category models
 */
export interface ItemRef {
  readonly index?: number | undefined
  readonly itemId?: string | undefined
}

/**
 * One thing that an event says about the output.
 *
 * **Details**
 *
 * - `Delta`: a text goes on. The first one of a lane need not have a `LaneStarted` before it.
 * - `ItemAdded`: an item begins, with what there is of it: a call's parameters, say.
 * - `LaneStarted`: a text begins.
 * - `PartAdded`: a source, a call or a file.
 * - `LaneEnded`: a text is finished, and was this, if the event repeats it.
 * - `ItemDone`: an item is finished, and was this; without `lanes` if it cannot be read.
 *
 * A model says what its events say, and nothing more: Baton makes starts, ends and what is missing of them.
 *
 * @since 0.1.0
 * @category models
 */
export type Statement =
  | (ItemRef & {
      readonly _tag: "Delta"
      readonly lane: number
      readonly kind: TextLane["kind"]
      readonly delta: string
    })
  | (ItemRef & { readonly _tag: "ItemAdded"; readonly lanes: ReadonlyArray<TextLane> })
  | (ItemRef & { readonly _tag: "LaneStarted"; readonly lane: TextLane })
  | (ItemRef & { readonly _tag: "PartAdded"; readonly lane: SourcesLane | SingleLane })
  | (ItemRef & {
      readonly _tag: "LaneEnded"
      readonly lane: number
      readonly kind: TextLane["kind"]
      readonly text?: string
      readonly metadata?: Metadata
    })
  | (ItemRef & { readonly _tag: "ItemDone"; readonly lanes?: ReadonlyArray<Lane> })

/**
 * One event of a provider's stream, decoded without looking at the events before it.
 *
 * **Details**
 *
 * An event that says nothing about the output becomes one update of its own, so that nothing the provider said is lost; a
 * `keepalive` becomes none. `terminal` ends the response. `error` is what an `error` event said: not an end yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelEvent {
  /** Rises along the response, with gaps; absent for providers without numbers, whose streams cannot be resumed. */
  readonly sequenceNumber?: number
  readonly statements: ReadonlyArray<Statement>
  readonly keepalive?: boolean
  readonly status?: RunStatus
  readonly responseId?: string
  /** Whether the response runs in the background, if the provider tells. */
  readonly background?: boolean
  readonly terminal?: ModelSnapshot
  readonly error?: AiError.AiError
  /** The event as the provider sent it. */
  readonly raw?: unknown
}

/**
 * An output item as a snapshot shows it. `done` says that nothing of it will change; `unread` that it is there and cannot
 * be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnapshotItem {
  readonly lanes: ReadonlyArray<Lane>
  readonly done: boolean
  readonly unread?: boolean
}

/**
 * A response as a retrieval or a terminal event shows it. `items` are in the order of the output.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSnapshot {
  readonly responseId: string
  readonly status: RunStatus
  readonly items: ReadonlyArray<SnapshotItem>
  /** Present once the response is over. */
  readonly finish?: Response.FinishPartEncoded
  /** The model that answered, where the provider tells. */
  readonly model?: string
  /** Why a failed response failed. */
  readonly error?: AiError.AiError
  /** Whether the response runs in the background, if the provider tells. */
  readonly background?: boolean
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
 * - `create` opens a response and streams it; the request is sent once. A failure that leaves open whether it was accepted
 *   is `CreateUnconfirmed`; an `AiError` before an event has named the response means that nothing was bought.
 * - `submit` opens a background response without streaming it, under the same rule.
 * - `resume` replays a response's events after `after` (from the first without it), and goes on live.
 * - `retrieve` looks once; `pollAfter` is the provider's wish for the next look.
 * - `cancel` asks; the end may still be a completion. A refusal is an `AiError`, whatever its words: Baton then looks at
 *   the response.
 * - `demands` says what options demand of a request: `streamed: false` if such a response must be opened by `submit`, and
 *   how long it may take to complete, if that is longer than usual.
 * - A stream may end without a terminal event, and often does: the caller resumes it.
 *
 * `BackgroundModelContract.suite` of `@effect-baton/testing` proves an implementation.
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
    readonly demands: (options: ModelRequest["options"]) => {
      readonly streamed: boolean
      readonly window?: Duration.Duration
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
