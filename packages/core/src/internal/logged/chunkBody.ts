import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { type ContinuationToken, Delivered } from "../../ContinuationToken.ts"
import { type RunId, RunStatus } from "../../Run.ts"
import { Session } from "../../Session.ts"
import { deltaPart } from "../follow/streamPart.ts"
import { lazily } from "../primitives/lazily.ts"
import * as TokenRows from "../token/tokenRows.ts"

// A body is JSON: `[version, at, response, origin, status, position, lanes, updates]`.
//
// Most updates are a piece of a text: `[lane, text]`, where `lanes` has the type and the id of the lane's parts. All others
// are objects. Data that follows from these, or from the place in the log, is not stored: texts, ids, offsets and tokens.
// The provider's raw events and their numbers are not stored either.

const version = 1

type Part = NonNullable<AgentUpdate["part"]>
type LaneKind = "text" | "reasoning" | "params"

const laneTypes: Readonly<Record<string, LaneKind>> = {
  "text-delta": "text",
  "reasoning-delta": "reasoning",
  "tool-params-delta": "params"
}

const Other = Schema.Struct({
  s: Schema.optionalKey(RunStatus),
  p: Schema.optionalKey(Schema.Unknown),
  w: Schema.optionalKey(Schema.Literals(["approval", "deferred", "limit"])),
  r: Schema.optionalKey(Schema.Literal(1)),
  n: Schema.optionalKey(Session)
})

const Body = Schema.fromJsonString(
  Schema.Tuple([
    Schema.Literal(version),
    Schema.Natural,
    Schema.String,
    Schema.Literals(["live", "replay", "snapshot"]),
    RunStatus,
    Schema.Tuple([
      Schema.Natural,
      Schema.Natural,
      Schema.NullOr(Schema.String),
      Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)),
      Schema.Natural,
      RunStatus,
      Schema.Literals(["stream", "snapshot"]),
      Schema.String
    ]),
    Schema.Array(Schema.Tuple([Schema.Literals(["text", "reasoning", "params"]), Schema.String])),
    Schema.Array(Schema.Union([Schema.Tuple([Schema.Natural, Schema.String]), Other]))
  ])
)
const decodeBody = lazily(() => Schema.decodeUnknownEffect(Body))
const decodeRows = lazily(() => Schema.decodeUnknownEffect(Delivered))
const PartJson = lazily(() => Schema.toCodecJson(Response.StreamPart()))
const encodePart = lazily(() => Schema.encodeEffect(PartJson()))
const decodePart = lazily(() => Schema.decodeUnknownEffect(PartJson()))

/** The content of a chunk. */
export interface Content {
  /** The response and the origin of all its updates. */
  readonly responseId: string
  readonly origin: AgentUpdate["origin"]
  readonly updates: ReadonlyArray<AgentUpdate>
}

const isPlain = (part: Part, delta: string): boolean =>
  "delta" in part && part.delta === delta && Object.keys(part.metadata).length === 0

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
  const told: Array<unknown> = []
  for (const update of updates) {
    const { part, retried, session, waitingFor } = update
    const kind = part === undefined ? undefined : laneTypes[part.type]
    if (
      part !== undefined &&
      kind !== undefined &&
      "delta" in part &&
      update.status === status &&
      waitingFor === undefined &&
      retried !== true &&
      session === undefined &&
      isPlain(part, part.delta)
    ) {
      if (part.id !== lastId || part.type !== lastType) {
        const name = `${kind} ${part.id}`
        lastLane = known.get(name) ?? lanes.push([kind, part.id]) - 1
        known.set(name, lastLane)
        lastId = part.id
        lastType = part.type
      }
      told.push([lastLane, part.delta])
      continue
    }
    told.push({
      ...(update.status === status ? {} : { s: update.status }),
      ...(part === undefined ? {} : { p: yield* encodePart()(part) }),
      ...(waitingFor === undefined ? {} : { w: waitingFor }),
      ...(retried === true ? { r: 1 } : {}),
      ...(session === undefined ? {} : { n: session })
    })
    status = update.status
  }
  const { delivered, incarnation, sequenceNumber, skip, turn } = position
  const place = [
    incarnation,
    turn,
    position.responseId ?? null,
    sequenceNumber,
    skip,
    position.status,
    position.origin,
    TokenRows.pack(delivered)
  ]
  return JSON.stringify([version, at, responseId, origin, first, place, lanes, told])
})

type Body = typeof Body.Type

/** Reads the updates of a chunk. `tokenAt` makes the token of the update before an offset. */
export const decode = Effect.fnUntraced(function* (
  runId: RunId,
  chunk: { readonly from: number; readonly body: string },
  tokenAt: (offset: number, status: RunStatus) => AgentUpdate["continuationToken"]
): Effect.fn.Return<Content, Schema.SchemaError> {
  const [, , responseId, origin, first, , lanes, told]: Body = yield* decodeBody()(chunk.body)
  let status = first
  let offset = chunk.from
  const updates: Array<AgentUpdate> = []
  for (const one of told) {
    offset++
    if ("length" in one) {
      const [lane, delta] = one
      const [kind, id] = lanes[lane] ?? (["text", ""] as const)
      updates.push({
        _tag: "Update",
        part: deltaPart(id, kind, delta),
        text: kind === "text" ? delta : "",
        status,
        runId,
        responseId,
        continuationToken: tokenAt(offset, status),
        origin
      })
      continue
    }
    status = one.s ?? status
    const part = one.p === undefined ? undefined : yield* decodePart()(one.p)
    updates.push({
      _tag: "Update",
      ...(part === undefined ? {} : { part }),
      text: part?.type === "text-delta" ? part.delta : "",
      status,
      ...(one.w === undefined ? {} : { waitingFor: one.w }),
      ...(one.r === undefined ? {} : { retried: true }),
      ...(one.n === undefined ? {} : { session: one.n }),
      runId,
      responseId,
      continuationToken: tokenAt(offset, status),
      origin
    })
  }
  return { responseId, origin, updates }
})

/** Reads where the writer of a chunk goes on. */
export const positionAfter = Effect.fnUntraced(function* (
  agent: string,
  runId: RunId,
  chunk: { readonly from: number; readonly count: number; readonly body: string }
): Effect.fn.Return<ContinuationToken, Schema.SchemaError> {
  const [, , , , , place]: Body = yield* decodeBody()(chunk.body)
  const [incarnation, turn, responseId, sequenceNumber, skip, status, origin, rows] = place
  return {
    version: 2,
    agent,
    runId,
    incarnation,
    turn,
    ...(responseId === null ? {} : { responseId }),
    offset: chunk.from + chunk.count,
    sequenceNumber,
    skip,
    status,
    origin,
    delivered: yield* decodeRows()(TokenRows.unpack(rows))
  }
})
