import type { Lane, ModelSnapshot, SnapshotItem, TextLane } from "../../BackgroundModel.ts"
import type { Delivered } from "../../ContinuationToken.ts"
import * as Rows from "./rows.ts"
import type { Telling } from "./telling.ts"

// Continues from the delivered updates with a whole response, as its last event or a retrieval shows it. If its places
// agree with the delivered ones, they are used; else its texts are matched in their order.

/**
 * How a whole response relates to the delivered updates: they were found in it, it shows no output, or the two cannot be
 * compared.
 */
export type Match = "found" | "nothing" | "unlike"

interface Assigned {
  readonly place: number
  readonly lane: Lane
}

/** The lanes of an item, and its place if it has one of its own. */
interface Plan {
  readonly lanes: ReadonlyArray<Assigned>
  readonly place: number | undefined
}

const isUnread = ({ lanes, unread }: SnapshotItem): boolean =>
  unread === true || lanes.some(({ kind }) => kind === "unread")

const isText = (lane: Lane): lane is TextLane =>
  lane.kind === "text" || lane.kind === "reasoning" || lane.kind === "params"

const textOf = (lane: Lane): string => ("text" in lane ? lane.text.toWellFormed() : "")

/** Whether a lane has the kind and the beginning of an open lane. */
const beginsWith = (lane: Lane, [, , kind, count, hash]: Rows.Open): boolean => {
  if (!("text" in lane) || Rows.kindOf(lane.kind) !== kind) return false
  const text = textOf(lane)
  return text.length >= count && Rows.fold(Rows.emptyHash, text.slice(0, count)) === hash
}

/** The content of a lane; undefined if it is empty. */
const heldBy = (lane: Lane): Rows.Content | undefined => {
  const content = Rows.contentOf(lane)
  return content !== undefined && Rows.holds(content) ? content : undefined
}

/** The number and the sum of the texts, calls and files in these lanes. */
const heldIn = (lanes: ReadonlyArray<Lane>): readonly [count: number, sum: number] => {
  let [count, sum] = [0, 0]
  for (const lane of lanes) {
    const content = heldBy(lane)
    if (content === undefined || Rows.isReasoning(content)) continue
    count += 1
    sum = (sum + Rows.contentSum(content)) >>> 0
  }
  return [count, sum]
}

/**
 * Whether each place of the whole response contains what was delivered there. Calls and files are in no sum that contains a
 * place, and an empty item that is no longer shown moves them: `isExact` therefore requires the same ones. Some servers
 * show them differently later, or not at all: without `isExact` it is enough that there are no more of them, and an item at
 * each place.
 */
const agreesByPlace = (
  { items, lanes, open }: Delivered,
  whole: ReadonlyArray<SnapshotItem>,
  isExact: boolean
): boolean => {
  const agrees = (own: ReadonlyArray<Lane>, count: number, sum: number) => {
    const [shown, shownSum] = heldIn(own)
    return isExact ? shown === count && shownSum === sum : shown <= count
  }
  return (
    items.every(([from, to, placed, count, sum]) => {
      const own = whole.slice(from, to + 1)
      if (own.some(isUnread)) return true
      return (
        placed === own.reduce((total, item, i) => (total + Rows.placedIn(from + i, item.lanes)) >>> 0, 0) &&
        (isExact || whole.length > to) &&
        agrees(
          own.flatMap((item) => item.lanes),
          count,
          sum
        )
      )
    }) &&
    lanes.every(([place, from, to, placed, count, sum]) => {
      const item = whole[place]
      if (item !== undefined && isUnread(item)) return true
      const own = item?.lanes.filter(({ lane }) => from <= lane && lane <= to) ?? []
      return placed === Rows.placedIn(place, own) && agrees(own, count, sum)
    }) &&
    open.every((row) => {
      const [place, lane, kind, count] = row
      const item = whole[place]
      if (kind === Rows.sources || item?.unread === true) return true
      const own = item?.lanes.find((of) => of.lane === lane)
      if (own === undefined) return count === 0
      return own.kind === "unread" || beginsWith(own, row)
    })
  )
}

/** Whether a call or a file is new at its place. If others are not at their places, it may be one of those. */
const bringsSingles = (delivered: Delivered, whole: ReadonlyArray<SnapshotItem>): boolean =>
  whole.some(({ lanes }, place) =>
    lanes.some(
      (lane) => lane.kind === "single" && !Rows.isInformation(lane) && !Rows.isLaneFinished(delivered, place, lane.lane)
    )
  )

const byPlace = (
  delivered: Delivered,
  whole: ReadonlyArray<SnapshotItem>,
  isExact: boolean
): ReadonlyArray<Plan> | undefined =>
  agreesByPlace(delivered, whole, isExact) && (isExact || !bringsSingles(delivered, whole))
    ? whole.map(({ lanes }, place) => ({ place, lanes: lanes.map((lane) => ({ place, lane })) }))
    : undefined

interface Numbered {
  readonly item: number
  readonly lane: Lane
  readonly content: Rows.Content
}

/** The number of these lanes that were delivered to their end, if those are the first of them. */
const finishedOf = (
  delivered: Delivered,
  lanes: ReadonlyArray<Numbered>,
  withReasoning: boolean
): number | undefined => {
  const [, texts, textSum, reasonings, reasoningSum] = Rows.total(delivered)
  const count = withReasoning ? texts + reasonings : texts
  const first = lanes.slice(0, count)
  if (first.length < count) return undefined
  const sumOf = (reasoning: boolean) =>
    first.reduce(
      (sum, { content }) => (Rows.isReasoning(content) === reasoning ? (sum + Rows.contentSum(content)) >>> 0 : sum),
      0
    )
  return sumOf(false) === textSum && (!withReasoning || sumOf(true) === reasoningSum) ? count : undefined
}

/** The places of announced items without content, in order. */
const emptyPlaces = (delivered: Delivered): ReadonlyArray<number> =>
  Rows.unfinished(delivered).filter(
    (place) =>
      delivered.lanes.every(([of, , , , texts, , reasonings]) => of !== place || texts + reasonings === 0) &&
      delivered.open.every(([of, , kind, count]) => of !== place || kind === Rows.sources || count === 0)
  )

/** Whether the open lanes at a place can be the beginning of these lanes. */
const fitsInto = (delivered: Delivered, place: number, lanes: ReadonlyArray<Lane>): boolean =>
  delivered.open.every(
    ([of, lane, kind]) =>
      of !== place ||
      kind === Rows.sources ||
      lanes.some((own) => own.lane === lane && "text" in own && Rows.kindOf(own.kind) === kind)
  ) && lanes.every((lane) => heldBy(lane) === undefined || !Rows.isLaneFinished(delivered, place, lane.lane))

/** The place of an unfinished item whose finished lanes are exactly these. */
const begunWith = (
  delivered: Delivered,
  lanes: ReadonlyArray<Lane>,
  taken: ReadonlySet<number>
): number | undefined => {
  if (lanes.length === 0) return undefined
  const sum = lanes.reduce((total, lane) => (total + Rows.contentSum(Rows.contentOf(lane)!)) >>> 0, 0)
  return Rows.unfinished(delivered).find((place) => {
    if (taken.has(place)) return false
    const own = delivered.lanes.filter(([of]) => of === place)
    return own.length > 0 && own.reduce((total, row) => (total + row[5] + row[7]) >>> 0, 0) === sum
  })
}

const byOrder = (delivered: Delivered, whole: ReadonlyArray<SnapshotItem>): ReadonlyArray<Plan> | undefined => {
  if (whole.some(isUnread)) return undefined
  const all = whole.flatMap(({ lanes }, item) =>
    lanes.flatMap((lane): ReadonlyArray<Numbered> => {
      const content = heldBy(lane)
      return content === undefined ? [] : [{ item, lane, content }]
    })
  )
  // Some servers do not show reasoning at the end.
  const withReasoning = all.some(({ content }) => Rows.isReasoning(content))
  const count = finishedOf(delivered, all, withReasoning)
  if (count === undefined) return undefined

  const begun = delivered.open
    .filter(([, , kind, length]) => kind !== Rows.sources && length > 0 && (withReasoning || kind !== 1))
    .toSorted((a, b) => a[0] - b[0] || a[1] - b[1])
  const going = all.slice(count, count + begun.length)
  if (going.length < begun.length || going.some(({ lane }, i) => !beginsWith(lane, begun[i]!))) return undefined

  const old = new Set(all.slice(0, count).map(({ lane }) => lane))
  const rows = new Map(going.map(({ lane }, i) => [lane, begun[i]!]))
  const places = new Map(going.map(({ item }, i) => [item, begun[i]![0]]))
  // Items finish in their order: of two with the same content, the later one is the open one.
  for (const [item, { lanes }] of [...whole.entries()].toReversed()) {
    if (places.has(item)) continue
    const own = lanes.filter((lane) => old.has(lane))
    const place = begunWith(delivered, own, new Set(places.values()))
    if (place !== undefined) places.set(item, place)
  }
  const free = [...emptyPlaces(delivered)]
  let { next } = delivered
  const plans: Array<Plan> = []
  for (const [item, { lanes }] of whole.entries()) {
    const isNew = lanes.some((lane) => !old.has(lane) && heldBy(lane) !== undefined)
    const known = places.get(item)
    const at = known === undefined && isNew ? free.findIndex((of) => fitsInto(delivered, of, lanes)) : -1
    const [place = isNew ? next++ : undefined] = known === undefined && at >= 0 ? free.splice(at, 1) : [known]
    if (place === undefined) {
      plans.push({ place, lanes: [] })
      continue
    }
    const assigned = lanes.flatMap((lane): ReadonlyArray<Assigned> => {
      if (old.has(lane)) return []
      const row = rows.get(lane)
      return [{ place, lane: row === undefined ? lane : { ...lane, lane: row[1] } }]
    })
    const collides = assigned.some(({ lane }) => !rowsHave(rows, place, lane.lane) && isTaken(delivered, place, lane))
    if (collides) return undefined
    plans.push({ place, lanes: assigned })
  }
  return plans
}

const rowsHave = (rows: ReadonlyMap<Lane, Rows.Open>, place: number, lane: number): boolean =>
  [...rows.values()].some((row) => row[0] === place && row[1] === lane)

/** Whether a new text would get the place of a delivered one. */
const isTaken = (delivered: Delivered, place: number, lane: Lane): boolean => {
  if (!isText(lane)) return false
  if (Rows.isLaneFinished(delivered, place, lane.lane)) return textOf(lane) !== ""
  const row = Rows.find(delivered, place, lane.lane)
  return row !== undefined && row[2] !== Rows.kindOf(lane.kind)
}

/** Adds the missing parts of a response that has ended, and ends all open lanes. */
export const tellEnd = (
  telling: Telling,
  snapshot: Pick<ModelSnapshot, "items" | "status">,
  how: {
    /** The whole is the last event of a stream that was read from its beginning. */
    readonly seen: boolean
    /** The missing parts were added already: only open lanes must end. */
    readonly isTold: boolean
  }
): Match => {
  const { isTold, seen } = how
  const { delivered } = telling
  const { items, status } = snapshot
  const isWhole = status === "completed" || status === "incomplete"
  const shows = items.some(({ lanes, unread }) => unread === true || !lanes.every(Rows.isInformation))
  const isUnknown = delivered.overflow
  const hides = !shows && Rows.holdsOutput(delivered)
  const plans =
    isUnknown || hides
      ? undefined
      : (byPlace(delivered, items, true) ?? byOrder(delivered, items) ?? byPlace(delivered, items, false))
  let match: Match = "found"
  if (plans === undefined) {
    match = shows ? "unlike" : "nothing"
    const isMissing = isUnknown ? !seen : shows || !seen
    if (isWhole && isMissing && !isTold) {
      telling.divergence ??= isUnknown
        ? "more parts of it were open at once than a position can hold, so its stream can no longer be read"
        : shows
          ? "its output differs from what was delivered"
          : "it shows no output, although some was delivered"
      return match
    }
  } else if (!isTold) {
    for (const { lanes, place } of plans) {
      for (const assigned of lanes) telling.rest(assigned.place, assigned.lane, true)
      if (telling.divergence !== undefined) return match
      if (place !== undefined && !Rows.isFinished(telling.delivered, place)) telling.close(place)
    }
  }
  // Each text that ends changes the comparison with the whole: after a cut here, it must not be made again.
  telling.statement++
  for (const place of Rows.unfinished(telling.delivered)) telling.close(place)
  return match
}

/** Adds the new parts in a snapshot of a response that is under way, if its places agree with the delivered ones. */
export const tellProgress = (telling: Telling, { items }: Pick<ModelSnapshot, "items">): void => {
  if (telling.delivered.overflow) return
  for (const [place, item] of (byPlace(telling.delivered, items, true) === undefined ? [] : items).entries()) {
    if (item.unread === true || Rows.isFinished(telling.delivered, place)) continue
    for (const lane of item.lanes) telling.rest(place, lane, item.done)
    if (item.done && item.lanes.length > 0) telling.close(place)
  }
}
