/**
 * The port to providers, above all to those that can run a model in the background.
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
import type * as Tool from "effect/ai/Tool"
import type { RunId, RunStatus } from "./Run.ts"

/**
 * A lane whose text grows: an output text or a refusal, reasoning, or the parameters of a call, as JSON or as plain text.
 *
 * **Details**
 *
 * `text` is the whole text where a statement or a snapshot gives the whole lane, and its beginning where the lane starts.
 * `metadata` is put on the start and the end part of the lane. `name` is the name of the tool, for `params`, and
 * `providerExecuted` is true if the provider runs the call.
 *
 * @since 0.1.0
 * @category models
 */
export interface TextLane {
  readonly lane: number
  readonly kind: "text" | "reasoning" | "params"
  readonly text: string
  readonly name?: string
  readonly providerExecuted?: boolean
  readonly metadata?: Metadata
}

/**
 * A lane that is a list of sources, for instance the citations of a text. A source that cannot be read is `undefined`, so
 * that those after it keep their numbers. `from` is the number of the first source given here; 0 if it is absent.
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
 * A lane with one part that comes whole: a call, its result, the request for its approval, or a file.
 *
 * **Details**
 *
 * A call with `providerExecuted` and a result are information: the provider ran the call. Like sources, they are not
 * compared when a response shows its output again, because servers may show them differently or not at all. The caller
 * answers a call without `providerExecuted`, and an approval request, whose call has `providerExecuted`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SingleLane {
  readonly lane: number
  readonly kind: "single"
  readonly part:
    | Response.ToolCallPartEncoded
    | Response.ToolResultPartEncoded
    | Response.ToolApprovalRequestPartEncoded
    | Response.FilePartEncoded
}

/**
 * A lane that exists and cannot be read. Without this entry, the lane would count as missing.
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
 * `lane` is the number of the lane within the item. Events and snapshots must give a lane the same number.
 *
 * @since 0.1.0
 * @category models
 */
export type Lane = TextLane | SourcesLane | SingleLane | UnreadLane

/**
 * The metadata of a part, keyed by provider.
 *
 * @since 0.1.0
 * @category models
 */
export type Metadata = Response.ProviderMetadata

/**
 * A source as a model gives it, without an id: Baton makes the ids of parts.
 *
 * @since 0.1.0
 * @category models
 */
export type SourceWithoutId = Omit<Response.UrlSourcePartEncoded, "id"> | Omit<Response.DocumentSourcePartEncoded, "id">

/**
 * Names the output item that a statement is about: by its index, or, if the server gives none, by its id.
 *
 * @since 0.1.0
 * @category models
 */
export interface ItemRef {
  readonly index?: number | undefined
  readonly itemId?: string | undefined
}

/**
 * One statement of an event about the output.
 *
 * **Details**
 *
 * - `Delta`: a text grows by `delta`. The first delta of a lane may come without a `LaneStarted` before it.
 * - `ItemAdded`: an item begins. `lanes` has what the event contains of it, for instance a call's parameters.
 * - `LaneStarted`: a text begins.
 * - `PartAdded`: a source, a call or a file was added.
 * - `Preliminary`: a result that is not final, for instance an image that is not finished. Only events have such results:
 *   a replay repeats them, and a snapshot that fills in does not.
 * - `LaneEnded`: a text is finished. `text` is the whole text, if the event repeats it.
 * - `ItemDone`: an item is finished. `lanes` has the whole item; absent if the item cannot be read.
 *
 * A model states only what its events contain. Baton adds starts, ends and missing deltas.
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
      readonly _tag: "Preliminary"
      readonly part: Response.ToolResultPartEncoded & { readonly preliminary: true }
    })
  | (ItemRef & {
      readonly _tag: "LaneEnded"
      readonly lane: number
      readonly kind: TextLane["kind"]
      readonly text?: string
      readonly metadata?: Metadata
    })
  | (ItemRef & { readonly _tag: "ItemDone"; readonly lanes?: ReadonlyArray<Lane> })

/**
 * One event of a provider's stream, decoded without reference to the events before it.
 *
 * **Details**
 *
 * An event without statements becomes one update of its own, so that nothing from the provider is lost; a `keepalive`
 * becomes no update. An event with `terminal` ends the response. `error` is the error in an `error` event, which does not
 * end the response.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelEvent {
  /** The number of the event. Numbers rise, with gaps. Absent if the provider gives none: its streams cannot be resumed. */
  readonly sequenceNumber?: number
  readonly statements: ReadonlyArray<Statement>
  readonly keepalive?: boolean
  readonly status?: RunStatus
  readonly responseId?: string
  /** Whether the response runs in the background; absent if the provider does not say. */
  readonly background?: boolean
  readonly terminal?: ModelSnapshot
  readonly error?: AiError.AiError
  /** The event as the provider sent it. A model can make it when it is read: nobody reads it in runs with an update log. */
  readonly raw?: unknown
}

/**
 * An output item in a snapshot. `done` means that the item will not change any more; `unread` means that it exists and
 * cannot be read.
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
 * A snapshot of a response, from a retrieval or a terminal event. `items` are in the order of the output.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSnapshot {
  readonly responseId: string
  readonly status: RunStatus
  readonly items: ReadonlyArray<SnapshotItem>
  /** Present once the response has ended. */
  readonly finish?: Response.FinishPartEncoded
  /** The model that answered; absent if the provider does not say. */
  readonly model?: string
  /** Why the response failed. */
  readonly error?: AiError.AiError
  /** Whether the response runs in the background; absent if the provider does not say. */
  readonly background?: boolean
  readonly raw?: unknown
}

/**
 * A request to a model for one response of a run.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelRequest {
  readonly runId: RunId
  readonly agent: string
  readonly instructions?: string
  readonly prompt: Prompt.Prompt
  /** The id of the response that this one continues. */
  readonly previousResponseId?: string
  readonly background: boolean
  /** The tools of the agent that the model may call; absent if it has none. */
  readonly tools?: ReadonlyArray<Tool.Any>
  /** Provider options, merged over the layer's: see the provider's package. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * A request that opens a response was sent, and no answer came: it is not known whether the provider accepted it.
 *
 * @since 0.1.0
 * @category errors
 */
export class CreateUnconfirmed extends Schema.TaggedError<CreateUnconfirmed>()("CreateUnconfirmed", {
  error: AiError.AiError
}) {}

/**
 * The provider cannot replay the stream of this response: the response is too old, or was not opened as a stream. It can
 * still be polled.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReplayUnavailable extends Schema.TaggedError<ReplayUnavailable>()("ReplayUnavailable", {
  description: Schema.String
}) {}

/**
 * The provider does not have the response, or no longer has it.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResponseGone extends Schema.TaggedError<ResponseGone>()("ResponseGone", {
  responseId: Schema.String
}) {}

/**
 * The port to a provider. `@effect-baton/openai` implements it for OpenAI and Azure OpenAI; `@effect-baton/testing` plays a
 * script for tests.
 *
 * **Details**
 *
 * - `create` opens a response and streams it. It sends the request once. It fails with `CreateUnconfirmed` if it is not
 *   known whether the provider accepted the request. An `AiError` before an event has named the response means that nothing
 *   was bought.
 * - `submit` opens a background response without streaming it, and fails by the same rule.
 * - `resume` replays the events of a response after number `after` (all events if it is absent), and goes on live.
 * - `retrieve` reads the response once. `pollAfter` is the time that the provider asks callers to wait before the next
 *   retrieval.
 * - `cancel` asks the provider to cancel the response, which may still complete. Any refusal is an `AiError`: Baton then
 *   retrieves the response.
 * - `remove` deletes the response.
 * - `demands` says what the given options demand: `streamed: false` if the response must be opened by `submit`,
 *   `window`, the time that the response may take if that is longer than usual, and `stored: false` if the provider keeps
 *   no response, so that each turn of a run must be sent all turns before it.
 * - A stream may end without a terminal event, and often does: the caller then resumes it.
 *
 * Prove an implementation with `BackgroundModelContract.suite` of `@effect-baton/testing`.
 *
 * @since 0.1.0
 * @category services
 */
export class BackgroundModel extends Context.Service<
  BackgroundModel,
  {
    /** The name of the provider, from OpenTelemetry's list if it has one: `openai`, `azure.ai.openai`. */
    readonly provider: string
    /** The name of the model in requests. */
    readonly model: string
    readonly capabilities: {
      readonly background: boolean
      readonly resume: boolean
      readonly cancel: boolean
    }
    readonly demands: (options: ModelRequest["options"]) => {
      readonly streamed: boolean
      readonly window?: Duration.Duration
      readonly stored?: boolean
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
