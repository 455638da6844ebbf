import { Result } from "effect"
import type { ModelPart, SnapshotLane } from "../BackgroundModel.ts"
import type { ContinuationToken, Delivered } from "../ContinuationToken.ts"

// What a position knows of the parts delivered so far (see ContinuationToken.Delivered), as pure functions: `advance`
// and `close` follow the live stream, `rest` tells what a snapshot has beyond it.

// A token that holds this much of each stays below a kilobyte.
const maxOpen = 16
const maxRanges = 8
const emptyHash = 0x1c9dc5

type Range = readonly [from: number, to: number]
type Open = Delivered["open"][number]

/** 24 bits of FNV-1a: goes on from the hash of what came before. */
const fold = (hash: number, text: string): number => {
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) & 0xffffff
  }
  return hash
}

// More than a position can hold: what it knows is of no use any more, and is dropped.
const overflowed: Delivered = { items: [], lanes: [], open: [], overflow: true }

export const advance = (delivered: Delivered, { item, lane, part }: ModelPart): Delivered => {
  if (item === undefined || lane === undefined || delivered.overflow) return delivered
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return grow(delivered, item, lane, part.delta.length, part.delta)
    case "text-start":
    case "reasoning-start":
    case "tool-params-start":
      return grow(delivered, item, lane, 0, "")
    case "source":
      return grow(delivered, item, lane, 1, "")
    default:
      return closeLane(delivered, item, lane)
  }
}

/** Why a lane's end contradicts what was delivered of it, if it comes with the whole and does. */
export const contradiction = (delivered: Delivered, { item, lane, part, whole }: ModelPart): string | undefined =>
  whole === undefined || item === undefined || lane === undefined || hasLane(delivered, item, lane)
    ? undefined
    : differing(delivered, item, lane, part, whole)

/** Why the whole of some lanes contradicts what was delivered of those that never ended, if it does. */
export const contradictionIn = (delivered: Delivered, lanes: ReadonlyArray<SnapshotLane>): string | undefined => {
  for (const { item, lane, parts } of lanes) {
    const first = parts[0]
    if (first === undefined || first.type === "source" || find(delivered, item, lane) === undefined) continue
    const why = differing(delivered, item, lane, first, textOf(parts))
    if (why !== undefined) return why
  }
  return undefined
}

const differing = (
  delivered: Delivered,
  item: number,
  lane: number,
  part: ModelPart["part"],
  whole: string
): string | undefined => {
  const [, , count, hash] = find(delivered, item, lane) ?? [item, lane, 0, emptyHash]
  // Parameters that come all at once come with the call itself.
  const isWithCall = count === 0 && part.type.startsWith("tool-params")
  return delivered.overflow || isWithCall || (whole.length === count && fold(emptyHash, whole) === hash)
    ? undefined
    : otherwise(item, lane)
}

const textOf = (parts: SnapshotLane["parts"]): string =>
  parts.map((part) => ("delta" in part ? part.delta : "")).join("")

const otherwise = (item: number, lane: number): string => `part ${lane} of output item ${item} is another text`

/** The item is finished: its lanes need not be known one by one any more. */
export const close = (delivered: Delivered, item: number): Delivered => {
  if (delivered.overflow) return delivered
  const items = addTo(delivered.items, item)
  if (items.length > maxRanges) return overflowed
  return {
    items,
    lanes: delivered.lanes.some(([of]) => of === item)
      ? delivered.lanes.filter(([of]) => of !== item)
      : delivered.lanes,
    open: delivered.open.some(([of]) => of === item) ? delivered.open.filter(([of]) => of !== item) : delivered.open,
    overflow: false
  }
}

const grow = (delivered: Delivered, item: number, lane: number, count: number, text: string): Delivered => {
  const { open } = delivered
  for (let i = 0; i < open.length; i++) {
    const known = open[i]!
    if (known[0] === item && known[1] === lane) {
      const next = open.slice()
      next[i] = [item, lane, known[2] + count, fold(known[3], text)]
      return { items: delivered.items, lanes: delivered.lanes, open: next, overflow: false }
    }
  }
  if (open.length === maxOpen) return overflowed
  return { ...delivered, open: [...open, [item, lane, count, fold(emptyHash, text)]] }
}

const closeLane = (delivered: Delivered, item: number, lane: number): Delivered => {
  const own = delivered.lanes.filter(([of]) => of === item).map(([, from, to]): Range => [from, to])
  const lanes = [
    ...delivered.lanes.filter(([of]) => of !== item),
    ...addTo(own, lane).map(([from, to]) => [item, from, to] as const)
  ]
  if (lanes.length > maxRanges) return overflowed
  return {
    items: delivered.items,
    lanes,
    open: delivered.open.filter((known) => known[0] !== item || known[1] !== lane),
    overflow: false
  }
}

const addTo = (ranges: ReadonlyArray<Range>, value: number): Array<Range> => {
  const merged: Array<Range> = []
  let [from, to] = [value, value]
  for (const range of ranges) {
    if (range[1] < from - 1 || range[0] > to + 1) merged.push(range)
    else {
      from = Math.min(from, range[0])
      to = Math.max(to, range[1])
    }
  }
  merged.push([from, to])
  return merged.toSorted((a, b) => a[0] - b[0])
}

const within = (ranges: ReadonlyArray<Range>, value: number): boolean =>
  ranges.some(([from, to]) => from <= value && value <= to)

const hasItem = (delivered: Delivered, item: number): boolean => within(delivered.items, item)

const hasLane = (delivered: Delivered, item: number, lane: number): boolean =>
  hasItem(delivered, item) || delivered.lanes.some(([of, from, to]) => of === item && from <= lane && lane <= to)

const find = (delivered: Delivered, item: number, lane: number): Open | undefined =>
  delivered.open.find((known) => known[0] === item && known[1] === lane)

/** A part that a snapshot adds, and the item that it finishes, if it is that item's last. */
export interface Missing extends ModelPart {
  readonly closes?: number
}

/** What the snapshot holds beyond what was delivered, or why that cannot be told. */
export const rest = (
  lanes: ReadonlyArray<SnapshotLane>,
  delivered: Delivered
): Result.Result<ReadonlyArray<Missing>, string> => {
  if (delivered.overflow) return Result.fail("more parts were open at once than a position can hold")
  const missing: Array<Missing> = []
  for (const lane of lanes) {
    if (hasLane(delivered, lane.item, lane.lane)) continue
    const known = find(delivered, lane.item, lane.lane)
    const parts = known === undefined ? lane.parts : remainder(lane, known)
    if (parts === undefined) return Result.fail(otherwise(lane.item, lane.lane))
    for (const part of parts) missing.push({ item: lane.item, lane: lane.lane, part })
  }
  const contradicted = delivered.open.find(
    ([item, lane, count]) => count > 0 && !lanes.some((known) => known.item === item && known.lane === lane)
  )
  if (contradicted !== undefined) {
    return Result.fail(`part ${contradicted[1]} of output item ${contradicted[0]} is missing`)
  }
  return Result.succeed(
    missing.map((part, i) => (missing[i + 1]?.item === part.item ? part : { ...part, closes: part.item! }))
  )
}

const remainder = (lane: SnapshotLane, [, , count, hash]: Open): SnapshotLane["parts"] | undefined => {
  const deltas = lane.parts.filter((part) => "delta" in part)
  if (deltas.length === 0 && lane.parts.every((part) => part.type === "source")) {
    return count <= lane.parts.length ? lane.parts.slice(count) : undefined
  }
  const text = textOf(lane.parts)
  if (text.length < count || fold(emptyHash, text.slice(0, count)) !== hash) return undefined
  const end = lane.parts.slice(lane.parts.findLastIndex((part) => "delta" in part || part.type.endsWith("-start")) + 1)
  const first = deltas[0]
  return first === undefined || text.length === count ? end : [{ ...first, delta: text.slice(count) }, ...end]
}

/** Whether everything that `b` has delivered, `a` has too. */
const covers = (a: Delivered, b: Delivered): boolean =>
  !b.overflow &&
  b.items.every((range) => a.items.some(([from, to]) => from <= range[0] && range[1] <= to)) &&
  b.lanes.every(
    ([item, from, to]) =>
      hasItem(a, item) || a.lanes.some(([of, start, end]) => of === item && start <= from && to <= end)
  ) &&
  b.open.every(([item, lane, count]) => hasLane(a, item, lane) || (find(a, item, lane)?.[2] ?? -1) >= count)

/** Whether position `a` lies at or beyond position `b` of the same run. */
export const reaches = (a: ContinuationToken, b: ContinuationToken): boolean => {
  if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation
  if (a.turn !== b.turn) return a.turn > b.turn
  if (a.origin === "stream" && b.origin === "stream") {
    if (a.sequenceNumber !== b.sequenceNumber) return a.sequenceNumber > b.sequenceNumber
    return a.skip === 0 || (b.skip !== 0 && a.skip >= b.skip)
  }
  return covers(a.delivered, b.delivered)
}
