import { Run, type UpdateLog, UpdateLogError } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ContractViolation } from "../../ContractViolation.ts"
import { equal } from "../contract/violation.ts"

export type Log = UpdateLog.UpdateLog["Service"]
type Chunk = UpdateLog.Chunk

/** How much is asked of the log. */
export interface Terms {
  /** How many chunks are many. */
  readonly chunks: number
}

/** A log, and what the laws do with it all the time. */
export interface Bench extends Terms {
  readonly log: Log
  /** Opens the log of a run and appends these chunks. Answers them. */
  readonly fill: (id: string, chunks: ReadonlyArray<Chunk>) => Effect.Effect<ReadonlyArray<Chunk>, unknown>
  /** All that the log of a run holds, page by page. */
  readonly pages: (id: string, from?: number, limit?: number) => Effect.Effect<ReadonlyArray<Chunk>, unknown>
}

/** A place that a log keeps chunks in, opened as often as wanted: each time until its scope ends. */
export interface Place extends Terms {
  readonly open: Effect.Effect<Bench, unknown, Scope.Scope>
}

/** What holds of every log. */
export type Law = (bench: Bench) => Effect.Effect<unknown, unknown, Scope.Scope>

/** What holds of every place. */
export type PlaceLaw = (place: Place) => Effect.Effect<unknown, unknown, Scope.Scope>

export const idOf = Run.RunId.make

export const chunkOf = (from: number, change: Partial<Chunk> = {}): Chunk => {
  const { count = 1, epoch = 1 } = change
  return { from, count, epoch, ended: false, body: `[${from},${count},"by ${epoch}"]`, ...change }
}

/** Chunks that follow each other, with so many updates each. */
export const row = (counts: ReadonlyArray<number>, change: Partial<Chunk> = {}, from = 0): ReadonlyArray<Chunk> => {
  let at = from
  return counts.map((count) => {
    const chunk = chunkOf(at, { ...change, count })
    at += count
    return chunk
  })
}

/** How many bytes the bodies of these chunks take. */
export const bytesOf = (chunks: ReadonlyArray<Chunk>): number =>
  chunks.reduce((bytes, { body }) => bytes + new TextEncoder().encode(body).length, 0)

/** How many updates a log holds that holds these chunks. */
export const lengthOf = (chunks: ReadonlyArray<Chunk>): number => {
  const last = chunks.at(-1)
  return last === undefined ? 0 : last.from + last.count
}

/** How large a log is that holds these chunks. */
export const sizeOf = (chunks: ReadonlyArray<Chunk>) => ({ length: lengthOf(chunks), bytes: bytesOf(chunks) })

/** More chunks than any page has. */
export const all = 1_000_000

export const make = (log: Log, terms: Terms): Bench => ({
  ...terms,
  log,
  fill: (id, chunks) =>
    Effect.gen(function* () {
      yield* log.open(idOf(id), chunks[0]?.epoch ?? 1)
      yield* Effect.forEach(chunks, (chunk) => log.append(idOf(id), chunk), { discard: true })
      return chunks
    }),
  pages: (id, from = 0, limit = 100) =>
    Effect.gen(function* () {
      const found: Array<Chunk> = []
      let at = from
      while (true) {
        const { chunks, length } = yield* log.read(idOf(id), { from: at, limit })
        const last = chunks.at(-1)
        if (last === undefined) {
          yield* equal(at >= length, true, "a page that does not reach the end holds chunks")
          return found
        }
        yield* equal(chunks.length <= limit, true, "a page holds no more chunks than wanted")
        yield* equal(last.from + last.count > at, true, "each page leads on")
        found.push(...chunks)
        at = last.from + last.count
      }
    })
})

/** Fails unless the chunks follow each other without a gap, and no epoch is below the one before it. */
export const inOrder = (chunks: ReadonlyArray<Chunk>, from = 0): Effect.Effect<void, ContractViolation> =>
  Effect.gen(function* () {
    let at = from
    let epoch = 0
    for (const chunk of chunks) {
      yield* equal(chunk.from, at, "where a chunk begins")
      yield* equal(chunk.epoch >= epoch, true, "epochs never fall")
      at = chunk.from + chunk.count
      epoch = chunk.epoch
    }
  })

/** Fails unless a place that only one can open says that it is open already. */
export const isLocked = (failure: unknown): Effect.Effect<void, ContractViolation> =>
  equal(
    failure instanceof UpdateLogError.UpdateLogError ? failure.kind : failure,
    "locked",
    "the second is refused because the first has the place"
  )
