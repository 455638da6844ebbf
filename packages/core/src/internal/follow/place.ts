import type { ItemRef, Statement } from "../../BackgroundModel.ts"
import type { Delivered } from "../../ContinuationToken.ts"
import * as Rows from "./rows.ts"

/** The place of the item that a statement is about, and the rows after it was found. */
export interface Found {
  readonly place: number
  readonly delivered: Delivered
}

const isEnd = ({ _tag }: Statement): boolean => _tag === "LaneEnded" || _tag === "ItemDone"

/** The lane and the kind of a text that a statement begins or continues. */
const textIn = (statement: Statement): { readonly lane: number; readonly kind: number } | undefined => {
  switch (statement._tag) {
    case "Delta":
      return { lane: statement.lane, kind: Rows.kindOf(statement.kind) }
    case "LaneStarted":
      return { lane: statement.lane.lane, kind: Rows.kindOf(statement.lane.kind) }
    case "PartAdded":
      return { lane: statement.lane.lane, kind: statement.lane.kind === "sources" ? Rows.sources : -1 }
    default:
      return undefined
  }
}

/** Whether a statement cannot be about the item at this place. */
const isAnother = (delivered: Delivered, statement: Statement, index: number, place: number): boolean => {
  if (Rows.isFinished(delivered, place)) return true
  if (delivered.at.some(([from, to]) => to === place && from !== index)) return true
  if (statement._tag === "ItemAdded") return Rows.hasLanes(delivered, place)
  const text = textIn(statement)
  const known = text === undefined ? undefined : Rows.find(delivered, place, text.lane)
  return known !== undefined && text !== undefined && known[2] !== text.kind
}

const byIndex = (delivered: Delivered, statement: Statement, index: number, again: boolean): Found | undefined => {
  const place = delivered.at.find(([from]) => from === index)?.[1] ?? index
  if (again || !isAnother(delivered, statement, index, place)) return { place, delivered }
  // A second end of a finished item adds nothing. If it belongs to another item, the end of the response adds that.
  if (isEnd(statement) && Rows.isFinished(delivered, place)) return undefined
  const taken = delivered.next
  return { place: taken, delivered: Rows.lead(delivered, index, taken) }
}

const hashOfId = (itemId: string): number => Rows.fold(Rows.emptyHash, itemId) || 1

const byId = (delivered: Delivered, statement: Statement, itemId: string | undefined): Found | undefined => {
  const hash = itemId === undefined ? 0 : hashOfId(itemId)
  const known = hash === 0 ? undefined : delivered.ids.find(([, id]) => id === hash)
  if (known !== undefined) return { place: known[0], delivered }
  const last = statement._tag === "ItemAdded" ? undefined : Rows.unfinished(delivered).at(-1)
  if (last !== undefined) return { place: last, delivered }
  if (isEnd(statement)) return undefined
  const place = delivered.next
  return { place, delivered: Rows.announce(delivered, place, hash) }
}

/**
 * Finds the place of the item that a statement is about; undefined for an item that is finished. An index leads to a new
 * place once the item there is finished, is added a second time, or holds a lane of another kind. With `again`, the
 * statement was partly delivered before, and has its place already.
 */
export const find = (delivered: Delivered, statement: Statement & ItemRef, again: boolean): Found | undefined => {
  const { index, itemId } = statement
  const found = index === undefined ? byId(delivered, statement, itemId) : byIndex(delivered, statement, index, again)
  if (found === undefined || index === undefined || statement._tag !== "ItemAdded") return found
  return { place: found.place, delivered: Rows.announce(found.delivered, found.place, 0) }
}
