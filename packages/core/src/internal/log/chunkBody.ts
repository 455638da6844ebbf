import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { type ContinuationToken, Delivered } from "../../ContinuationToken.ts"
import type { RunId } from "../../Run.ts"
import { RunStatus } from "../../Run.ts"
import { deltaPart } from "../follow/streamPart.ts"
import { lazily } from "../primitives/lazily.ts"
import * as TokenRows from "../token/tokenRows.ts"

// A body is JSON: `[version, at, response, origin, status, position, lanes, updates]`.
//
// Most updates are a piece of a text: `[lane, text]`, where `lanes` has the type and the id of the lane's parts. All others
// are objects. What follows from these, or from the place in the log, is not stored: texts, ids, offsets and tokens. The
// provider's raw events and their numbers are not stored either.

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
  t: Schema.optionalKey(Schema.String),
  w: Schema.optionalKey(Schema.Literals(["approval", "deferred", "limit"])),
  r: Schema.optionalKey(Schema.Literal(1))
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
const decodeBody = lazily(() => Schema.decodeEffect(Body))
const decodeRows = lazily(() => Schema.decodeUnknownEffect(Delivered))
const PartJson = lazily(() => Schema.toCodecJson(Response.StreamPart()))
const encodePart = lazily(() => Schema.encodeEffect(PartJson()))
const decodePart = lazily(() => Schema.decodeUnknownEffect(PartJson()))

/** What the updates of one chunk have in common. */
export interface Common {
  readonly responseId: string
  readonly origin: AgentUpdate["origin"]
}

/** What a chunk says. */
export interface Said extends Common {
  /** When it was written, in milliseconds since the epoch. */
  readonly at: number
  /** Where the pump goes on after it. */
  readonly position: ContinuationToken
  readonly updates: ReadonlyArray<AgentUpdate>
}

const hasOnly = (part: Part, delta: string): boolean =>
  "delta" in part && part.delta === delta && Object.keys(part.metadata).length === 0

/** Writes down what a chunk says. Its updates have the response and the origin of `said`. */
export const encode = Effect.fnUntraced(function* (
  said: Omit<Said, "updates">,
  updates: ReadonlyArray<AgentUpdate>
): Effect.fn.Return<string, Schema.SchemaError> {
  const { at, origin, position, responseId } = said
  const lanes: Array<readonly [LaneKind, string]> = []
  const known = new Map<string, number>()
  const first = updates[0]?.status ?? position.status
  let status = first
  const told: Array<unknown> = []
  for (const update of updates) {
    const { part, retried, text, waitingFor } = update
    const kind = part === undefined ? undefined : laneTypes[part.type]
    const isPlain = update.status === status && waitingFor === undefined && retried !== true
    if (part !== undefined && kind !== undefined && isPlain && "id" in part && "delta" in part) {
      const isDerived = text === (kind === "text" ? part.delta : "") && hasOnly(part, part.delta)
      if (isDerived) {
        const name = `${kind} ${part.id}`
        const lane = known.get(name) ?? lanes.push([kind, part.id]) - 1
        known.set(name, lane)
        told.push([lane, part.delta])
        continue
      }
    }
    told.push({
      ...(update.status === status ? {} : { s: update.status }),
      ...(part === undefined ? {} : { p: yield* encodePart()(part) }),
      ...(text === textOf(part) ? {} : { t: text }),
      ...(waitingFor === undefined ? {} : { w: waitingFor }),
      ...(retried === true ? { r: 1 } : {})
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

const textOf = (part: Part | undefined): string => (part?.type === "text-delta" ? part.delta : "")

/** Reads what a chunk says. `from` and `epoch` are the chunk's. */
export const decode = Effect.fnUntraced(function* (
  of: { readonly agent: string; readonly runId: RunId; readonly isBackground: boolean },
  chunk: { readonly from: number; readonly epoch: number; readonly body: string },
  tokenAt: (offset: number, status: RunStatus) => ContinuationToken
): Effect.fn.Return<Said, Schema.SchemaError> {
  const [, at, responseId, origin, first, place, lanes, told] = yield* decodeBody()(chunk.body)
  const [incarnation, turn, named, sequenceNumber, skip, standing, from, rows] = place
  let status = first
  let offset = chunk.from
  const updates: Array<AgentUpdate> = []
  const update = (part: Part | undefined, text: string): AgentUpdate => ({
    _tag: "Update",
    ...(part === undefined ? {} : { part }),
    text,
    status,
    runId: of.runId,
    responseId,
    continuationToken: of.isBackground ? Option.some(tokenAt(++offset, status)) : Option.none(),
    origin
  })
  for (const one of told) {
    if ("length" in one) {
      const [lane, delta] = one
      const [kind, id] = lanes[lane] ?? ["text", ""]
      updates.push(update(deltaPart(id, kind, delta), kind === "text" ? delta : ""))
      continue
    }
    status = one.s ?? status
    const part = one.p === undefined ? undefined : yield* decodePart()(one.p)
    updates.push({
      ...update(part, one.t ?? textOf(part)),
      ...(one.w === undefined ? {} : { waitingFor: one.w }),
      ...(one.r === undefined ? {} : { retried: true })
    })
  }
  const delivered = yield* decodeRows()(TokenRows.unpack(rows))
  const position: ContinuationToken = {
    version: 2,
    agent: of.agent,
    runId: of.runId,
    incarnation,
    turn,
    ...(named === null ? {} : { responseId: named }),
    offset: chunk.from + told.length,
    epoch: chunk.epoch,
    sequenceNumber,
    skip,
    status: standing,
    origin: from,
    delivered
  }
  return { at, responseId, origin, position, updates }
})
