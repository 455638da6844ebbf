import { Run, type UpdateLog, UpdateLogError } from "@effect-baton/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ContractViolation } from "../../ContractViolation.ts"
import { equal } from "../contract/violation.ts"

export type Log = UpdateLog.UpdateLog["Service"]
type Chunk = UpdateLog.Chunk

/** The sizes of the laws, and how time passes for the log. */
export interface Terms {
  /** The number of chunks in the laws on many chunks. */
  readonly chunks: number
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
}

/** A log, and the operations that many laws need. */
export interface Bench extends Terms {
  readonly log: Log
  /** Opens the log of a run and appends these chunks. Returns them. */
  readonly fill: (id: string, chunks: ReadonlyArray<Chunk>) => Effect.Effect<ReadonlyArray<Chunk>, unknown>
  /** The chunks of a log from an offset, page by page. */
  readonly pages: (id: string, from?: number, limit?: number) => Effect.Effect<ReadonlyArray<Chunk>, unknown>
}

/** A place where a log keeps its chunks. `open` opens it, as often as needed, until the scope ends. */
export interface Place extends Terms {
  readonly open: Effect.Effect<Bench, unknown, Scope.Scope>
}

/** A law that every log must keep. */
export type Law = (bench: Bench) => Effect.Effect<unknown, unknown, Scope.Scope>

/** A law that every place must keep. */
export type PlaceLaw = (place: Place) => Effect.Effect<unknown, unknown, Scope.Scope>

export const idOf = Run.RunId.make

export const chunkOf = (from: number, change: Partial<Chunk> = {}): Chunk => {
  const { count = 1, epoch = 1 } = change
  return { from, count, epoch, ended: false, body: `[${from},${count},"by ${epoch}"]`, ...change }
}

/** Chunks that follow each other, with these numbers of updates. */
export const row = (counts: ReadonlyArray<number>, change: Partial<Chunk> = {}, from = 0): ReadonlyArray<Chunk> => {
  let at = from
  return counts.map((count) => {
    const chunk = chunkOf(at, { ...change, count })
    at += count
    return chunk
  })
}

/** The size of the bodies of these chunks, in bytes. */
export const bytesOf = (chunks: ReadonlyArray<Chunk>): number =>
  chunks.reduce((bytes, { body }) => bytes + new TextEncoder().encode(body).length, 0)

/** The length of a log with these chunks. */
export const lengthOf = (chunks: ReadonlyArray<Chunk>): number => {
  const last = chunks.at(-1)
  return last === undefined ? 0 : last.from + last.count
}

/** The length and size of a log with these chunks. */
export const sizeOf = (chunks: ReadonlyArray<Chunk>) => ({ length: lengthOf(chunks), bytes: bytesOf(chunks) })

/** As `limit`: more chunks than any log has. */
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
          yield* equal(at >= length, true, "a page before the end of the log has chunks")
          return found
        }
        yield* equal(chunks.length <= limit, true, "a page has no more chunks than wanted")
        yield* equal(last.from + last.count > at, true, "each page goes further")
        found.push(...chunks)
        at = last.from + last.count
      }
    })
})

/** Checks that chunks follow each other without a gap, and that epochs never decrease. */
export const inOrder = (chunks: ReadonlyArray<Chunk>, from = 0): Effect.Effect<void, ContractViolation> =>
  Effect.gen(function* () {
    let at = from
    let epoch = 0
    for (const chunk of chunks) {
      yield* equal(chunk.from, at, "the offset of a chunk")
      yield* equal(chunk.epoch >= epoch, true, "epochs never decrease")
      at = chunk.from + chunk.count
      epoch = chunk.epoch
    }
  })

/** Checks that a place was refused because another process has it open. */
export const isLocked = (failure: unknown): Effect.Effect<void, ContractViolation> =>
  equal(
    failure instanceof UpdateLogError.UpdateLogError ? failure.kind : failure,
    "locked",
    "the second is refused because the first has the place open"
  )
