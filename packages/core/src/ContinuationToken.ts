/**
 * Continuation tokens: a compact, versioned position in a run.
 *
 * @since 0.1.0
 */
import { Context, Effect, Schema } from "effect"
import { Base64Url } from "effect/encoding"
import { TokenInvalid } from "./AgentError.ts"
import { minted, plainCodec } from "./internal/minted.ts"
import { RunId, RunStatus } from "./Run.ts"

/**
 * What a position says about the parts delivered so far, so that a later snapshot can be continued from it.
 *
 * **Details**
 *
 * A response's output is a list of *items*; an item has *lanes* (a text, its citations, a call's parameters), which fill
 * one part at a time. `items` are ranges of items that are wholly delivered, `lanes` ranges of finished lanes of the
 * other items as `[item, from, to]`, and `open` the unfinished lanes as `[item, lane, count, hash]`: how much of it was
 * delivered (UTF-16 units of text, or parts) and a 24-bit hash of that text. At most 8 ranges and 16 open lanes are kept;
 * `overflow` says that there were more.
 *
 * @since 0.1.0
 * @category models
 */
export const Delivered = Schema.Struct({
  items: Schema.Array(Schema.Tuple([Schema.Natural, Schema.Natural])),
  lanes: Schema.Array(Schema.Tuple([Schema.Natural, Schema.Natural, Schema.Natural])),
  open: Schema.Array(Schema.Tuple([Schema.Natural, Schema.Natural, Schema.Natural, Schema.Natural])),
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
 * `sequenceNumber` is the last event of turn `turn` of which something was delivered, -1 before the first. One event may
 * become several updates: `skip` counts those delivered when more of the same event are to come, and is 0 when the event
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
export const start = (agent: string, runId: RunId, incarnation: number, turn = 0): ContinuationToken => ({
  version: 2,
  agent,
  runId,
  incarnation,
  turn,
  sequenceNumber: -1,
  skip: 0,
  status: turn === 0 ? "queued" : "in_progress",
  origin: "stream",
  delivered: { items: [], lanes: [], open: [], overflow: false }
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

// The wire form is read for ever once it is published: change it then only by adding a version.
const prefix = "b2."

const Wire = Schema.fromJsonString(
  Schema.Tuple([
    Schema.String,
    RunId,
    Schema.Natural,
    Schema.Natural,
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)),
    Schema.Natural,
    RunStatus,
    Schema.Literals(["stream", "snapshot"]),
    Schema.String,
    Schema.String,
    Schema.String,
    Schema.Boolean
  ])
)
const encodeWire = Schema.encodeEffect(Wire)
const decodeWire = Schema.decodeUnknownEffect(Wire)
const decodeDelivered = Schema.decodeUnknownEffect(Delivered)

// Rows of small numbers take half the room in base 36 that they take in JSON.
const pack = (rows: ReadonlyArray<ReadonlyArray<number>>): string =>
  rows.map((row) => row.map((n) => n.toString(36)).join(".")).join("_")

const unpack = (text: string): ReadonlyArray<ReadonlyArray<number>> =>
  text === "" ? [] : text.split("_").map((row) => row.split(".").map((n) => Number.parseInt(n, 36)))

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
  const { delivered } = token
  const json = yield* encodeWire([
    token.agent,
    token.runId,
    token.incarnation,
    token.turn,
    token.sequenceNumber,
    token.skip,
    token.status,
    token.origin,
    pack(delivered.items),
    pack(delivered.lanes),
    pack(delivered.open),
    delivered.overflow
  ]).pipe(Effect.orDie)
  const codec = yield* TokenCodec
  return yield* codec.seal(prefix + Base64Url.encode(json))
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
  const json = yield* Effect.fromResult(Base64Url.decodeString(payload.slice(prefix.length))).pipe(
    Effect.mapError(damaged)
  )
  const wire = yield* Effect.mapError(decodeWire(json), damaged)
  const [agent, runId, incarnation, turn, sequenceNumber, skip, status, origin, items, lanes, open, overflow] = wire
  const delivered = yield* Effect.mapError(
    decodeDelivered({ items: unpack(items), lanes: unpack(lanes), open: unpack(open), overflow }),
    damaged
  )
  return minted({ version: 2, agent, runId, incarnation, turn, sequenceNumber, skip, status, origin, delivered })
})
