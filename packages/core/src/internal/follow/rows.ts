import type { Lane, SingleLane, TextLane } from "../../BackgroundModel.ts"
import type { Delivered } from "../../ContinuationToken.ts"
import { nothing } from "../token/tokenRows.ts"

// Pure functions on the rows of a position (see ContinuationToken.Delivered).

export type Open = Delivered["open"][number]
type Witness = readonly [placed: number, texts: number, textSum: number, reasonings: number, reasoningSum: number]

/** The rows after they became too long for a token: they are dropped. */
export const overflowed = (delivered: Delivered): Delivered => ({
  ...nothing,
  calls: delivered.calls,
  overflow: true
})

export const kindOf = (kind: TextLane["kind"]): number => (kind === "text" ? 0 : kind === "reasoning" ? 1 : 2)
export const sources = 3
const single = 4

export const emptyHash = 0x811c9dc5

/** 32-bit FNV-1a as a signed number, continued from the hash of the text before. */
export const foldSigned = (hash: number, text: string): number => {
  let h = hash | 0
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}

/** 32-bit FNV-1a, continued from the hash of the text before. */
export const fold = (hash: number, text: string): number => foldSigned(hash, text) >>> 0

const mix = (a: number, b: number): number => {
  let h = Math.imul(a ^ ((b + 0x9e3779b9) | 0), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

// ---- witnesses

/** The content of one finished lane: its kind, and a hash or a count. */
export interface Content {
  readonly kind: number
  readonly count: number
  readonly hash: number
}

/**
 * Whether a lane says what the provider ran: a call, or a result. Servers may show these differently later, or not at all,
 * so they count as empty in witnesses.
 */
export const isInformation = (lane: Lane): boolean =>
  lane.kind === "single" &&
  (lane.part.type === "tool-result" || (lane.part.type === "tool-call" && lane.part.providerExecuted === true))

/** Whether a lane asks the caller for something: for the result of a call, or for an approval. */
export const asks = (lane: Lane): boolean =>
  lane.kind === "single" &&
  (lane.part.type === "tool-approval-request" || (lane.part.type === "tool-call" && !isInformation(lane)))

const idOf = (part: SingleLane["part"]): string => {
  switch (part.type) {
    case "file":
      return part.data
    case "tool-approval-request":
      return part.approvalId
    default:
      return part.id
  }
}

/** The content of a complete lane. */
export const contentOf = (lane: Lane): Content | undefined => {
  switch (lane.kind) {
    case "text":
    case "reasoning":
    case "params": {
      const text = lane.text.toWellFormed()
      return { kind: kindOf(lane.kind), count: text.length, hash: fold(emptyHash, text) }
    }
    case "single": {
      const text = isInformation(lane) ? "" : idOf(lane.part)
      return { kind: single, count: text.length, hash: fold(emptyHash, text) }
    }
    case "sources":
    case "unread":
      return undefined
  }
}

/** A lane's content without its place. */
export const contentSum = ({ count, hash, kind }: Content): number => mix(mix(hash, count), kind)

const noWitness: Witness = [0, 0, 0, 0, 0]

/** Servers may show sources, calls, approvals and files differently later: they are in no sum that contains a place. */
const placedSum = (place: number, lane: number, content: Content): number =>
  content.count === 0 || content.kind > 2 ? 0 : mix(mix(contentSum(content), place), lane)

/** The sum of lanes at a place. */
export const placedIn = (place: number, lanes: ReadonlyArray<Lane>): number =>
  lanes.reduce((sum, lane) => {
    const content = contentOf(lane)
    return content === undefined ? sum : (sum + placedSum(place, lane.lane, content)) >>> 0
  }, 0)

export const isReasoning = (content: Content): boolean => content.kind === 1

export const holds = (content: Content): boolean => content.count > 0 && content.kind !== sources

const witnessOf = (place: number, lane: number, content: Content): Witness => {
  if (!holds(content)) return noWitness
  const sum = contentSum(content)
  const placed = placedSum(place, lane, content)
  return isReasoning(content) ? [placed, 0, 0, 1, sum] : [placed, 1, sum, 0, 0]
}

const plus = (a: Witness, b: Witness): Witness => [
  (a[0] + b[0]) >>> 0,
  a[1] + b[1],
  (a[2] + b[2]) >>> 0,
  a[3] + b[3],
  (a[4] + b[4]) >>> 0
]

const witnessIn = (row: ReadonlyArray<number>): Witness => row.slice(-5) as unknown as Witness

/** The sum of all finished lanes. */
export const total = ({ items, lanes }: Delivered): Witness =>
  [...items, ...lanes].reduce((sum, row) => plus(sum, witnessIn(row)), noWitness)

// ---- looking up

export const find = (delivered: Delivered, place: number, lane: number): Open | undefined =>
  delivered.open.find((row) => row[0] === place && row[1] === lane)

export const isFinished = (delivered: Delivered, place: number): boolean =>
  delivered.items.some(([from, to]) => from <= place && place <= to)

export const isLaneFinished = (delivered: Delivered, place: number, lane: number): boolean =>
  isFinished(delivered, place) || delivered.lanes.some(([of, from, to]) => of === place && from <= lane && lane <= to)

/** Whether a part of the item at this place was delivered. */
export const hasLanes = (delivered: Delivered, place: number): boolean =>
  delivered.open.some(([of]) => of === place) || delivered.lanes.some(([of]) => of === place)

/** The places of items that have begun and are not finished, in order. */
export const unfinished = ({ ids, lanes, open }: Delivered): ReadonlyArray<number> =>
  [...new Set([...open, ...lanes, ...ids].map(([place]) => place))].toSorted((a, b) => a - b)

/** Whether output was delivered. Reasoning does not count: some servers do not show it later. */
export const holdsOutput = (delivered: Delivered): boolean =>
  delivered.calls ||
  total(delivered)[1] > 0 ||
  delivered.open.some(([, , kind, count]) => kind !== 1 && kind !== sources && count > 0)

// ---- adding

const above = (delivered: Delivered, place: number): number => Math.max(delivered.next, place + 1)

/** An item was mentioned for the first time. */
export const announce = (delivered: Delivered, place: number, idHash: number): Delivered =>
  delivered.ids.some(([of]) => of === place)
    ? delivered
    : { ...delivered, ids: [...delivered.ids, [place, idHash]], next: above(delivered, place) }

/** An index of the provider leads to this place from now on. */
export const lead = (delivered: Delivered, index: number, place: number): Delivered => ({
  ...delivered,
  at: [...delivered.at.filter(([known]) => known !== index), [index, place]],
  next: above(delivered, place)
})

export const openLane = (delivered: Delivered, place: number, lane: number, kind: number): Delivered => ({
  ...delivered,
  open: [...delivered.open, [place, lane, kind, 0, emptyHash, 0]],
  next: above(delivered, place)
})

/** More of an open lane was delivered. */
export const grow = (delivered: Delivered, known: Open, row: Open): Delivered => {
  const open = delivered.open.slice()
  open[delivered.open.indexOf(known)] = row
  return {
    items: delivered.items,
    lanes: delivered.lanes,
    open,
    ids: delivered.ids,
    at: delivered.at,
    next: delivered.next,
    calls: delivered.calls,
    overflow: false
  }
}

type Range = readonly [from: number, to: number, witness: Witness]

/** Merges neighbouring ranges. */
const merged = (ranges: ReadonlyArray<Range>): ReadonlyArray<Range> =>
  ranges
    .toSorted((a, b) => a[0] - b[0])
    .reduce<Array<Range>>((all, range) => {
      const last = all.at(-1)
      if (last !== undefined && last[1] + 1 === range[0]) {
        all[all.length - 1] = [last[0], range[1], plus(last[2], range[2])]
      } else {
        all.push(range)
      }
      return all
    }, [])

/** A lane is finished. */
export const closeLane = (delivered: Delivered, place: number, lane: number, content: Content): Delivered => {
  const own = delivered.lanes.filter(([of]) => of === place)
  const ranges = merged([
    ...own.map((row): Range => [row[1], row[2], witnessIn(row)]),
    [lane, lane, witnessOf(place, lane, content)]
  ])
  return {
    ...delivered,
    lanes: [
      ...delivered.lanes.filter(([of]) => of !== place),
      ...ranges.map(([from, to, witness]) => [place, from, to, ...witness] as const)
    ],
    open: delivered.open.filter((row) => row[0] !== place || row[1] !== lane),
    next: above(delivered, place)
  }
}

/** An item is finished, with all of its lanes: one row replaces theirs. */
export const closeItem = (delivered: Delivered, place: number): Delivered => {
  if (isFinished(delivered, place)) return delivered
  const witness = delivered.lanes
    .filter(([of]) => of === place)
    .reduce((sum, row) => plus(sum, witnessIn(row)), noWitness)
  const ranges = merged([
    ...delivered.items.map((row): Range => [row[0], row[1], witnessIn(row)]),
    [place, place, witness]
  ])
  const other = (row: ReadonlyArray<number>) => row[0] !== place
  return {
    ...delivered,
    items: ranges.map(([from, to, sum]) => [from, to, ...sum] as const),
    lanes: delivered.lanes.filter(other),
    open: delivered.open.filter(other),
    ids: delivered.ids.filter(other),
    // An index leaves a finished place in any case.
    at: delivered.at.filter(([, to]) => to !== place),
    next: above(delivered, place)
  }
}

// ---- comparing

const coversLane = (a: Delivered, [place, from, to]: readonly [number, number, number, ...Array<number>]): boolean =>
  isFinished(a, place) || a.lanes.some(([of, start, end]) => of === place && start <= from && to <= end)

/** Whether `a` contains everything that `b` contains. */
export const covers = (a: Delivered, b: Delivered): boolean =>
  !b.overflow &&
  b.items.every((range) => a.items.some(([from, to]) => from <= range[0] && range[1] <= to)) &&
  b.lanes.every((row) => coversLane(a, row)) &&
  b.open.every(([place, lane, , count]) => isLaneFinished(a, place, lane) || (find(a, place, lane)?.[3] ?? -1) >= count)
