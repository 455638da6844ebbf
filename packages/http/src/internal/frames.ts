import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import * as Sse from "effect/encoding/Sse"
import type * as Wire from "../RunWire.ts"
import { seal } from "./sealed.ts"

const utf8 = new TextEncoder()
const encodePart = Schema.encodeUnknownOption(Schema.toCodecJson(Response.StreamPart()))

type Part = NonNullable<AgentUpdate["part"]>

/** A part as clients get it: without what the provider says about itself, and without an error's own text. */
const partOf = (part: Part): unknown => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      // Nearly all parts are deltas: they are written without the schema.
      return { type: part.type, id: part.id, delta: part.delta }
    case "error":
    case "response-metadata":
      return undefined
    case "finish":
      return own(part, ["metadata", "response"])
    default:
      return own(part, ["metadata"])
  }
}

/** A part, encoded, without fields that are the provider's. */
const own = (part: Part, without: ReadonlyArray<string>): unknown =>
  Option.getOrUndefined(
    Option.map(encodePart(part), (encoded) =>
      Object.fromEntries(Object.entries(encoded as object).filter(([name]) => !without.includes(name)))
    )
  )

const written = (update: AgentUpdate, session: string | undefined): string => {
  const part = update.part === undefined ? undefined : partOf(update.part)
  return JSON.stringify({
    text: update.text,
    status: update.status,
    ...(part === undefined ? undefined : { part }),
    ...(update.waitingFor === undefined ? undefined : { waitingFor: update.waitingFor }),
    ...(update.retried === undefined ? undefined : { retried: update.retried }),
    ...(session === undefined ? undefined : { session })
  })
}

/** The id of an update: its position in the log, and the epoch under which it was written. */
export const idOf = (update: AgentUpdate): string | undefined => {
  const token = Option.getOrUndefined(update.continuationToken)
  return token?.epoch === undefined ? undefined : `${token.offset}.${token.epoch}`
}

// Viewers of one run in one process get the same updates: each is written once.
const known = new WeakMap<AgentUpdate, string>()

const write = (update: AgentUpdate, session?: string): string => {
  const frame = Sse.encoder.write({ _tag: "Event", event: "update", id: idOf(update), data: written(update, session) })
  known.set(update, frame)
  return frame
}

/** The event of an update; undefined if its session must be sealed first. */
export const updateFrame = (update: AgentUpdate): string | undefined =>
  known.get(update) ?? (update.session === undefined ? write(update) : undefined)

/** The same for any update. */
export const sealedFrame = (update: AgentUpdate): Effect.Effect<string> =>
  update.session === undefined
    ? Effect.sync(() => write(update))
    : Effect.map(seal(update.session), (session) => write(update, session))

const named = (event: string, data: unknown, id?: string): string =>
  Sse.encoder.write({ _tag: "Event", event, id, data: JSON.stringify(data) })

/** A comment, which every client skips: it shows that the connection is alive. */
export const heartbeat = ": heartbeat\n\n"

/** The event that takes all updates back. Its empty id makes `EventSource` forget the last one. */
export const reset = named("reset", {}, "")

/** The event that says that nothing more comes. */
export const end = (data: typeof Wire.RunEnd.Type): string => named("end", data)

/** The event that sends a viewer away. `wait` is the time until it comes again, in milliseconds, if it can read that. */
export const retryLater = (data: typeof Wire.RetryLater.Type, wait: number | undefined): string =>
  `${wait === undefined ? "" : `retry: ${wait}\n`}${named("retry-later", data)}`

/** Frames as they are sent. */
export const bytes = (frames: string): Uint8Array => utf8.encode(frames)
