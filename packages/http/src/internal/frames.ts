import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import type { RunStatus } from "@effect-baton/core/Run"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import * as Sse from "effect/encoding/Sse"
import type * as Wire from "../RunWire.ts"
import * as Sealed from "./sealed.ts"

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
    ...(update.turn === undefined ? undefined : { turn: update.turn }),
    ...(update.waitingFor === undefined ? undefined : { waitingFor: update.waitingFor }),
    ...(update.limit === undefined ? undefined : { limit: update.limit }),
    ...(update.retried === undefined ? undefined : { retried: update.retried }),
    ...(session === undefined ? undefined : { session })
  })
}

/** The id of an update: its position in the log, and the epoch under which it was written. */
const idOf = (update: AgentUpdate): string | undefined => {
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
const updateFrame = (update: AgentUpdate): string | undefined =>
  known.get(update) ?? (update.session === undefined ? write(update) : undefined)

const sealing = new WeakMap<AgentUpdate, Deferred.Deferred<void>>()

/** Seals the session of an update, so that its event can be written. Viewers that come to it meanwhile wait for it. */
export const seal = (update: AgentUpdate): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { session } = update
    if (session === undefined || known.has(update)) return Effect.void
    const begun = sealing.get(update)
    if (begun !== undefined) return Deferred.await(begun)
    const sealed = Deferred.makeUnsafe<void>()
    sealing.set(update, sealed)
    const work = Sealed.seal(session).pipe(
      Effect.map((text) => {
        write(update, text)
      }),
      // The next one tries again if it failed.
      Effect.ensuring(Effect.sync(() => sealing.delete(update)))
    )
    // In a fiber of its own, because the viewer that came first may leave, and the others still wait.
    return Effect.andThen(Effect.forkDetach(Deferred.into(work, sealed)), Deferred.await(sealed))
  })

/** Updates as they are sent at once. */
export interface Piece {
  readonly bytes: Uint8Array
  /** How many updates of their page are in it, and in the pieces before it. */
  readonly taken: number
  readonly lastId: string | undefined
  readonly lastStatus: RunStatus
}

type Page = readonly [AgentUpdate, ...Array<AgentUpdate>]

// What goes out at once, and one more update.
const maxChars = 32 * 1024

// Viewers that are at the same place get the same page: its first piece, which nearly always is all of it, is made once.
const firstPieces = new WeakMap<Page, Piece>()

/** The next piece of a page of which so many updates were sent. If it is an update, its session must be sealed first. */
export const pieceOf = (page: Page, from: number): Piece | AgentUpdate => {
  const made = from === 0 ? firstPieces.get(page) : undefined
  if (made !== undefined) return made
  let frames = ""
  let taken = from
  let lastId: string | undefined
  let lastStatus = page[0].status
  while (taken < page.length && frames.length < maxChars) {
    const update = page[taken]!
    const frame = updateFrame(update)
    if (frame === undefined && frames === "") return update
    if (frame === undefined) break
    frames += frame
    taken++
    lastId = idOf(update) ?? lastId
    lastStatus = update.status
  }
  const piece = { bytes: utf8.encode(frames), taken, lastId, lastStatus }
  if (from === 0) firstPieces.set(page, piece)
  return piece
}

const named = (event: string, data: unknown, id?: string): string =>
  Sse.encoder.write({ _tag: "Event", event, id, data: JSON.stringify(data) })

/** A comment, which every client skips: it shows that the connection is alive. */
export const heartbeat = utf8.encode(": heartbeat\n\n")

/** The event that takes all updates back. Its empty id makes `EventSource` forget the last one. */
export const reset = utf8.encode(named("reset", {}, ""))

/** The event that says that nothing more comes. */
export const end = (data: typeof Wire.RunEnd.Type): Uint8Array => utf8.encode(named("end", data))

/** The event that sends a viewer away. `wait` is the time until it comes again, in milliseconds, if it can read that. */
export const retryLater = (data: typeof Wire.RetryLater.Type, wait: number | undefined): Uint8Array =>
  utf8.encode(`${wait === undefined ? "" : `retry: ${wait}\n`}${named("retry-later", data)}`)
