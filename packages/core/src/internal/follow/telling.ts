import type { Lane, Metadata, SourcesLane, Statement, TextLane } from "../../BackgroundModel.ts"
import type { Delivered } from "../../ContinuationToken.ts"
import type * as Response from "effect/ai/Response"
import * as Place from "./place.ts"
import * as Rows from "./rows.ts"

// Turns statements into new parts. If a statement other than a delta is repeated from a later position, it gives only the
// parts that are missing. Therefore a stream may be cut between any two parts.

export type Part = Response.StreamPartEncoded

/** A part that is new, and the position after it. */
export interface Told {
  readonly part: Part
  readonly delivered: Delivered
  /** The number, from 1, of the statement to continue with. */
  readonly skip: number
}

const names = ["text", "reasoning", "tool-params"] as const

const defined = (metadata: Metadata | undefined) => (metadata === undefined ? undefined : { metadata })

/** The fields of a text lane that its start part has. */
type Begun = Pick<TextLane, "name" | "providerExecuted" | "metadata">

const startOf = (id: string, kind: number, { metadata, name, providerExecuted }: Begun): Part =>
  kind === 2
    ? {
        type: "tool-params-start",
        id,
        name: name ?? "",
        ...(providerExecuted === true ? { providerExecuted } : undefined),
        ...defined(metadata)
      }
    : { type: kind === 0 ? "text-start" : "reasoning-start", id, ...defined(metadata) }

const deltaOf = (id: string, kind: number, delta: string): Part => ({
  type: `${names[kind as 0 | 1 | 2]}-delta`,
  id,
  delta
})

const endOf = (id: string, kind: number, metadata: Metadata | undefined): Part => ({
  type: `${names[kind as 0 | 1 | 2]}-end`,
  id,
  ...defined(metadata)
})

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

/** A text without the first half of a character at its end, and that half. */
const withoutHalf = (text: string): readonly [whole: string, half: number] => {
  const last = text.length === 0 ? 0 : text.charCodeAt(text.length - 1)
  return isHigh(last) ? [text.slice(0, -1), last] : [text, 0]
}

/** Why a text that the provider repeats contradicts the delivered one. */
const otherwise = (place: number, lane: number): string =>
  `the text of part ${lane} of output item ${place} differs from the delivered one`

/** Collects the new parts of one event or one snapshot, in order, and the rows after each. */
export class Telling {
  readonly parts: Array<Told> = []
  /** Why the event contradicts the delivered updates; undefined if it does not. */
  divergence: string | undefined
  statement = 1
  delivered: Delivered
  private readonly turn: number
  private readonly fits: (delivered: Delivered) => boolean

  /** `fits` says whether rows still have room in a token. */
  constructor(delivered: Delivered, turn: number, fits: (delivered: Delivered) => boolean) {
    this.delivered = delivered
    this.turn = turn
    this.fits = fits
  }

  idOf(place: number, lane: number): string {
    return `${this.turn}:${place}:${lane}`
  }

  /** Adds a part, together with the rows after it. */
  tell(part: Part, delivered: Delivered, done = false): void {
    this.set(delivered)
    this.parts.push({ part, delivered: this.delivered, skip: done ? this.statement + 1 : this.statement })
  }

  private set(delivered: Delivered): void {
    this.delivered = delivered.overflow || this.fits(delivered) ? delivered : Rows.overflowed(delivered)
  }

  /** Adds the parts of a statement; with `again`, some of them may be delivered already. */
  say(statement: Statement, again: boolean): void {
    // No snapshot has these, so they are not in the rows: `skip` says that the part was delivered.
    if (statement._tag === "Preliminary") return this.tell(statement.part, this.delivered, true)
    if (this.delivered.overflow) return this.sayUnheld(statement)
    if (this.isUnannounced(statement)) return
    const found = Place.find(this.delivered, statement, again)
    if (found === undefined) return
    this.set(found.delivered)
    if (this.delivered.overflow) return this.sayUnheld(statement)
    const { place } = found
    switch (statement._tag) {
      case "Delta":
        return this.delta(place, statement.lane, Rows.kindOf(statement.kind), statement.delta)
      case "ItemAdded":
        for (const lane of statement.lanes) this.begin(place, lane)
        return
      case "LaneStarted":
        return this.begin(place, statement.lane)
      case "PartAdded":
        return statement.lane.kind === "sources"
          ? this.cite(place, statement.lane, false)
          : this.rest(place, statement.lane, true)
      case "LaneEnded": {
        const { kind, lane, metadata, text } = statement
        const known = Rows.find(this.delivered, place, lane)
        // The end of an earlier item with the same index.
        if (known !== undefined && known[2] !== Rows.kindOf(kind)) return
        if (text !== undefined) return this.rest(place, { lane, kind, text, ...defined(metadata) }, true)
        return this.end(place, lane, metadata)
      }
      case "ItemDone":
        return this.finish(place, statement.lanes)
    }
  }

  /** Parameters of a call that was not announced: the end of the item brings them, with their name. */
  private isUnannounced(statement: Statement): boolean {
    if ((statement._tag !== "Delta" && statement._tag !== "LaneEnded") || statement.kind !== "params") return false
    const found = Place.find(this.delivered, statement, false)
    return found === undefined || Rows.find(this.delivered, found.place, statement.lane) === undefined
  }

  private open(place: number, lane: number, kind: number, begun: Begun): Rows.Open {
    const opened = Rows.openLane(this.delivered, place, lane, kind)
    this.tell(startOf(this.idOf(place, lane), kind, begun), opened)
    return [place, lane, kind, 0, Rows.emptyHash, 0]
  }

  /** The row of an open lane after this text too. */
  private more(place: number, lane: number, kind: number, text: string, half: number, done = false): void {
    const known = Rows.find(this.delivered, place, lane)
    if (known === undefined) {
      // The rows were dropped meanwhile.
      if (text !== "") this.tell(deltaOf(this.idOf(place, lane), kind, text), this.delivered, done)
      return
    }
    const [, , , count, hash] = known
    const grown = Rows.grow(this.delivered, known, [
      place,
      lane,
      kind,
      count + text.length,
      Rows.fold(hash, text),
      half
    ])
    if (text === "") this.set(grown)
    else this.tell(deltaOf(this.idOf(place, lane), kind, text), grown, done)
  }

  private delta(place: number, lane: number, kind: number, delta: string): void {
    if (Rows.isLaneFinished(this.delivered, place, lane)) {
      this.divergence ??= `part ${lane} of output item ${place} goes on after its end`
      return
    }
    const known = Rows.find(this.delivered, place, lane) ?? this.open(place, lane, kind, {})
    const [whole, half] = withoutHalf(known[5] === 0 ? delta : String.fromCharCode(known[5]) + delta)
    this.more(place, lane, kind, whole.toWellFormed(), half, true)
  }

  /** Begins a text, unless it has begun before. */
  private begin(place: number, lane: TextLane): void {
    const { kind, text } = lane
    if (Rows.isLaneFinished(this.delivered, place, lane.lane)) return
    const known = Rows.find(this.delivered, place, lane.lane) ?? this.open(place, lane.lane, Rows.kindOf(kind), lane)
    const [whole, half] = withoutHalf(text)
    const beyond = this.beyond(known, whole.toWellFormed())
    if (beyond !== undefined && beyond !== "") this.more(place, lane.lane, known[2], beyond, half)
  }

  /** The rest of a text after its delivered part; undefined if the text does not begin with that part. */
  private beyond([, , , count, hash]: Rows.Open, text: string): string | undefined {
    if (text.length < count || Rows.fold(Rows.emptyHash, text.slice(0, count)) !== hash) return undefined
    return text.slice(count)
  }

  private cite(place: number, { from, lane, sources }: SourcesLane, isWhole: boolean): void {
    if (Rows.isLaneFinished(this.delivered, place, lane)) return
    const first = from ?? (isWhole ? 0 : (Rows.find(this.delivered, place, lane)?.[3] ?? 0))
    for (const [i, source] of sources.entries()) {
      if (Rows.find(this.delivered, place, lane) === undefined && !this.delivered.overflow) {
        this.set(Rows.openLane(this.delivered, place, lane, Rows.sources))
      }
      const known = Rows.find(this.delivered, place, lane)
      const count = known?.[3] ?? first + i
      // A source that came too early waits for those before it, which the end of the item brings.
      if (count !== first + i) continue
      const grown =
        known === undefined
          ? this.delivered
          : Rows.grow(this.delivered, known, [place, lane, Rows.sources, count + 1, known[4], 0])
      if (source === undefined) this.set(grown)
      else this.tell({ ...source, id: `${this.idOf(place, lane)}:${count}` } as Part, grown)
    }
  }

  /** Adds the missing parts of a complete lane; with `isOver`, the lane ends too. */
  rest(place: number, lane: Lane, isOver: boolean): void {
    if (lane.kind === "unread" || Rows.isLaneFinished(this.delivered, place, lane.lane)) return
    switch (lane.kind) {
      case "sources":
        this.cite(place, lane, true)
        return
      case "single": {
        const content = Rows.contentOf(lane)!
        const calls = this.delivered.calls || Rows.asks(lane)
        this.tell(lane.part, { ...Rows.closeLane(this.delivered, place, lane.lane, content), calls })
        return
      }
      default:
        return this.restOfText(place, lane, isOver)
    }
  }

  private restOfText(place: number, lane: TextLane, isOver: boolean): void {
    const kind = Rows.kindOf(lane.kind)
    const known = Rows.find(this.delivered, place, lane.lane)
    const [whole, half] = isOver ? [lane.text, 0] : withoutHalf(lane.text)
    const text = whole.toWellFormed()
    const beyond = known === undefined ? text : known[2] === kind ? this.beyond(known, text) : undefined
    if (beyond === undefined) {
      this.divergence ??= otherwise(place, lane.lane)
      return
    }
    if (known === undefined) this.open(place, lane.lane, kind, lane)
    if (beyond !== "") this.more(place, lane.lane, kind, beyond, half)
    if (!isOver) return
    const content = { kind, count: text.length, hash: Rows.fold(Rows.emptyHash, text) }
    const closed = this.delivered.overflow ? this.delivered : Rows.closeLane(this.delivered, place, lane.lane, content)
    this.tell(endOf(this.idOf(place, lane.lane), kind, lane.metadata), closed)
  }

  /** Ends a lane with what was delivered of it. */
  private end(place: number, lane: number, metadata?: Metadata): void {
    const known = Rows.find(this.delivered, place, lane)
    if (known === undefined || known[2] === Rows.sources) return
    // The other half of this character will not come.
    if (known[5] !== 0) this.more(place, lane, known[2], "\ufffd", 0)
    const [, , kind, count, hash] = Rows.find(this.delivered, place, lane) ?? known
    if (this.delivered.overflow) return
    this.tell(
      endOf(this.idOf(place, lane), kind, metadata),
      Rows.closeLane(this.delivered, place, lane, { kind, count, hash })
    )
  }

  /** Finishes an item with these lanes. */
  finish(place: number, lanes: ReadonlyArray<Lane> | undefined): void {
    if (lanes !== undefined) {
      this.divergence ??= contradicted(this.delivered, place, lanes)
      for (const lane of lanes) {
        if (this.divergence !== undefined) return
        this.rest(place, lane, true)
      }
    }
    if (this.divergence === undefined) this.close(place)
  }

  /** Finishes an item with what was delivered of it. */
  close(place: number): void {
    for (const [of, lane] of this.delivered.open) if (of === place) this.end(place, lane)
    if (!this.delivered.overflow) this.set(Rows.closeItem(this.delivered, place))
  }

  /** Adds parts as the event carries them, because the rows were dropped. */
  private sayUnheld(statement: Statement): void {
    const before = this.parts.length
    this.sayUnchecked(statement)
    const last = this.parts.at(-1)
    // If the statement is repeated, the part would come twice: only `skip` can say that it was delivered.
    if (last !== undefined && this.parts.length > before) {
      this.parts[this.parts.length - 1] = { ...last, skip: this.statement + 1 }
    }
  }

  private sayUnchecked(statement: Statement): void {
    const place = statement.index ?? 0
    const { delivered } = this
    const begin = (lane: TextLane) => {
      const kind = Rows.kindOf(lane.kind)
      const id = this.idOf(place, lane.lane)
      this.tell(startOf(id, kind, lane), delivered)
      if (lane.text !== "") this.tell(deltaOf(id, kind, lane.text), delivered)
    }
    switch (statement._tag) {
      case "Delta":
        if (statement.delta === "") return
        this.tell(
          deltaOf(this.idOf(place, statement.lane), Rows.kindOf(statement.kind), statement.delta),
          delivered,
          true
        )
        return
      case "ItemAdded":
        return statement.lanes.forEach(begin)
      case "LaneStarted":
        return begin(statement.lane)
      case "PartAdded":
        return this.unchecked(place, statement.lane)
      case "LaneEnded": {
        const id = this.idOf(place, statement.lane)
        this.tell(endOf(id, Rows.kindOf(statement.kind), statement.metadata), delivered)
        return
      }
      case "ItemDone":
        for (const lane of statement.lanes ?? []) if (lane.kind === "single") this.unchecked(place, lane)
    }
  }

  private unchecked(place: number, lane: Lane): void {
    if (lane.kind === "single") {
      const calls = this.delivered.calls || Rows.asks(lane)
      this.tell(lane.part, { ...this.delivered, calls })
    } else if (lane.kind === "sources") {
      for (const [i, source] of lane.sources.entries()) {
        const id = `${this.idOf(place, lane.lane)}:${(lane.from ?? 0) + i}`
        if (source !== undefined) this.tell({ ...source, id } as Part, this.delivered)
      }
    }
  }
}

/** Why the lanes of an item contradict the finished lanes that were delivered; undefined if they do not. */
const contradicted = (delivered: Delivered, place: number, lanes: ReadonlyArray<Lane>): string | undefined => {
  for (const [of, from, to, placed] of delivered.lanes) {
    if (of !== place) continue
    const own = lanes.filter(({ lane }) => from <= lane && lane <= to)
    if (own.some(({ kind }) => kind === "unread")) continue
    if (Rows.placedIn(place, own) !== placed) return otherwise(place, from)
  }
  return undefined
}
