import * as Option from "effect/Option"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import * as Rows from "./rows.ts"
import { minted } from "../minted.ts"

// Every update has a position, and few of the tokens are read: the last one before each checkpoint, and what a consumer
// keeps. So positions share what they have in common, and make their token if it is read.

/** What all positions of one response have in common. */
export interface Head {
  readonly agent: string
  readonly runId: ContinuationToken["runId"]
  readonly incarnation: number
  readonly turn: number
  readonly responseId: string | undefined
  readonly epoch: number | undefined
  /** Whether tokens are accepted as objects only if this process made them. */
  readonly sealed: boolean
}

type Delivered = ContinuationToken["delivered"]

/** The lane that deltas add to, with how much of it was delivered when `rows` were made. */
type Growing = Rows.Open | undefined

/** Where a reader stands. */
export class Position {
  readonly head: Head
  readonly offset: number
  readonly sequenceNumber: number
  readonly skip: number
  readonly status: ContinuationToken["status"]
  readonly origin: ContinuationToken["origin"]
  /** What was delivered, but for what came of the growing lane since. */
  readonly rows: Delivered
  readonly growing: Growing
  /** How much of the growing lane was delivered, and its hash as a signed number: that one takes no memory of its own. */
  readonly count: number
  readonly hash: number
  private made: ContinuationToken | undefined

  constructor(
    head: Head,
    offset: number,
    sequenceNumber: number,
    skip: number,
    status: ContinuationToken["status"],
    origin: ContinuationToken["origin"],
    rows: Delivered,
    growing: Growing = undefined,
    count = 0,
    hash = 0
  ) {
    this.head = head
    this.offset = offset
    this.sequenceNumber = sequenceNumber
    this.skip = skip
    this.status = status
    this.origin = origin
    this.rows = rows
    this.growing = growing
    this.count = count
    this.hash = hash
    this.made = undefined
  }

  /** The position that a token says. */
  static of(token: ContinuationToken, sealed: boolean): Position {
    const { agent, delivered, epoch, incarnation, offset, origin, responseId, runId, sequenceNumber, skip, status, turn } =
      token
    const head: Head = { agent, runId, incarnation, turn, responseId, epoch, sealed }
    return new Position(head, offset, sequenceNumber, skip, status, origin, delivered)
  }

  /** The same position, of a response that has a name now. */
  named(responseId: string): Position {
    const { delivered, head, offset, origin, sequenceNumber, skip, status } = this
    return new Position({ ...head, responseId }, offset, sequenceNumber, skip, status, origin, delivered)
  }

  get incarnation(): number {
    return this.head.incarnation
  }

  get turn(): number {
    return this.head.turn
  }

  get delivered(): Delivered {
    const { count, growing, hash, rows } = this
    if (growing === undefined) return rows
    const [place, lane, kind] = growing
    return Rows.grow(rows, growing, [place, lane, kind, count, hash >>> 0, 0])
  }

  get token(): ContinuationToken {
    return (this.made ??= this.make())
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

/** What two positions of a run are compared by. */
export type Where = Pick<
  ContinuationToken,
  "incarnation" | "turn" | "origin" | "delivered" | "sequenceNumber" | "skip" | "offset"
>

class SomeToken {
  readonly position: Position

  constructor(position: Position) {
    this.position = position
  }

  get value(): ContinuationToken {
    return this.position.token
  }
}

// An Option in all but this: its value is made when it is read.
Object.setPrototypeOf(SomeToken.prototype, Object.getPrototypeOf(Option.some(undefined)))

/** The token of a position, as updates have it. */
export const tokenAt = (position: Position): Option.Option<ContinuationToken> =>
  new SomeToken(position) as unknown as Option.Option<ContinuationToken>

/** The position that a token was given for, or the token itself; nothing is made for it. */
export const whereOf = (token: Option.Option<ContinuationToken>): Position | ContinuationToken | undefined =>
  token instanceof SomeToken ? token.position : Option.getOrUndefined(token)

/** The token of a position. */
export const tokenOf = (where: Position | ContinuationToken): ContinuationToken =>
  where instanceof Position ? where.token : where
