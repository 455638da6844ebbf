/**
 * A `BackgroundModel` for the Responses API of OpenAI and Azure OpenAI.
 *
 * @since 0.1.0
 */
import {
  BackgroundModel,
  type CreateUnconfirmed,
  type ModelRequest,
  type ModelSnapshot,
  ReplayUnavailable,
  ResponseGone
} from "@effect-baton/core/BackgroundModel"
import { isOver } from "@effect-baton/core/Run"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as AiError from "effect/ai/AiError"
import type { Reasoning } from "openai/resources/shared"
import * as Body from "./internal/body.ts"
import * as Create from "./internal/create.ts"
import type { RequestFailure } from "./internal/failures.ts"
import * as Http from "./internal/http.ts"
import { pollAfter } from "./internal/reasons.ts"
import * as Request from "./internal/request.ts"
import type { Params } from "./ResponseParams.ts"
import * as Snapshot from "./internal/snapshot.ts"
import { OpenAiClient } from "./OpenAiClient.ts"

export type { Params } from "./ResponseParams.ts"

/**
 * The model to use, and its settings.
 *
 * **Details**
 *
 * An agent's own options (`ModelRequest.options`) are `Params` too and override these. The tools of both are offered, and
 * those of the agent's toolkit. `params.include` is sent with each retrieval too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name of the model; on Azure, of the deployment. */
  readonly model: string
  /** How much a reasoning model thinks, and whether it returns a summary. */
  readonly reasoning?: Reasoning | undefined
  /** The most tokens that a response may have, reasoning included. Reaching it ends the response as incomplete. */
  readonly maxOutputTokens?: number | undefined
  /** The sampling temperature, from 0 to 2. Reasoning models refuse it. */
  readonly temperature?: number | undefined
  /** Whether the provider keeps the response for 30 days (its default), or only about ten minutes for polling. */
  readonly store?: boolean | undefined
  /** All other fields of a create request. */
  readonly params?: Params | undefined
}

const paramsOf = ({ maxOutputTokens, model, params, reasoning, store, temperature }: Options): Params => ({
  ...params,
  model,
  ...(reasoning === undefined ? undefined : { reasoning }),
  ...(maxOutputTokens === undefined ? undefined : { max_output_tokens: maxOutputTokens }),
  ...(temperature === undefined ? undefined : { temperature }),
  ...(store === undefined ? undefined : { store })
})

const errorOf = (failure: RequestFailure, method: string): AiError.AiError =>
  AiError.make({ module: Snapshot.module, method, reason: failure.reason })

// An id inside a path only repeats the request: an error about a wrong base URL contains the path too.
const speaksOf = (message: string, responseId: string): boolean => {
  const pieces = message.split(responseId)
  return pieces.some((before, i) => i + 1 < pieces.length && !before.endsWith("/") && !/^\w/.test(pieces[i + 1] ?? ""))
}

// A 404 that does not mention the response is about something else: the base URL, the deployment or a gateway.
const isGone = (responseId: string, { api, error }: RequestFailure): boolean =>
  api === true &&
  error?.status === 404 &&
  (speaksOf(error.message, responseId) ||
    error.parameter === "id" ||
    error.parameter === "response_id" ||
    /^response_?not_?found$/i.test(error.code ?? ""))

const goneOr =
  (responseId: string, method: string) =>
  (failure: RequestFailure): AiError.AiError | ResponseGone =>
    isGone(responseId, failure) ? new ResponseGone({ responseId }) : errorOf(failure, method)

const make = (client: OpenAiClient["Service"], options: Options): BackgroundModel["Service"] => {
  const { responses } = client.client
  const requested = paramsOf(options)
  // What the provider shows only if it is asked must be the same in a stream and in a retrieval.
  const include = requested.include == null ? undefined : { include: requested.include }

  const body = (request: ModelRequest, stream: boolean, method: string) =>
    Effect.mapError(Request.build(request, requested, stream), (reason) =>
      AiError.make({ module: Snapshot.module, method, reason })
    )

  const at = (
    method: string,
    httpMethod: Http.Exchange["httpMethod"],
    path: string,
    call: Http.Exchange["call"]
  ): Http.Exchange => ({ client, method, httpMethod, path: `/responses${path}`, call })

  const snapshot = (raw: unknown, method: string): Effect.Effect<ModelSnapshot, AiError.AiError> =>
    Effect.fromResult(Snapshot.decode(raw, { method, redact: client.redact }))

  const create: BackgroundModel["Service"]["create"] = (request) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const params = yield* body(request, true, "create")
        const exchange = at("create", "POST", "", (signal) => responses.create(params, { signal }).asResponse())
        const response = yield* Effect.mapError(Http.open(exchange), (failure) => Create.failed(failure, "create"))
        const reading = yield* Http.surroundings(exchange)
        if (Body.isJson(response)) return Stream.fromEffect(Create.unstreamed(response, reading))
        return Stream.fromPull(Effect.succeed(Create.untilNamed(Body.pull(response, reading), reading)))
      }).pipe(Effect.withSpan("OpenAiBackgroundModel.create", {}, { captureStackTrace: false }))
    )

  const submit = Effect.fn("OpenAiBackgroundModel.submit")(function* (
    request: ModelRequest
  ): Effect.fn.Return<ModelSnapshot, AiError.AiError | CreateUnconfirmed> {
    const params = yield* body({ ...request, background: true }, false, "submit")
    const exchange = at("submit", "POST", "", (signal) => responses.create(params, { signal }).asResponse())
    const answer = yield* Effect.mapError(Http.json(exchange), (failure) => Create.failed(failure, "submit"))
    return yield* Create.named(answer.body, yield* Http.surroundings(exchange))
  })

  const resume: BackgroundModel["Service"]["resume"] = (responseId, { after }) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const query = {
          stream: true,
          ...include,
          ...(after === undefined ? undefined : { starting_after: after })
        } as const
        const exchange = at("resume", "GET", `/${responseId}`, (signal) =>
          responses.retrieve(responseId, query, { signal }).asResponse()
        )
        const response = yield* Effect.mapError(Http.open(exchange), (failure) =>
          // A 400 here can only refuse the replay: the response is too old, or was not created in the background, or not as
          // a stream. The wording of the message varies. If something else is wrong, the poll that comes next reports it.
          failure.error?.status === 400
            ? new ReplayUnavailable({ description: failure.error.message })
            : goneOr(responseId, "resume")(failure)
        )
        if (!Body.isEventStream(response)) {
          return yield* new ReplayUnavailable({ description: "The provider answered without a stream." })
        }
        const reading = yield* Http.surroundings(exchange)
        return Stream.fromPull(Effect.succeed(Body.pull(response, reading)))
      }).pipe(Effect.withSpan("OpenAiBackgroundModel.resume", {}, { captureStackTrace: false }))
    )

  const retrieve = Effect.fn("OpenAiBackgroundModel.retrieve")(function* (responseId: string) {
    const exchange = at("retrieve", "GET", `/${responseId}`, (signal) =>
      responses.retrieve(responseId, { ...include }, { signal }).asResponse()
    )
    const answer = yield* Effect.mapError(Http.json(exchange), goneOr(responseId, "retrieve"))
    const wait = pollAfter(answer.headers)
    return {
      snapshot: yield* snapshot(answer.body, "retrieve"),
      ...(Option.isSome(wait) ? { pollAfter: wait.value } : undefined)
    }
  })

  const cancel = Effect.fn("OpenAiBackgroundModel.cancel")(function* (
    responseId: string
  ): Effect.fn.Return<"requested" | "already over", AiError.AiError | ResponseGone> {
    const exchange = at("cancel", "POST", `/${responseId}/cancel`, (signal) =>
      responses.cancel(responseId, { signal }).asResponse()
    )
    const answer = yield* Effect.mapError(Http.json(exchange), goneOr(responseId, "cancel"))
    const { status } = yield* snapshot(answer.body, "cancel")
    // `cancelled` may be the result of this request or of an earlier one.
    return isOver(status) && status !== "cancelled" ? "already over" : "requested"
  })

  const remove = Effect.fn("OpenAiBackgroundModel.remove")(function* (responseId: string) {
    const exchange = at("remove", "DELETE", `/${responseId}`, (signal) =>
      responses.delete(responseId, { signal }).asResponse()
    )
    yield* Http.open(exchange).pipe(
      Effect.flatMap((response) => Effect.ignore(Effect.tryPromise(() => response.text()))),
      Effect.scoped,
      Effect.catchIf(
        (failure) => isGone(responseId, failure),
        () => Effect.void
      ),
      Effect.mapError((failure) => errorOf(failure, "remove"))
    )
  })

  return {
    provider: client.provider === "azure" ? "azure.ai.openai" : "openai",
    model: options.model,
    capabilities: { background: true, resume: true, cancel: true },
    demands: (own) => Request.demands(own, requested),
    create,
    submit,
    resume,
    retrieve,
    cancel,
    remove
  }
}

/**
 * A layer of a `BackgroundModel` for OpenAI or Azure OpenAI.
 *
 * **When to use**
 *
 * Provide it to agents, together with a layer of `OpenAiClient`. Leave `store` unset or true: otherwise the provider keeps
 * a background response only for some minutes.
 *
 * **Details**
 *
 * - `create` and `submit` send exactly one POST. If the connection could not be made, or the provider refused (also in the
 *   first event of a stream), they fail with an `AiError`, and nothing was bought. If the request may have been accepted
 *   (408, 500, 502, 504 and a 503 without a reason, a timeout, a connection that broke after the request was sent, a body
 *   that ends before it names the response), they fail with `CreateUnconfirmed`.
 * - A 404 is `ResponseGone` only if it mentions the response. The 404 of a gateway is an `AiError`.
 * - With `background_options: { completion_window: "8h" }` a response costs less, may take that long, and cannot be
 *   streamed: `demands` says so, and Baton opens it with `submit`.
 * - Everything in a response that can be decoded is used. The rest stays in `raw`, and a snapshot marks it as unread.
 * - `resume` replays a response that was created as a background stream, for about five minutes after its creation. After
 *   that it fails with `ReplayUnavailable`, and `retrieve` still works.
 * - Events are emitted a few at a time. If a body breaks or holds a damaged event, the events before it are emitted, then
 *   the stream fails with a retryable `NetworkError`. Half an event at the end of a body is dropped.
 * - `AiError` reasons: 401 and 403 `AuthenticationError`; `insufficient_quota` and billing codes `QuotaExhaustedError`;
 *   other 429 `RateLimitError` with the provider's wait, of any length; flagged content `ContentPolicyError`; other 4xx
 *   `InvalidRequestError`; 5xx, 408, 409 and a locked conversation `InternalProviderError`, or `RateLimitError` if the
 *   provider says how long to wait. Their metadata holds `openai.errorCode`, `errorType`, `message`, `requestId` and
 *   `status`. The client's keys are removed from every text.
 *
 * Parts carry `metadata.openai`:
 *
 * | part | fields |
 * | --- | --- |
 * | any part of an item, but for sources | `itemId` |
 * | text | `phase`, `refusal` |
 * | reasoning | `encryptedContent` (on an empty part of its own, because it arrives last); `reasoningText` if it is not a summary; `type` for `compaction` |
 * | a call's parameters | `callId` |
 * | a call that waits for the caller, and its approval request | `type`, the type of its item, unless it is a function; `caller` and `namespace`, if the provider gave them |
 * | source | `type`, `fileId`, `containerId`, indices |
 * | finish | `responseId`, `model`, `serviceTier`, `incompleteReason` |
 *
 * `Prompt.fromResponseParts` keeps this metadata, and the next request sends it back to the API: reasoning as the provider
 * sealed it, messages with their phase, results of calls as the output that belongs to their type. `docs/openai-items.md`
 * lists the parts of each type of output item.
 *
 * **Example** (A model with the key from the environment)
 *
 * ```ts
 * import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
 * import { Layer } from "effect"
 *
 * export const model = OpenAiBackgroundModel.layer({ model: "gpt-5.1", reasoning: { effort: "high" } }).pipe(
 *   Layer.provide(OpenAiClient.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<BackgroundModel, never, OpenAiClient> =>
  Layer.effect(
    BackgroundModel,
    Effect.map(OpenAiClient, (client) => make(client, options))
  )
