import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { type ContinuationToken, Delivered } from "../../ContinuationToken.ts"
import { LimitName, type RunId, RunStatus, WaitingFor } from "../../Run.ts"
import { Session } from "../../Session.ts"
import { deltaPart } from "../follow/streamPart.ts"
import { lazily } from "../primitives/lazily.ts"
import * as TokenRows from "../token/tokenRows.ts"

// A body is JSON: `[version, at, response, origin, status, position, lanes, updates]`.
//
// Most updates are pieces of a text. Pieces that follow each other are `[lane, text, lengths]`, and one piece alone is
// `[lane, text]`, where `lanes` has the type and the id of the lane's parts. All other updates are objects. Data that follows
// from these, or from the place in the log, is not stored: texts, ids, offsets and tokens.
// The provider's raw events and their numbers are not stored either.

const version = 1

type LaneKind = "text" | "reasoning" | "params"

const laneTypes: Readonly<Record<string, LaneKind>> = {
  "text-delta": "text",
  "reasoning-delta": "reasoning",
  "tool-params-delta": "params"
}

const Other = Schema.Struct({
  s: Schema.optionalKey(RunStatus),
  p: Schema.optionalKey(Schema.Unknown),
  t: Schema.optionalKey(Schema.Natural),
  w: Schema.optionalKey(WaitingFor),
  l: Schema.optionalKey(LimitName),
  r: Schema.optionalKey(Schema.Literal(1)),
  n: Schema.optionalKey(Session)
})

// Everything but the updates. There can be thousands of them in a body, and those that are texts are checked by hand.
const Head = Schema.Tuple([
  Schema.Literal(version),
  Schema.Natural,
  Schema.String,
  Schema.Literals(["live", "replay", "snapshot", "journal"]),
  RunStatus,
  Schema.Tuple([
    Schema.Natural,
    Schema.Natural,
    Schema.NullOr(Schema.String),
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)),
    Schema.Natural,
    RunStatus,
    Schema.Literals(["stream", "snapshot"]),
    Schema.String,
    Schema.Natural
  ]),
  Schema.Array(Schema.Tuple([Schema.Literals(["text", "reasoning", "params"]), Schema.String]))
])
type Head = typeof Head.Type

const decodeHead = lazily(() => Schema.decodeUnknownResult(Head))
const decodeOther = lazily(() => Schema.decodeUnknownResult(Other))
const decodeRows = lazily(() => Schema.decodeUnknownResult(Delivered))
const PartJson = lazily(() => Schema.toCodecJson(Response.StreamPart()))
const encodePart = lazily(() => Schema.encodeEffect(PartJson()))
const decodePart = lazily(() => Schema.decodeUnknownResult(PartJson()))

/** A body that is not one, or that a later version wrote. */
export class BodyInvalid extends Data.TaggedError("BodyInvalid")<{
  readonly message: string
  readonly cause?: unknown
}> {}

const invalid = (message: string, cause?: unknown): Result.Result<never, BodyInvalid> =>
  Result.fail(new BodyInvalid({ message, ...(cause === undefined ? {} : { cause }) }))

/** The content of a chunk. */
export interface Content {
  /** The response and the origin of all its updates. */
  readonly responseId: string
  readonly origin: AgentUpdate["origin"]
  readonly updates: ReadonlyArray<AgentUpdate>
}

const isEmpty = (object: object): boolean => {
  for (const _ in object) return false
  return true
}

/** Makes the body of a chunk. `at` is the time, and `position` the place in the run from which the writer goes on. */
export const encode = Effect.fnUntraced(function* (
  { origin, responseId, updates }: Content,
  at: number,
  position: ContinuationToken
): Effect.fn.Return<string, Schema.SchemaError> {
  const lanes: Array<readonly [LaneKind, string]> = []
  const known = new Map<string, number>()
  const first = updates[0]?.status ?? position.status
  let status = first
  let lastId: string | undefined
  let lastType: string | undefined
  let lastLane = 0
  let pieces: Array<string> = []
  const told: Array<unknown> = []
  const tellPieces = () => {
    if (pieces.length === 1) told.push([lastLane, pieces[0]])
    else if (pieces.length > 1) told.push([lastLane, pieces.join(""), pieces.map(({ length }) => length)])
    pieces = []
  }
  for (const update of updates) {
    const { limit, part, retried, session, turn: ofTurn, waitingFor } = update
    const kind = part === undefined ? undefined : laneTypes[part.type]
    if (
      part !== undefined &&
      kind !== undefined &&
      "delta" in part &&
      update.status === status &&
      waitingFor === undefined &&
      limit === undefined &&
      ofTurn === undefined &&
      retried !== true &&
      session === undefined &&
      isEmpty(part.metadata)
    ) {
      if (part.id !== lastId || part.type !== lastType) {
        tellPieces()
        const name = `${kind} ${part.id}`
        lastLane = known.get(name) ?? lanes.push([kind, part.id]) - 1
        known.set(name, lastLane)
        lastId = part.id
        lastType = part.type
      }
      pieces.push(part.delta)
      continue
    }
    tellPieces()
    told.push({
      ...(update.status === status ? {} : { s: update.status }),
      ...(part === undefined ? {} : { p: yield* encodePart()(part) }),
      ...(ofTurn === undefined ? {} : { t: ofTurn }),
      ...(waitingFor === undefined ? {} : { w: waitingFor }),
      ...(limit === undefined ? {} : { l: limit }),
      ...(retried === true ? { r: 1 } : {}),
      ...(session === undefined ? {} : { n: session })
    })
    status = update.status
  }
  tellPieces()
  const { delivered, incarnation, sequenceNumber, skip, turn } = position
  const place = [
    incarnation,
    turn,
    position.responseId ?? null,
    sequenceNumber,
    skip,
    position.status,
    position.origin,
    TokenRows.pack(delivered),
    position.results ?? 0
  ]
  return JSON.stringify([version, at, responseId, origin, first, place, lanes, told])
})

/** A body whose head was read. */
export interface Body {
  readonly head: Head
  /** The updates, which are not checked yet. */
  readonly told: ReadonlyArray<unknown>
}

/** Reads the head of a body. */
export const open = (body: string): Result.Result<Body, BodyInvalid> => {
  const json = Result.try((): unknown => JSON.parse(body))
  if (Result.isFailure(json)) return invalid("it is not JSON", json.failure)
  const all = json.success
  if (!Array.isArray(all)) return invalid("it is not a list")
  const told: unknown = all.pop()
  if (!Array.isArray(told)) return invalid("it has no list of updates")
  const head = decodeHead()(all)
  return Result.isFailure(head)
    ? invalid("its head does not decode", head.failure)
    : Result.succeed({ head: head.success, told })
}

/** The incarnation in which a chunk was written. */
export const incarnationOf = ({ head }: Body): number => head[5][0]

/** The lengths of the pieces of a text; undefined if they are not those of its pieces. */
const lengthsOf = (text: string, lengths: unknown): ReadonlyArray<number> | undefined => {
  if (lengths === undefined) return [text.length]
  if (!Array.isArray(lengths)) return undefined
  let sum = 0
  for (const length of lengths) {
    if (!Number.isInteger(length) || length < 0) return undefined
    sum += length
  }
  return sum === text.length ? lengths : undefined
}

/** Reads the updates of a chunk. `tokenAt` makes the token of the update before an offset. */
export const decode = (
  runId: RunId,
  { head, told }: Body,
  from: number,
  tokenAt: (offset: number, status: RunStatus) => AgentUpdate["continuationToken"]
): Result.Result<Content, BodyInvalid> => {
  const [, , responseId, origin, first, , lanes] = head
  let status = first
  let offset = from
  const updates: Array<AgentUpdate> = []
  for (const one of told) {
    if (Array.isArray(one)) {
      const lane = typeof one[0] === "number" ? lanes[one[0]] : undefined
      const text: unknown = one[1]
      if (lane === undefined || typeof text !== "string") return invalid("a text does not decode")
      const lengths = lengthsOf(text, one[2])
      if (lengths === undefined) return invalid("the pieces of a text are not its pieces")
      const [kind, id] = lane
      let at = 0
      for (const length of lengths) {
        const delta = text.slice(at, (at += length))
        updates.push({
          _tag: "Update",
          part: deltaPart(id, kind, delta),
          text: kind === "text" ? delta : "",
          status,
          runId,
          responseId,
          continuationToken: tokenAt(++offset, status),
          origin
        })
      }
      continue
    }
    offset++
    const other = decodeOther()(one)
    if (Result.isFailure(other)) return invalid("an update does not decode", other.failure)
    const { l: limit, n: session, p, r: retried, s: changed, t: turn, w: waitingFor } = other.success
    const part = p === undefined ? undefined : decodePart()(p)
    if (part !== undefined && Result.isFailure(part)) return invalid("a part does not decode", part.failure)
    status = changed ?? status
    updates.push({
      _tag: "Update",
      ...(part === undefined ? {} : { part: part.success }),
      text: part?.success.type === "text-delta" ? part.success.delta : "",
      status,
      ...(turn === undefined ? {} : { turn }),
      ...(waitingFor === undefined ? {} : { waitingFor }),
      ...(limit === undefined ? {} : { limit }),
      ...(retried === undefined ? {} : { retried: true }),
      ...(session === undefined ? {} : { session }),
      runId,
      responseId,
      continuationToken: tokenAt(offset, status),
      origin
    })
  }
  return Result.succeed({ responseId, origin, updates })
}

/** Reads where the writer of a chunk goes on. `offset` is the number of updates before that. */
export const positionAfter = (
  agent: string,
  runId: RunId,
  { head }: Body,
  offset: number
): Result.Result<ContinuationToken, BodyInvalid> => {
  const [incarnation, turn, responseId, sequenceNumber, skip, status, origin, rows, results] = head[5]
  const delivered = decodeRows()(TokenRows.unpack(rows))
  if (Result.isFailure(delivered)) return invalid("its position does not decode", delivered.failure)
  return Result.succeed({
    version: 2,
    agent,
    runId,
    incarnation,
    turn,
    ...(responseId === null ? {} : { responseId }),
    offset,
    sequenceNumber,
    skip,
    status,
    origin,
    delivered: delivered.success,
    ...(results === 0 ? {} : { results })
  })
}
