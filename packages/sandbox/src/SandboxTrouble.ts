/**
 * Troubles that the sandbox server can make on purpose, as plain values. They
 * can be switched on for the whole server, for one request (the header
 * `x-sandbox-trouble`), or for one response and all later requests about it
 * (the metadata key `sandbox_trouble` of its create request).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * The operations of the server. `on` limits a trouble to one of them.
 * `"create"` is every `POST /responses`, `"resume"` a `GET /responses/{id}`
 * that is streamed, `"retrieve"` one that is not.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Operation = Schema.Literals(["create", "resume", "retrieve", "cancel", "delete", "input_items", "models"])

/**
 * One of the operations of the API.
 *
 * @since 0.1.0
 * @category models
 */
export type Operation = typeof Operation.Type

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const limits = {
  /** How many times the trouble strikes. Default: every time. */
  times: Schema.optionalKey(Count),
  /** The only operation that the trouble strikes. Default: every operation that it applies to. */
  on: Schema.optionalKey(Operation)
}

/**
 * The troubles. Counts are in events of one connection unless stated
 * otherwise, times are in milliseconds.
 *
 * Other answers than the requested one:
 *
 * - `HttpError`: answers with `status` and an error body, and does nothing
 *   else. `retryAfter` (seconds) becomes the `Retry-After` header.
 * - `DropBeforeHeaders`: carries out the request (a create creates), then
 *   breaks the connection before the first header.
 *
 * The body of one connection:
 *
 * - `EndEarly`: the body ends cleanly, without a terminal event, `after` events.
 * - `HalfEvent`: the body ends cleanly in the middle of the event after `after`.
 * - `Reset`: the socket is reset in the middle of the event after `after`.
 * - `Stall`: after `after` events nothing more comes; the socket stays open.
 * - `SplitBytes`: the body comes in pieces of `every` bytes (default 1), so
 *   that characters of several bytes come in pieces.
 * - `Crlf`: lines end in CR LF.
 * - `NoFinalBlankLine`: the last event lacks its blank line.
 * - `DuplicateReplay`: a resume begins `back` events before the one asked for.
 * - `OutOfOrderReplay`: a resume delivers the events that it replays with
 *   neighbours swapped.
 *
 * The whole life of a response (fixed when it is created):
 *
 * - `Keepalives`: `keepalive` events that take a sequence number and are never
 *   replayed: `before` of them before `response.created`, and one after every
 *   `every` events.
 * - `UnknownEvents`: an event of an unknown type after every `every` events.
 * - `ErrorEvent`: after `after` events an `error` event, `nested` as in
 *   recordings or `flat` as in the SDK's types, and then `response.failed`
 *   unless `thenFailed` is false.
 * - `End`: the response ends after `after` events (default: at its end) as
 *   `status`; `cancelled` has no event of its own unless `event` is true.
 * - `QueueTime`: the response stays queued for `millis`.
 * - `StuckQueued`: the response stays queued until it is cancelled.
 * - `Pace`: the deltas come `millis` apart.
 * - `LongRun`: the response is one text of `deltas` deltas, generated as it is
 *   read, for every model but a recording.
 * - `Webhook`: the end of the response is reported `copies` times to the
 *   server's webhook: 0 means never, 2 twice.
 *
 * Operations on a response:
 *
 * - `RefuseReplay`: the response can be streamed again only for `afterMillis`
 *   (default 0) after its creation.
 * - `IgnoreCancel`: a cancel is answered as if it were accepted, and the
 *   response continues to its end.
 * - `CancelEvent`: a cancelled stream ends with a `response.cancelled` event
 *   instead of no event.
 * - `RefuseCancelFinished`: cancelling a finished response is answered with
 *   400 instead of the final body.
 * - `Expired`: requests for the response get 404 once `afterMillis` (default 0)
 *   have passed since its creation.
 * - `PollAfter`: the answer to a retrieve has the header
 *   `openai-poll-after-ms`.
 *
 * **Example** (Two troubles)
 *
 * ```ts
 * import type { Trouble } from "@effect-baton/sandbox/SandboxTrouble"
 *
 * const flaky: ReadonlyArray<Trouble> = [
 *   { _tag: "Reset", after: 10, times: 2 },
 *   { _tag: "RefuseReplay", afterMillis: 500 }
 * ]
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Trouble = Schema.TaggedUnion({
  HttpError: {
    ...limits,
    status: Schema.Int.check(Schema.isBetween({ minimum: 400, maximum: 599 })),
    code: Schema.optionalKey(Schema.NullOr(Schema.String)),
    type: Schema.optionalKey(Schema.String),
    message: Schema.optionalKey(Schema.String),
    retryAfter: Schema.optionalKey(Schema.Finite)
  },
  DropBeforeHeaders: limits,
  EndEarly: { ...limits, after: Count },
  HalfEvent: { ...limits, after: Count },
  Reset: { ...limits, after: Count },
  Stall: { ...limits, after: Count },
  SplitBytes: { ...limits, every: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))) },
  Crlf: limits,
  NoFinalBlankLine: limits,
  DuplicateReplay: { ...limits, back: Count },
  OutOfOrderReplay: limits,
  Keepalives: { ...limits, before: Schema.optionalKey(Count), every: Schema.optionalKey(Count) },
  UnknownEvents: { ...limits, every: Schema.optionalKey(Count) },
  ErrorEvent: {
    ...limits,
    form: Schema.Literals(["nested", "flat"]),
    after: Count,
    code: Schema.optionalKey(Schema.String),
    message: Schema.optionalKey(Schema.String),
    thenFailed: Schema.optionalKey(Schema.Boolean)
  },
  End: {
    ...limits,
    status: Schema.Literals(["failed", "incomplete", "cancelled"]),
    after: Schema.optionalKey(Count),
    code: Schema.optionalKey(Schema.String),
    message: Schema.optionalKey(Schema.String),
    reason: Schema.optionalKey(Schema.String),
    event: Schema.optionalKey(Schema.Boolean)
  },
  QueueTime: { ...limits, millis: Schema.Finite },
  StuckQueued: limits,
  Pace: { ...limits, millis: Schema.Finite },
  LongRun: { ...limits, deltas: Count },
  Webhook: { ...limits, copies: Count },
  RefuseReplay: { ...limits, afterMillis: Schema.optionalKey(Schema.Finite) },
  IgnoreCancel: limits,
  CancelEvent: limits,
  RefuseCancelFinished: limits,
  Expired: { ...limits, afterMillis: Schema.optionalKey(Schema.Finite) },
  PollAfter: { ...limits, millis: Schema.Finite }
})

/**
 * One trouble.
 *
 * @since 0.1.0
 * @category models
 */
export type Trouble = typeof Trouble.Type

/**
 * One kind of trouble, by its tag.
 *
 * @since 0.1.0
 * @category models
 */
export type TroubleOf<Tag extends Trouble["_tag"]> = Extract<Trouble, { readonly _tag: Tag }>

/**
 * A text names no trouble, or one with wrong fields.
 *
 * @since 0.1.0
 * @category errors
 */
export class TroubleInvalid extends Schema.TaggedError<TroubleInvalid>()("TroubleInvalid", {
  text: Schema.String,
  message: Schema.String
}) {}

const decodeTroubles = Schema.decodeUnknownEffect(Schema.Array(Trouble))
const decodeJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Unknown))

const scalar = (text: string): unknown =>
  text === "true" ? true : text === "false" ? false : /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text

const fromWords = (text: string): ReadonlyArray<unknown> =>
  text
    .split(";")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      const [tag, ...fields] = part.split(/\s+/)
      return {
        ...Object.fromEntries(
          fields.map((field) => {
            const equals = field.indexOf("=")
            return equals < 0 ? [field, true] : [field.slice(0, equals), scalar(field.slice(equals + 1))]
          })
        ),
        _tag: tag
      }
    })

/**
 * Parses troubles from a text, as in the header, the metadata key and the
 * command line. The text is JSON (a trouble or an array of them), or
 * `Tag field=value field=value`, with `;` between several. Fails with
 * `TroubleInvalid`.
 *
 * **Example** (Reading troubles from a text)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { parse } from "@effect-baton/sandbox/SandboxTrouble"
 *
 * Effect.runSync(parse("Reset after=3; StuckQueued")) // => [ { _tag: "Reset", after: 3 }, { _tag: "StuckQueued" } ]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = Effect.fnUntraced(
  function* (text: string) {
    const value = /^\s*[[{]/.test(text) ? yield* decodeJson(text) : fromWords(text)
    return yield* decodeTroubles(Array.isArray(value) ? value : [value])
  },
  (effect, text) =>
    Effect.mapError(effect, (error) => {
      // If no tag fits, Schema's message lists every member of the union.
      const known = Object.keys(Trouble.cases).some((tag) => text.includes(tag))
      return new TroubleInvalid({
        text,
        message: known
          ? error.message
          : `"${text}" names no trouble. The troubles are ${Object.keys(Trouble.cases).join(", ")}.`
      })
    })
)

/**
 * An `HttpError` 429 `rate_limit_exceeded` with a `Retry-After` of `retryAfter`
 * seconds (default 1). By default it strikes once.
 *
 * **Example** (A rate limit with a wait)
 *
 * ```ts
 * import { rateLimited } from "@effect-baton/sandbox/SandboxTrouble"
 *
 * rateLimited({ retryAfter: 90 }).times // => 1
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rateLimited = (options?: {
  readonly retryAfter?: number
  readonly times?: number
  readonly on?: Operation
}): Trouble => ({
  _tag: "HttpError",
  status: 429,
  code: "rate_limit_exceeded",
  type: "tokens",
  message: "Rate limit reached. Please try again later.",
  retryAfter: options?.retryAfter ?? 1,
  times: options?.times ?? 1,
  ...(options?.on === undefined ? {} : { on: options.on })
})

/**
 * An `HttpError` 429 `insufficient_quota`, for which a retry never helps.
 *
 * **Example** (A server without quota)
 *
 * ```ts
 * import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
 * import { insufficientQuota } from "@effect-baton/sandbox/SandboxTrouble"
 *
 * const server = ResponsesServer.layer({ troubles: [insufficientQuota] })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const insufficientQuota: Trouble = {
  _tag: "HttpError",
  status: 429,
  code: "insufficient_quota",
  type: "insufficient_quota",
  message: "You exceeded your current quota, please check your plan and billing details."
}

/**
 * An `HttpError` 5xx (503 `server_is_overloaded` by default) that strikes
 * `times` times.
 *
 * **Example** (Three failed polls)
 *
 * ```ts
 * import { serverErrors } from "@effect-baton/sandbox/SandboxTrouble"
 *
 * serverErrors(3, { on: "retrieve" }).times // => 3
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverErrors = (
  times: number,
  options?: { readonly status?: number; readonly on?: Operation }
): Trouble => ({
  _tag: "HttpError",
  status: options?.status ?? 503,
  code: (options?.status ?? 503) === 503 ? "server_is_overloaded" : "server_error",
  type: "server_error",
  message: "The server had an error while processing your request. Sorry about that!",
  times,
  ...(options?.on === undefined ? {} : { on: options.on })
})

/**
 * An `HttpError` 401 `invalid_api_key`.
 *
 * **Example** (A server that refuses every key)
 *
 * ```ts
 * import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
 * import { unauthorized } from "@effect-baton/sandbox/SandboxTrouble"
 *
 * const server = ResponsesServer.layer({ troubles: [unauthorized] })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unauthorized: Trouble = {
  _tag: "HttpError",
  status: 401,
  code: "invalid_api_key",
  type: "invalid_request_error",
  message: "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
}
