import * as Option from "effect/Option"
import type * as Types from "effect/Types"
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { ModelEvent, ModelSnapshot } from "../../BackgroundModel.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import { isOver, type RunStatus } from "../../Run.ts"
import { toolCallsIn, waitingCalls } from "../record/toolCalls.ts"
import { type Head, Position, tokenAt } from "./position.ts"
import * as TokenRows from "../token/tokenRows.ts"
import { decodePart, deltaPart } from "./streamPart.ts"
import * as Rows from "./rows.ts"
import { type Part, Telling, type Told } from "./telling.ts"
import * as Whole from "./whole.ts"

type Origin = AgentUpdate["origin"]

/** The end of a response. */
export interface Ending {
  readonly status: RunStatus
  /** Why the response failed. */
  readonly error?: AiError.AiError
  /** The response as the provider showed it at its end; absent if the provider no longer has it. */
  readonly snapshot?: ModelSnapshot
  /** Whether the end showed the output that was delivered. Some servers show none. */
  readonly shows: boolean
}

/** The result of reading some events. */
export interface Read {
  readonly updates: ReadonlyArray<AgentUpdate>
  /** Whether one of them has a higher number than all before. */
  readonly progressed: boolean
  /** The end may have overtaken other events: the stream must be read again from the position before them. */
  readonly doubted: boolean
}

// Room for a signature, for open lanes that grow, and for the other fields of a token.
const longestToken = 940

const maxGaps = 16

const ofCalls: ReadonlySet<Part["type"]> = new Set(["tool-call", "tool-result", "tool-approval-request"])

const utf8 = new TextEncoder()

/** The largest length of the rows with which a token stays below a kilobyte. */
const roomOf = ({ agent, responseId, runId }: Head): number => {
  const head = utf8.encode(JSON.stringify([agent, runId, responseId ?? ""])).length + 72
  return longestToken - Math.ceil((head * 4) / 3)
}

// A response id that is too long for a token is left out of it: the store finds the run by the run's id.
const longestResponseId = 128

/** The length of a text in JSON. */
const sizeOf = (text: string): number => utf8.encode(JSON.stringify(text)).length - 2

/** Turns the events and snapshots of one response into updates, and moves the position with them. */
export class Reader {
  position: Position
  responseId: string | undefined
  ending: Ending | undefined
  /** Why the provider's output contradicts the delivered updates, once it does: no updates follow then. */
  divergence: string | undefined
  /** The calls, results and approval requests that this reader delivered. */
  private readonly singles: Array<Part> = []
  /** Whether this reader delivered everything of the response. */
  readonly isFromStart: boolean

  private doubted = false
  // Event numbers that a replay left out. Most belong to keepalives, which are not replayed.
  private readonly gaps: Array<readonly [from: number, to: number]> = []
  private room: number
  private readonly fits = (delivered: ContinuationToken["delivered"]): boolean =>
    TokenRows.lengthOf(delivered) <= this.room

  private readonly positioned: boolean
  private readonly raw: boolean

  constructor(options: {
    readonly from: ContinuationToken
    readonly responseId: string | undefined
    /** Whether updates have positions. */
    readonly positioned: boolean
    /** Whether updates have the events as the provider sent them. A model may have to parse an event for that. */
    readonly raw: boolean
    /** Whether token objects are accepted only if this process made them. */
    readonly sealed: boolean
  }) {
    const { from, responseId } = options
    this.positioned = options.positioned
    this.raw = options.raw
    this.position = Position.of(from, options.sealed)
    this.isFromStart = from.sequenceNumber < 0 && from.origin === "stream"
    this.room = roomOf(this.position.head)
    if (responseId !== undefined) this.name(responseId)
  }

  /** The delivered tool calls that wait for the caller. */
  get calls(): ReadonlyArray<Response.ToolCallPartEncoded> {
    return waitingCalls(this.singles)
  }

  /** Sets the id of the response. */
  name(responseId: string): void {
    if (this.responseId !== undefined) return
    this.responseId = responseId
    if (sizeOf(responseId) > longestResponseId || this.position.head.responseId === responseId) return
    this.position = this.position.named(responseId)
    this.room = roomOf(this.position.head)
  }

  /** The number after which events must be replayed: -1 for all events. */
  after(): number {
    const { sequenceNumber, skip } = this.position
    const gap = this.gaps.at(-1)
    // Events that are missing right before the last one may have been overtaken by it.
    if (gap !== undefined && gap[1] === sequenceNumber - 1) return gap[0] - 1
    return skip > 0 ? sequenceNumber - 1 : sequenceNumber
  }

  /** Reads the events of an attachment. */
  read(events: ReadonlyArray<ModelEvent>, origin: "live" | "replay"): Read {
    const updates: Array<AgentUpdate> = []
    let progressed = false
    for (const event of origin === "replay" ? inOrder(events) : events) {
      if (event.responseId !== undefined && this.responseId === undefined) this.name(event.responseId)
      if (event.keepalive === true || this.ending !== undefined || this.divergence !== undefined) continue
      const { sequenceNumber, skip } = this.position
      const number = event.sequenceNumber ?? sequenceNumber + 1
      if (number < sequenceNumber || (number === sequenceNumber && skip === 0)) {
        if (this.gaps.some(([lowest, highest]) => lowest <= number && number <= highest)) {
          this.divergence = `event ${number} came after later ones that were delivered`
        }
        continue
      }
      progressed = true
      if (origin === "replay" && number > sequenceNumber + 1) {
        // Events that the end overtook may still come: the end is then read a second time.
        if (event.terminal !== undefined && !this.doubted) {
          this.doubted = true
          return { updates, progressed, doubted: true }
        }
        if (this.gaps.push([sequenceNumber + 1, number - 1]) > maxGaps) this.gaps.shift()
      }
      if (!this.readDelta(event, number, origin, updates)) this.readEvent(event, number, origin, updates)
    }
    return { updates, progressed, doubted: false }
  }

  /** Reads a delta of an open text by a short path, because most events are such deltas. */
  private readDelta(event: ModelEvent, number: number, origin: Origin, updates: Array<AgentUpdate>): boolean {
    const statement = event.statements[0]
    if (statement?._tag !== "Delta" || event.statements.length !== 1 || event.sequenceNumber === undefined) return false
    const { position } = this
    if (position.common.rows.at.length > 0 || (position.skip > 0 && number === position.sequenceNumber)) return false
    const { delta, index, kind, lane } = statement
    if (delta.length === 0 || !delta.isWellFormed()) return false
    const status = event.status ?? position.status
    const next = position.grown(number, status, index, lane, delta)
    const row = next?.common.growing
    if (next === undefined || row === undefined || row[2] !== Rows.kindOf(kind)) return false
    this.position = next
    const update: Types.Mutable<AgentUpdate> = {
      _tag: "Update",
      part: deltaPart(this.idOf(row[0], lane), kind, delta),
      text: kind === "text" ? delta : "",
      status,
      runId: position.head.runId,
      responseId: this.responseId ?? "",
      sequenceNumber: number,
      continuationToken: this.positioned ? tokenAt(next) : Option.none(),
      origin
    }
    if (this.raw && event.raw !== undefined) update.raw = event.raw
    updates.push(update)
    return true
  }

  private lastId = { place: -1, lane: -1, id: "" }

  private idOf(place: number, lane: number): string {
    const { lastId } = this
    if (lastId.place !== place || lastId.lane !== lane) {
      this.lastId = { place, lane, id: `${this.position.turn}:${place}:${lane}` }
    }
    return this.lastId.id
  }

  private readEvent(event: ModelEvent, number: number, origin: Origin, updates: Array<AgentUpdate>): void {
    const { delivered, sequenceNumber, skip, turn } = this.position
    const first = number === sequenceNumber ? Math.max(1, skip) : 1
    const telling = new Telling(delivered, turn, this.fits)
    const { statements, terminal } = event
    for (let k = first; k <= statements.length && telling.divergence === undefined; k++) {
      telling.statement = k
      telling.say(statements[k - 1]!, k === first && skip > 0 && number === sequenceNumber)
    }
    const status = event.status ?? this.position.status
    if (terminal !== undefined) this.tellEnd(telling, first, statements.length + 1, { ...terminal, status }, origin)
    // A position without an event number cannot be replayed.
    const how = event.sequenceNumber === undefined ? "snapshot" : this.position.origin
    const underWay = terminal === undefined ? status : "in_progress"
    this.handOut(telling, updates, {
      origin,
      raw: this.raw ? event.raw : undefined,
      move: (told) => this.move(number, told.skip, underWay, how, told.delivered),
      finally: () => this.move(number, 0, status, how, telling.delivered)
    })
  }

  /** Delivers the end of the response: the missing output, and the finish part. */
  private tellEnd(telling: Telling, first: number, statement: number, snapshot: ModelSnapshot, origin: Origin): void {
    if (telling.divergence !== undefined) return
    telling.statement = statement
    const seen = origin !== "snapshot" && this.position.origin === "stream"
    const match = Whole.tellEnd(telling, snapshot, { seen, isTold: first > statement })
    if (telling.divergence !== undefined) return
    telling.statement = statement + 2
    const { status } = snapshot
    const finish = finishOf(snapshot, telling.delivered.calls)
    if (finish !== undefined) telling.tell(finish, telling.delivered)
    this.ending = {
      status,
      ...(status === "failed" ? { error: snapshot.error ?? unexplained() } : undefined),
      snapshot: finish === undefined ? snapshot : { ...snapshot, finish },
      shows: match === "found"
    }
  }

  /** Makes updates of new parts. The position of the last one says that the event is wholly delivered. */
  private handOut(
    telling: Telling,
    updates: Array<AgentUpdate>,
    at: {
      readonly origin: Origin
      readonly raw: unknown
      readonly move: (told: Told) => void
      readonly finally: () => void
    }
  ): void {
    const { divergence, parts } = telling
    for (const [i, told] of parts.entries()) {
      const isLast = i === parts.length - 1 && divergence === undefined
      if (ofCalls.has(told.part.type)) this.singles.push(told.part)
      if (isLast) at.finally()
      else at.move(told)
      updates.push(this.update(told.part, at.origin, at.raw, isLast && this.ending !== undefined))
    }
    if (divergence !== undefined) {
      this.divergence = divergence
      this.ending = undefined
    } else if (parts.length === 0) {
      at.finally()
      updates.push(this.update(undefined, at.origin, at.raw, this.ending !== undefined))
    }
  }

  /** The updates that a snapshot adds. */
  fill(snapshot: ModelSnapshot): ReadonlyArray<AgentUpdate> {
    this.name(snapshot.responseId)
    const { delivered, origin, sequenceNumber, status, turn } = this.position
    const telling = new Telling(delivered, turn, this.fits)
    const updates: Array<AgentUpdate> = []
    if (isOver(snapshot.status)) {
      this.tellEnd(telling, 1, 1, snapshot, "snapshot")
    } else {
      Whole.tellProgress(telling, snapshot)
      // A snapshot that does not fit now may fit at the end of the response.
      telling.divergence = undefined
      const isFirst = sequenceNumber < 0 && origin === "stream"
      if (snapshot.status === status && telling.parts.length === 0 && !isFirst) return []
    }
    const underWay = isOver(snapshot.status) ? "in_progress" : snapshot.status
    this.handOut(telling, updates, {
      origin: "snapshot",
      raw: this.raw ? snapshot.raw : undefined,
      move: (told) => this.move(sequenceNumber, 0, underWay, "snapshot", told.delivered),
      finally: () => this.move(sequenceNumber, 0, snapshot.status, "snapshot", telling.delivered)
    })
    return updates
  }

  /** The provider no longer has the response. This delivers no update. */
  expire(): void {
    this.ending = { status: "expired", shows: false }
  }

  private move(
    sequenceNumber: number,
    skip: number,
    status: RunStatus,
    origin: ContinuationToken["origin"],
    delivered: ContinuationToken["delivered"]
  ): void {
    this.position = this.position.next(sequenceNumber, skip, status, origin, delivered)
  }

  private update(part: Part | undefined, origin: Origin, raw: unknown, isLast: boolean): AgentUpdate {
    const decoded = part === undefined ? undefined : decodePart(part)
    const { position } = this
    return {
      _tag: "Update",
      ...(decoded === undefined ? undefined : { part: decoded }),
      text: decoded !== undefined && decoded.type === "text-delta" ? decoded.delta : "",
      status: position.status,
      runId: position.head.runId,
      responseId: this.responseId ?? "",
      ...(origin === "snapshot" || position.sequenceNumber < 0
        ? undefined
        : { sequenceNumber: position.sequenceNumber }),
      continuationToken: isLast || !this.positioned ? Option.none() : tokenAt(position),
      origin,
      ...(raw === undefined ? undefined : { raw })
    }
  }
}

/**
 * The finish part of a response. If calls wait for the caller, its reason is `tool-calls`, even if the provider says `stop`.
 * `calls` says whether such calls were delivered, for a response that does not show them any more.
 */
const finishOf = ({ finish, items }: ModelSnapshot, calls: boolean): ModelSnapshot["finish"] => {
  if (!calls || finish?.reason !== "stop") return finish
  const isShown = items.some(({ lanes }) => lanes.some(Rows.asks))
  return isShown && toolCallsIn(items).length === 0 ? finish : { ...finish, reason: "tool-calls" }
}

// In some replays, neighbouring events are swapped.
const inOrder = (events: ReadonlyArray<ModelEvent>): ReadonlyArray<ModelEvent> => {
  const numberOf = (event: ModelEvent | undefined) => event?.sequenceNumber ?? -1
  return events.some((event, i) => numberOf(event) < numberOf(events[i - 1]))
    ? events.toSorted((a, b) => numberOf(a) - numberOf(b))
    : events
}

const unexplained = () =>
  AiError.make({
    module: "BackgroundModel",
    method: "retrieve",
    reason: new AiError.UnknownError({ description: "The provider gave no reason" })
  })
