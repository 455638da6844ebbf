import type { Place, RunId } from "../../Run.ts"

// Chunks are small enough to be moved at once, and large enough that there are few of them.
const most = 512

/** Ids of runs, ordered by a number. A run can be in it once for each number. */
export class Ordered {
  private readonly chunks: Array<Array<Place>> = []
  private count = 0

  get size(): number {
    return this.count
  }

  add(at: number, id: RunId): void {
    const place = { at, id }
    this.count++
    const of = Math.max(0, this.chunkOf(place))
    const chunk = this.chunks[of]
    if (chunk === undefined) {
      this.chunks.push([place])
      return
    }
    chunk.splice(indexIn(chunk, place), 0, place)
    if (chunk.length > most) this.chunks.splice(of + 1, 0, chunk.splice(most / 2))
  }

  delete(at: number, id: RunId): void {
    const place = { at, id }
    const of = this.chunkOf(place)
    const chunk = this.chunks[of]
    if (chunk === undefined) return
    const index = indexIn(chunk, place)
    if (chunk[index]?.id !== id || chunk[index].at !== at) return
    chunk.splice(index, 1)
    this.count--
    if (chunk.length === 0) this.chunks.splice(of, 1)
  }

  /** The places after this one, or all of them. */
  *after(place?: Place): Generator<Place> {
    const begin = place === undefined ? 0 : Math.max(0, this.chunkOf(place))
    for (let of = begin; of < this.chunks.length; of++) {
      for (const each of this.chunks[of]!) if (place === undefined || isBefore(place, each)) yield each
    }
  }

  /** The last chunk that begins at a place or before it; -1 if none does. */
  private chunkOf(place: Place): number {
    let low = 0
    let high = this.chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (isBefore(place, this.chunks[middle]![0]!)) high = middle
      else low = middle + 1
    }
    return low - 1
  }
}

const isBefore = (a: Place, b: Place): boolean => a.at < b.at || (a.at === b.at && a.id < b.id)

/** The first index whose place is not before this one. */
const indexIn = (chunk: ReadonlyArray<Place>, place: Place): number => {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (isBefore(chunk[middle]!, place)) low = middle + 1
    else high = middle
  }
  return low
}
