import * as Option from "effect/Option"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import * as Rows from "./rows.ts"
import { minted } from "../token/minted.ts"
import * as TokenRows from "../token/tokenRows.ts"

// Every update has a position, but few tokens are read: the last one before each checkpoint, and those that a consumer
// keeps. Therefore positions share their common parts, and make their token only when it is read.

/** The common parts of all positions of one response. */
export interface Head {
  readonly agent: string
  readonly runId: ContinuationToken["runId"]
  readonly incarnation: number
  readonly turn: number
  readonly responseId: string | undefined
  readonly epoch: number | undefined
  /** Whether token objects are accepted only if this process made them. */
  readonly sealed: boolean
}

type Delivered = ContinuationToken["delivered"]

/** The common parts of positions while one text grows. */
class Common {
  readonly head: Head
  readonly skip: number
  readonly status: ContinuationToken["status"]
  readonly origin: ContinuationToken["origin"]
  /** The rows when the text began to grow. */
  readonly rows: Delivered
  /** The row of the growing text, if there is one. */
  readonly growing: Rows.Open | undefined

  constructor(
    head: Head,
    skip: number,
    status: ContinuationToken["status"],
    origin: ContinuationToken["origin"],
    rows: Delivered,
    growing: Rows.Open | undefined
  ) {
    this.head = head
    this.skip = skip
    this.status = status
    this.origin = origin
    this.rows = rows
    this.growing = growing
  }
}

/** A position of a reader. */
export class Position {
  readonly common: Common
  readonly offset: number
  readonly sequenceNumber: number
  /** The delivered length of the growing text, and its hash. A signed 32-bit number takes no memory of its own. */
  readonly count: number
  readonly hash: number
  private made: ContinuationToken | undefined

  constructor(common: Common, offset: number, sequenceNumber: number, count: number, hash: number) {
    this.common = common
    this.offset = offset
    this.sequenceNumber = sequenceNumber
    this.count = count
    this.hash = hash
    this.made = undefined
  }

  /** Makes a position from a token. */
  static of(token: ContinuationToken, sealed: boolean): Position {
    const {
      agent,
      delivered,
      epoch,
      incarnation,
      offset,
      origin,
      responseId,
      runId,
      sequenceNumber,
      skip,
      status,
      turn
    } = token
    const head: Head = { agent, runId, incarnation, turn, responseId, epoch, sealed }
    return new Position(new Common(head, skip, status, origin, delivered, undefined), offset, sequenceNumber, 0, 0)
  }

  /** The same position, with the id of the response that is now known. */
  named(responseId: string): Position {
    const { delivered, head, offset, origin, sequenceNumber, skip, status } = this
    const common = new Common({ ...head, responseId }, skip, status, origin, delivered, undefined)
    return new Position(common, offset, sequenceNumber, 0, 0)
  }

  /** The position after one more update. */
  next(
    sequenceNumber: number,
    skip: number,
    status: ContinuationToken["status"],
    origin: ContinuationToken["origin"],
    delivered: Delivered
  ): Position {
    return new Position(
      new Common(this.head, skip, status, origin, delivered, undefined),
      this.offset + 1,
      sequenceNumber,
      0,
      0
    )
  }

  /**
   * The position after one more delta of this lane; undefined unless the lane is an open text that continues with whole
   * characters.
   */
  grown(
    sequenceNumber: number,
    status: ContinuationToken["status"],
    index: number | undefined,
    lane: number,
    delta: string
  ): Position | undefined {
    const { offset } = this
    let { common, count, hash } = this
    const [ofIndex, ofLane] = common.growing ?? []
    if (ofIndex !== index || ofLane !== lane || common.status !== status || common.skip !== 0) {
      const rows = this.delivered
      const growing = index === undefined ? undefined : Rows.find(rows, index, lane)
      if (growing === undefined || growing[5] !== 0) return undefined
      common = new Common(common.head, 0, status, "stream", rows, growing)
      count = growing[3]
      hash = growing[4]
    }
    return new Position(common, offset + 1, sequenceNumber, count + delta.length, Rows.foldSigned(hash, delta))
  }

  get head(): Head {
    return this.common.head
  }

  get skip(): number {
    return this.common.skip
  }

  get status(): ContinuationToken["status"] {
    return this.common.status
  }

  get origin(): ContinuationToken["origin"] {
    return this.common.origin
  }

  get incarnation(): number {
    return this.head.incarnation
  }

  get epoch(): number | undefined {
    return this.head.epoch
  }

  get turn(): number {
    return this.head.turn
  }

  get delivered(): Delivered {
    const { count, hash } = this
    const { growing, rows } = this.common
    if (growing === undefined) return rows
    const [place, lane, kind] = growing
    return Rows.grow(rows, growing, [place, lane, kind, count, hash >>> 0, 0])
  }

  get token(): ContinuationToken {
    return (this.made ??= this.make())
  }

  /** The same, as the value of an Option. */
  get value(): ContinuationToken {
    return this.token
  }

  private make(): ContinuationToken {
    const { delivered, head, offset, origin, sequenceNumber, skip, status } = this
    const { agent, epoch, incarnation, responseId, runId, sealed, turn } = head
    const token: ContinuationToken = {
      version: 2,
      agent,
      runId,
      incarnation,
      turn,
      ...(responseId === undefined ? undefined : { responseId }),
      offset,
      ...(epoch === undefined ? undefined : { epoch }),
      sequenceNumber,
      skip,
      status,
      origin,
      delivered
    }
    return sealed ? minted(token) : token
  }
}

/** The fields by which two positions of a run are compared. */
export type Compared = Pick<
  ContinuationToken,
  "incarnation" | "turn" | "origin" | "delivered" | "sequenceNumber" | "skip" | "offset"
> & { readonly epoch?: number | undefined }

/** The positions of a run with an update log: offsets, without what was delivered. */
export class Offsets {
  private readonly head: Head
  private common: Common

  constructor(head: Omit<Head, "responseId" | "turn">) {
    this.head = { ...head, responseId: undefined, turn: 0 }
    this.common = new Common(this.head, 0, "queued", "stream", TokenRows.nothing, undefined)
  }

  /** The token of the position after the update that is before this offset. */
  at(offset: number, status: ContinuationToken["status"]): Option.Option<ContinuationToken> {
    if (this.common.status !== status) {
      this.common = new Common(this.head, 0, status, "stream", TokenRows.nothing, undefined)
    }
    return tokenAt(new Position(this.common, offset, -1, 0, 0))
  }
}

// A position behaves as an Option whose value is made when it is read: updates need no other object for their token.
Object.setPrototypeOf(Position.prototype, Object.getPrototypeOf(Option.some(undefined)))

/** The token of a position, as an Option that makes it when it is read. */
export const tokenAt = (position: Position): Option.Option<ContinuationToken> =>
  position as unknown as Option.Option<ContinuationToken>

/** The position behind such an Option, or the token itself. Makes no token. */
export const positionOf = (token: Option.Option<ContinuationToken>): Position | ContinuationToken | undefined => {
  const behind: unknown = token
  return behind instanceof Position ? behind : Option.getOrUndefined(token)
}

/** The token of a position. */
export const tokenOf = (position: Position | ContinuationToken): ContinuationToken =>
  position instanceof Position ? position.token : position
