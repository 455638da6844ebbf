import type { Segment } from "./segments.ts"

/** A sequence of segments, and how to find an event in it. */
export interface SegmentRow {
  readonly segments: ReadonlyArray<Segment>
  /** How many events there are. */
  readonly length: number
  /** How many events come before a segment. */
  readonly before: (at: number) => number
  /** The segment of an event, and how many events come before that segment. */
  readonly of: (index: number) => readonly [segment: Segment | undefined, before: number]
}

export const make = (segments: ReadonlyArray<Segment>): SegmentRow => {
  const starts: Array<number> = []
  let length = 0
  for (const segment of segments) {
    starts.push(length)
    length += segment.count
  }
  const before = (at: number) => starts[at] ?? 0

  let hint = 0
  const locate = (index: number): number => {
    const inside = (at: number) => {
      const start = starts[at]
      const segment = segments[at]
      return start !== undefined && segment !== undefined && index >= start && index < start + segment.count
    }
    // Events are nearly always read in order.
    if (inside(hint)) return hint
    if (inside(hint + 1)) return ++hint
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (before(middle) <= index) low = middle
      else high = middle - 1
    }
    hint = low
    return low
  }
  return {
    segments,
    length,
    before,
    of: (index) => {
      const at = locate(index)
      return [segments[at], before(at)]
    }
  }
}
