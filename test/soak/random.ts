/** Chance that is the same for the same seed, however fibers take turns: each decision has a source of its own. */
export interface Chance {
  /** From 0, below 1. */
  readonly next: () => number
  /** A whole number from `from` to `to`, both included. */
  readonly between: (from: number, to: number) => number
  /** True so often out of one. */
  readonly hits: (share: number) => boolean
}

export const chance = (...seed: ReadonlyArray<string | number>): Chance => {
  let state = 0x811c9dc5
  for (const char of seed.join("/")) state = Math.imul(state ^ char.charCodeAt(0), 0x01000193) >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  return {
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    hits: (share) => next() < share
  }
}
