/**
 * Continuation tokens: compact, versioned positions in a run.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Base64Url from "effect/encoding/Base64Url"
import { TokenInvalid } from "./AgentError.ts"
import { minted, plainCodec } from "./internal/token/minted.ts"
import * as TokenRows from "./internal/token/tokenRows.ts"
import { RunId, RunStatus } from "./Run.ts"

const Natural = Schema.Natural
const Rows = <const S extends ReadonlyArray<typeof Schema.Natural>>(...columns: S) =>
  Schema.Array(Schema.Tuple(columns))

/**
 * The part of a position that describes the output delivered so far. Baton uses it to continue from a snapshot, or from the
 * end of a response.
 *
 * **Details**
 *
 * The output of a response is a list of *items*, each at a *place*. An item has *lanes* (a text, its citations, a call's
 * parameters, the call). All fields are numbers or flags:
 *
 * - `items`: ranges of places of finished items, as `[from, to, ...witness]`.
 * - `lanes`: ranges of finished lanes of unfinished items, as `[place, from, to, ...witness]`.
 * - `open`: lanes that have begun and not ended, as `[place, lane, kind, count, hash, half]`. `kind` is 0 for text, 1 for
 *   reasoning, 2 for parameters, 3 for sources. `count` says how much was delivered, in UTF-16 units or sources; `hash` is
 *   the 32-bit FNV-1a of that text; `half` is the first half of a character whose second half has not come, or 0.
 * - `ids`: announced and unfinished items, as `[place, hash of the item's id]`; the hash is 0 if the item has an index.
 * - `at`: indices of the provider that do not lead to the place of the same number, as `[index, place]`.
 * - `next`: the highest place plus one. `calls`: whether a tool call was delivered.
 * - `overflow`: the rows would have made the token longer than a kilobyte, and were dropped. Missing output can then not be
 *   filled in.
 *
 * A witness is five sums modulo 2^32, which do not depend on an order: the sum of texts with their places; the number and
 * the sum of texts, calls and files without places; the number and the sum of reasoning.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Delivered = Schema.Struct({
  items: Rows(Natural, Natural, Natural, Natural, Natural, Natural, Natural),
  lanes: Rows(Natural, Natural, Natural, Natural, Natural, Natural, Natural, Natural),
  open: Rows(Natural, Natural, Natural, Natural, Natural, Natural),
  ids: Rows(Natural, Natural),
  at: Rows(Natural, Natural),
  next: Natural,
  calls: Schema.Boolean,
  overflow: Schema.Boolean
})

/**
 * The type of `Delivered`.
 *
 * @since 0.1.0
 * @category models
 */
export type Delivered = typeof Delivered.Type

/**
 * A position in a run. An update carries the position right after itself: in a run with an update log each one, otherwise
 * each but the last.
 *
 * **When to use**
 *
 * Give a token to `Agent.resume` to continue right after the update that carried it. Keep it yourself, or leave that to the
 * `TokenStore`. A token is plain data; `encode` makes a string of it that is safe to hand out.
 *
 * **Details**
 *
 * - `incarnation`: differs between runs that had the same id one after the other, and between a run before and after a
 *   retry.
 * - `responseId`: the response of turn `turn`; absent before the provider has named it.
 * - `offset`: the number of updates before this position, counted over the whole run. With an update log it names the update
 *   before it for all readers, also after a retry. Without one, the same text may lie at other offsets after a resume.
 * - `epoch`: present in runs with an update log: the fence of the lease under which the update before this position was
 *   written. If the log lost that update and has another one there, this number differs, and the token is refused with kind
 *   `"rewritten"`. The fields after it then say nothing: the position in the response is in the log.
 * - `sequenceNumber`: the number of the last event of the turn that was delivered, at least in part; -1 before the first.
 * - `skip`: the number, from 1, of the statement of that event with which delivery goes on (part of that statement may be
 *   delivered already); 0 if the whole event was delivered.
 * - `results`: at the start of a turn, the number of results and approvals of tool calls of the turn before it that were
 *   delivered; absent for none.
 * - `origin`: a position with `"snapshot"` came from polling, and continues by polling.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ContinuationToken = Schema.Struct({
  version: Schema.Literal(2),
  agent: Schema.String,
  runId: RunId,
  incarnation: Schema.Natural,
  turn: Schema.Natural,
  responseId: Schema.optionalKey(Schema.String),
  offset: Schema.Natural,
  epoch: Schema.optionalKey(Schema.Natural),
  sequenceNumber: Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)),
  skip: Schema.Natural,
  status: RunStatus,
  origin: Schema.Literals(["stream", "snapshot"]),
  delivered: Delivered,
  results: Schema.optionalKey(Schema.Natural)
})

/**
 * The type of `ContinuationToken`.
 *
 * @since 0.1.0
 * @category models
 */
export type ContinuationToken = typeof ContinuationToken.Type

/**
 * Makes the position before the first update of a run, or of a later turn of the run.
 *
 * **Example** (The start of a run)
 *
 * ```ts
 * import { ContinuationToken, Run } from "@effect-baton/core"
 *
 * ContinuationToken.start("analyst", Run.RunId.make("r-1"), 1).sequenceNumber // => -1
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (
  agent: string,
  runId: RunId,
  incarnation: number,
  {
    offset = 0,
    results = 0,
    turn = 0
  }: { readonly offset?: number; readonly results?: number; readonly turn?: number } = {}
): ContinuationToken => ({
  version: 2,
  agent,
  runId,
  incarnation,
  turn,
  offset,
  sequenceNumber: -1,
  skip: 0,
  status: turn === 0 ? "queued" : "in_progress",
  origin: "stream",
  delivered: TokenRows.nothing,
  ...(results === 0 ? undefined : { results })
})

/**
 * The codec that seals encoded tokens. By default it leaves them plain.
 *
 * **When to use**
 *
 * Provide your own to sign or encrypt the tokens that leave your service (for signatures, see `SignedTokens.layer`).
 *
 * **Details**
 *
 * `seal` wraps the payload; `open` returns the payload, or fails with `TokenInvalid`. With a codec of your own, a token
 * that is given as an object is accepted only if this process decoded it, or took it from an update or a response.
 *
 * **Example** (Sealing tokens with a prefix)
 *
 * ```ts
 * import { AgentError, ContinuationToken } from "@effect-baton/core"
 * import { Effect, Layer } from "effect"
 *
 * export const tenant = Layer.succeed(ContinuationToken.TokenCodec, {
 *   seal: (payload) => Effect.succeed(`acme.${payload}`),
 *   open: (text) =>
 *     text.startsWith("acme.")
 *       ? Effect.succeed(text.slice(5))
 *       : Effect.fail(new AgentError.TokenInvalid({ kind: "malformed", description: "not a token of acme" }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const TokenCodec = Context.Reference<{
  readonly seal: (payload: string) => Effect.Effect<string>
  readonly open: (text: string) => Effect.Effect<string, TokenInvalid>
}>("@effect-baton/core/ContinuationToken/TokenCodec", {
  defaultValue: () => plainCodec
})

// Once this format is published, every later version must read it: change it then only by adding a version. The rows come
// first, so that a text that was cut short lacks a part of the JSON after them, and does not decode.
const prefix = "b2."

const statuses = RunStatus.literals
const origins = ["stream", "snapshot"] as const

const Wire = Schema.fromJsonString(
  Schema.Tuple([
    Schema.String,
    RunId,
    Schema.NullOr(Schema.String),
    Schema.Natural,
    Schema.Natural,
    Schema.Natural,
    Schema.NullOr(Schema.Natural),
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)),
    Schema.Natural,
    Schema.Natural.check(Schema.isLessThan(statuses.length)),
    Schema.Literals([0, 1]),
    Schema.Natural
  ])
)
const encodeWire = Schema.encodeEffect(Wire)
const decodeWire = Schema.decodeUnknownEffect(Wire)
const decodeDelivered = Schema.decodeUnknownEffect(Delivered)

/**
 * Encodes a token as a URL-safe string of at most one kilobyte.
 *
 * **Example** (Encoding a position)
 *
 * ```ts
 * import { ContinuationToken, Run } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const token = ContinuationToken.start("analyst", Run.RunId.make("r-1"), 1)
 * const text = Effect.runSync(ContinuationToken.encode(token))
 * text.slice(0, 3) // => "b2."
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const encode = Effect.fnUntraced(function* (token: ContinuationToken) {
  const json = yield* encodeWire([
    token.agent,
    token.runId,
    token.responseId ?? null,
    token.incarnation,
    token.turn,
    token.offset,
    token.epoch ?? null,
    token.sequenceNumber,
    token.skip,
    statuses.indexOf(token.status),
    token.origin === "stream" ? 0 : 1,
    token.results ?? 0
  ]).pipe(Effect.orDie)
  const codec = yield* TokenCodec
  return yield* codec.seal(`${prefix}${TokenRows.pack(token.delivered)}.${Base64Url.encode(json)}`)
})

const malformed = (description: string) => new TokenInvalid({ kind: "malformed", description })

/**
 * Decodes a token. Fails with `TokenInvalid` if the text is empty, truncated, of a later version, or no token.
 *
 * **Example** (Decoding a text that is not a token)
 *
 * ```ts
 * import { ContinuationToken } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * Effect.runSync(Effect.flip(ContinuationToken.decode(""))).kind // => "empty"
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const decode = Effect.fnUntraced(function* (text: string): Effect.fn.Return<ContinuationToken, TokenInvalid> {
  if (text.trim() === "") {
    return yield* new TokenInvalid({
      kind: "empty",
      description: "it is empty. Give the text that ContinuationToken.encode made"
    })
  }
  const codec = yield* TokenCodec
  const payload = yield* codec.open(text.trim())
  if (/^b\d+\./.test(payload) && !payload.startsWith(prefix)) {
    return yield* new TokenInvalid({
      kind: "unknown-version",
      description:
        `it has the format '${payload.slice(0, payload.indexOf("."))}' of a later version of Baton. ` +
        "Update @effect-baton/core"
    })
  }
  if (!payload.startsWith(prefix)) {
    return yield* malformed("it was not made by Baton. Give the text that ContinuationToken.encode made")
  }
  const damaged = () => malformed("it is damaged or cut short. Give the whole text that ContinuationToken.encode made")
  const end = payload.lastIndexOf(".")
  if (end < prefix.length) return yield* damaged()
  const json = yield* Effect.fromResult(Base64Url.decodeString(payload.slice(end + 1))).pipe(Effect.mapError(damaged))
  const wire = yield* Effect.mapError(decodeWire(json), damaged)
  const rows = TokenRows.unpack(payload.slice(prefix.length, end))
  const delivered = yield* Effect.mapError(decodeDelivered(rows), damaged)
  const [agent, runId, responseId, incarnation, turn, offset, epoch, sequenceNumber, skip, status, origin, results] =
    wire
  return minted({
    version: 2,
    agent,
    runId,
    incarnation,
    turn,
    ...(responseId === null ? undefined : { responseId }),
    offset,
    ...(epoch === null ? undefined : { epoch }),
    sequenceNumber,
    skip,
    status: statuses[status]!,
    origin: origins[origin],
    delivered,
    ...(results === 0 ? undefined : { results })
  })
})
