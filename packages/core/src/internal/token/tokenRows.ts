// The text form of a position's rows in a token. In base 36, small numbers take half the room that they take in JSON.

type Row = ReadonlyArray<number>

/** See `ContinuationToken.Delivered`. */
interface Delivered extends Readonly<Record<"items" | "lanes" | "open" | "ids" | "at", ReadonlyArray<Row>>> {
  readonly next: number
  readonly calls: boolean
  readonly overflow: boolean
}

/** The rows before anything was delivered. The object is shared and must not be changed. */
export const nothing = Object.freeze({
  items: Object.freeze([]),
  lanes: Object.freeze([]),
  open: Object.freeze([]),
  ids: Object.freeze([]),
  at: Object.freeze([]),
  next: 0,
  calls: false,
  overflow: false
})

const packRows = (rows: ReadonlyArray<Row>): string =>
  rows.map((row) => row.map((n) => n.toString(36)).join(".")).join("_")

const number = /^[0-9a-z]{1,11}$/

const unpackRow = (row: string): Row =>
  row.split(".").map((n) => (number.test(n) ? Number.parseInt(n, 36) : Number.NaN))

const unpackRows = (text: string): ReadonlyArray<Row> => (text === "" ? [] : text.split("_").map(unpackRow))

export const pack = ({ at, calls, ids, items, lanes, next, open, overflow }: Delivered): string =>
  [
    ...[items, lanes, open, ids, at].map(packRows),
    next.toString(36),
    String((calls ? 1 : 0) + (overflow ? 2 : 0))
  ].join("-")

/** Reads rows from a text. The result must still be checked by the schema. */
export const unpack = (text: string): Readonly<Record<keyof Delivered, unknown>> => {
  const [items = "", lanes = "", open = "", ids = "", at = "", next = "", flags = ""] = text.split("-")
  return {
    items: unpackRows(items),
    lanes: unpackRows(lanes),
    open: unpackRows(open),
    ids: unpackRows(ids),
    at: unpackRows(at),
    next: unpackRow(next)[0],
    calls: flags === "1" || flags === "3",
    overflow: flags === "2" || flags === "3"
  }
}

const digits = (n: number): number => (n < 36 ? 1 : n < 1296 ? 2 : n < 46656 ? 3 : n < 1679616 ? 4 : 7)

const lengthOfRows = (rows: ReadonlyArray<Row>): number => {
  let length = 0
  for (const row of rows) for (const n of row) length += digits(n) + 1
  return length
}

// Open lanes grow without another check: this leaves room for texts of millions of units, and any hash.
const growing = 5 + 7 + 3 + 3

/** The largest length of the rows as text, as long as no lane begins or ends. */
export const lengthOf = ({ at, ids, items, lanes, open }: Delivered): number => {
  let length = 16 + lengthOfRows(items) + lengthOfRows(lanes) + lengthOfRows(ids) + lengthOfRows(at)
  for (const [place = 0, lane = 0] of open) length += digits(place) + digits(lane) + 2 + growing + 3
  return length
}
