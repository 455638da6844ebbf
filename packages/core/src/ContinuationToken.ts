/**
 * Continuation tokens: a compact, versioned position in a run.
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
 * What a position says about the output delivered so far, so that an end or a snapshot can be continued from it.
 *
 * **Details**
 *
 * A response's output is a list of *items*, each at its *place*; an item has *lanes* (a text, its citations, a call's
 * parameters, the call), which fill one part at a time. All of it is numbers:
 *
 * - `items`: ranges of places of finished items as `[from, to, ...witness]`.
 * - `lanes`: ranges of finished lanes of unfinished items as `[place, from, to, ...witness]`.
 * - `open`: lanes that have begun as `[place, lane, kind, count, hash, half]`: `kind` is 0 for text, 1 for reasoning, 2 for
 *   parameters, 3 for sources; `count` is how much was delivered (UTF-16 units, or sources), `hash` 32-bit FNV-1a of that
 *   text, and `half` the first half of a character whose second half has not come, or 0.
 * - `ids`: announced and unfinished items as `[place, hash of the item's id]`; the hash is 0 if the item has an index.
 * - `at`: indices of the provider that do not lead to their own place, as `[index, place]`.
 * - `next`: one above the highest place. `calls`: whether a tool call was delivered.
 * - `overflow`: the rows made the token longer than a kilobyte, and were dropped: nothing can be filled in any more.
 *
 * A witness is five sums modulo 2^32, which do not depend on an order: of texts with their places; the number and the sum
 * of texts, calls and files without places; the number and the sum of reasoning.
 *
 * @since 0.1.0
 * @category models
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
 * A position in a run: every update but the last carries the one right after itself.
 *
 * **When to use**
 *
 * Keep it (or leave that to the `TokenStore`) and give it to `Agent.resume` to continue right after the update that
 * carried it. It is plain data; `encode` makes a string of it that is safe to hand out.
 *
 * **Details**
 *
 * `incarnation` tells this run from another one of the same id that was removed, and from the same run before a retry.
 * `responseId` is the response of turn `turn`, once it was named. `offset` is the number of updates before this position,
 * over the whole run; without an update log the same text may lie under other offsets after a resume. `epoch` is there in
 * runs with an update log.
 *
 * `sequenceNumber` is the last event of the turn of which something was delivered, -1 before the first. One event may say
 * several things: `skip` is the number, from 1, of the one to go on with, which may be half delivered, and 0 when the event
 * was delivered whole. A position with `origin` `"snapshot"` came from polling, and continues by polling.
 *
 * @since 0.1.0
 * @category models
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
  delivered: Delivered
})

/**
 * The type of `ContinuationToken`.
 *
 * @since 0.1.0
 * @category models
 */
export type ContinuationToken = typeof ContinuationToken.Type

/**
 * The position before the first update of a run, or of a later turn of it.
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
  { offset = 0, turn = 0 }: { readonly offset?: number; readonly turn?: number } = {}
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
  delivered: TokenRows.nothing
})

/**
 * How encoded tokens are sealed: plain by default.
 *
 * **When to use**
 *
 * Provide your own to sign or encrypt the tokens that leave your service: `seal` wraps the payload, `open` gives it back
 * or fails with `TokenInvalid`. A token that is given as an object is then accepted only if this process decoded it, or
 * took it from an update or a response.
 *
 * **Example** (A prefix of your own)
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

// The wire form is read for ever once it is published: change it then only by adding a version. The rows come first, so
// that a text that is cut short has lost some of the rest, which is JSON.
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
    Schema.Literals([0, 1])
  ])
)
const encodeWire = Schema.encodeEffect(Wire)
const decodeWire = Schema.decodeUnknownEffect(Wire)
const decodeDelivered = Schema.decodeUnknownEffect(Delivered)

/**
 * Encodes a token as a URL-safe string of at most one kilobyte.
 *
 * **Example** (Handing a position out)
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
 * @category encoding
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
    token.origin === "stream" ? 0 : 1
  ]).pipe(Effect.orDie)
  const codec = yield* TokenCodec
  return yield* codec.seal(`${prefix}${TokenRows.pack(token.delivered)}.${Base64Url.encode(json)}`)
})

const malformed = (description: string) => new TokenInvalid({ kind: "malformed", description })

/**
 * Reads an encoded token. Fails with `TokenInvalid` where the text is empty, truncated, of a later version, or no token.
 *
 * **Example** (A text that is no token)
 *
 * ```ts
 * import { ContinuationToken } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * Effect.runSync(Effect.flip(ContinuationToken.decode(""))).kind // => "empty"
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = Effect.fnUntraced(function* (text: string): Effect.fn.Return<ContinuationToken, TokenInvalid> {
  if (text.trim() === "") {
    return yield* new TokenInvalid({ kind: "empty", description: "it is empty. Give the text that encode made" })
  }
  const codec = yield* TokenCodec
  const payload = yield* codec.open(text.trim())
  if (/^b\d+\./.test(payload) && !payload.startsWith(prefix)) {
    return yield* new TokenInvalid({
      kind: "unknown-version",
      description: `it is of format '${payload.slice(0, payload.indexOf("."))}', later than this version of Baton reads. Update @effect-baton/core`
    })
  }
  if (!payload.startsWith(prefix)) {
    return yield* malformed("it is not one of Baton's")
  }
  const damaged = () => malformed("it is damaged or cut short")
  const end = payload.lastIndexOf(".")
  if (end < prefix.length) return yield* damaged()
  const json = yield* Effect.fromResult(Base64Url.decodeString(payload.slice(end + 1))).pipe(Effect.mapError(damaged))
  const wire = yield* Effect.mapError(decodeWire(json), damaged)
  const rows = TokenRows.unpack(payload.slice(prefix.length, end))
  const delivered = yield* Effect.mapError(decodeDelivered(rows), damaged)
  const [agent, runId, responseId, incarnation, turn, offset, epoch, sequenceNumber, skip, status, origin] = wire
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
    delivered
  })
})
