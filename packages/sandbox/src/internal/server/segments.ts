/** Consecutive events of one type, rendered from their position. */
export interface Segment {
  readonly count: number
  readonly type: string
  readonly paced: boolean
  readonly ephemeral: boolean
  /** The output item of these events, and what they are about. */
  readonly item?: { readonly index: number; readonly tells: "added" | "delta" | "citation" | "done" }
  /** `offset` counts from the start of the segment as it was first made. */
  readonly json: (sequence: number, offset: number) => string
  readonly offset: number
}

export const single = (
  type: string,
  fields: () => { readonly [key: string]: unknown },
  item?: Segment["item"]
): Segment => ({
  count: 1,
  type,
  paced: false,
  ephemeral: false,
  offset: 0,
  json: (sequence) => JSON.stringify({ type, sequence_number: sequence, ...fields() }),
  ...(item === undefined ? {} : { item })
})

/** The same events, each of which waits for the pace. */
export const paced = (segment: Segment): Segment => ({ ...segment, paced: true })

const total = (segments: ReadonlyArray<Segment>): number => segments.reduce((sum, segment) => sum + segment.count, 0)

const part = (segment: Segment, from: number, count: number): Segment => ({
  ...segment,
  offset: segment.offset + from,
  count
})

/** The first `count` events. */
export const take = (segments: ReadonlyArray<Segment>, count: number): ReadonlyArray<Segment> => {
  const out: Array<Segment> = []
  let left = count
  for (const segment of segments) {
    if (left <= 0) break
    out.push(segment.count <= left ? segment : part(segment, 0, left))
    left -= segment.count
  }
  return out
}

/** Inserts `inserted` after every `every` events, but never after the last event. */
export const interleave = (
  segments: ReadonlyArray<Segment>,
  every: number,
  inserted: Segment
): ReadonlyArray<Segment> => {
  const out: Array<Segment> = []
  const end = total(segments)
  let position = 0
  for (const segment of segments) {
    let from = 0
    while (from < segment.count) {
      const count = Math.min(segment.count - from, every - (position % every))
      out.push(part(segment, from, count))
      from += count
      position += count
      if (position % every === 0 && position < end) out.push(inserted)
    }
  }
  return out
}
