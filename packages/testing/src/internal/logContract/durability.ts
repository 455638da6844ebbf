import * as Effect from "effect/Effect"
import { cut, range } from "../contract/bench.ts"
import { equal, refused } from "../contract/violation.ts"
import {
  all,
  type Bench,
  bytesOf,
  chunkOf,
  idOf,
  inOrder,
  isLocked,
  type Place,
  type PlaceLaw,
  row,
  sizeOf
} from "./bench.ts"

/** Opens the place, uses it, and closes it again. */
export const using = <A, E>(place: Place, use: (bench: Bench) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(place.open, use))

const wide = "é 日本語 👍\n\0"

export const durability = {
  "every change is there after closing and opening again": (place) =>
    Effect.gen(function* () {
      const chunks = [...row([3, 1, 4], { body: wide }), ...row([2, 2], { epoch: 6 }, 8)]
      const end = chunkOf(12, { epoch: 6, count: 0, ended: true, body: "over" })
      yield* using(place, ({ fill, log }) =>
        Effect.gen(function* () {
          yield* fill("whole", chunks.slice(0, 3))
          yield* fill("whole", [...chunks.slice(3), end])
          yield* fill("cut", row([2, 2, 2]))
          yield* log.truncate(idOf("cut"), 4)
          yield* fill("gone", row([2, 2]))
          yield* log.remove(idOf("gone"))
          yield* fill("again", row([2, 2], { epoch: 9 }))
          yield* log.remove(idOf("again"))
          yield* fill("again", row([1]))
          yield* log.open(idOf("empty"), 4)
        })
      )
      for (const round of range(2)) {
        yield* using(place, ({ log, pages }) =>
          Effect.gen(function* () {
            const page = yield* log.read(idOf("whole"), { from: 0, limit: all })
            yield* equal(page, { chunks, first: 0, length: 12, ended: true }, `the page in round ${round + 1}`)
            yield* equal(
              yield* log.open(idOf("whole"), 6),
              { ...sizeOf([...chunks, end]), last: end },
              "the result of open"
            )
            yield* equal(yield* log.append(idOf("whole"), chunks[4]!), sizeOf([...chunks, end]), "a stored chunk")
            yield* equal(yield* log.append(idOf("whole"), end), sizeOf([...chunks, end]), "a stored end")
            const rest = yield* log.read(idOf("cut"), { from: 4, limit: all })
            yield* equal(
              rest,
              { chunks: row([2], {}, 4), first: 4, length: 6, ended: false },
              "the page of the truncated log"
            )
            yield* refused(log.read(idOf("cut"), { from: 3, limit: 1 }), "LogTruncated", "a removed update")
            yield* equal(
              (yield* log.open(idOf("cut"), 1)).bytes,
              bytesOf(row([2], {}, 4)),
              "the size of the truncated log"
            )
            yield* refused(log.read(idOf("gone"), { from: 0, limit: 1 }), "LogNotFound", "the removed log")
            yield* equal(yield* pages("again"), row([1]), "the log that began again")
            yield* equal(yield* log.open(idOf("empty"), 4), { length: 0, bytes: 0 }, "a log without chunks")
          })
        )
      }
    }),

  "epochs are kept after closing, also those that appended nothing": (place) =>
    Effect.gen(function* () {
      yield* using(place, ({ fill, log }) =>
        Effect.gen(function* () {
          yield* fill("r-1", row([2]))
          yield* log.open(idOf("r-1"), 7)
          yield* fill("r-2", row([2], { epoch: 5 }))
          yield* log.open(idOf("r-3"), 3)
        })
      )
      yield* using(place, ({ log }) =>
        Effect.gen(function* () {
          for (const [id, epoch, from] of [
            ["r-1", 7, 2],
            ["r-2", 5, 2],
            ["r-3", 3, 0]
          ] as const) {
            const opening = log.open(idOf(id), epoch - 1)
            yield* equal((yield* refused(opening, "LogFenced", "a lower epoch")).epoch, epoch, `the epoch of ${id}`)
            const append = log.append(idOf(id), chunkOf(from, { epoch: epoch - 1 }))
            yield* refused(append, "LogFenced", "a chunk of a lower epoch")
            yield* log.append(idOf(id), chunkOf(from, { epoch }))
          }
        })
      )
    }),

  "the last operation before closing is kept too": (place) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const chunks = row(range(8).map((i) => i + 1))
      for (const [i, chunk] of chunks.entries()) {
        yield* using(place, ({ log }) => log.open(id, 1))
        yield* using(place, ({ log }) => log.append(id, chunk))
        yield* equal(
          yield* using(place, ({ pages }) => pages("r-1")),
          chunks.slice(0, i + 1),
          `the chunks after chunk ${i}`
        )
      }
      yield* using(place, ({ log }) => log.truncate(id, 10))
      const { first } = yield* using(place, ({ log }) => log.read(id, { from: 10, limit: 1 }))
      yield* equal(first, 10, "the oldest update after truncation")
      yield* using(place, ({ log }) => log.remove(id))
      yield* using(place, ({ log }) =>
        refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading after removal")
      )
    }),

  "an append interrupted before closing stores the whole chunk or nothing, and can be repeated": (place) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      yield* using(place, ({ log }) => log.open(id, 1))
      const chunks = row([1, 2, 3, 1, 2, 3], { body: wide })
      for (const [moment, chunk] of chunks.entries()) {
        yield* using(place, ({ log }) => cut(log.append(id, chunk), moment))
        const found = yield* using(place, ({ pages }) => pages("r-1"))
        yield* equal(
          found,
          chunks.slice(0, found.length > moment ? moment + 1 : moment),
          "all chunks or all but the last"
        )
        yield* using(place, ({ log }) => log.append(id, chunk))
        yield* equal(
          yield* using(place, ({ pages }) => pages("r-1")),
          chunks.slice(0, moment + 1),
          "the chunks after the repetition"
        )
      }
    }),

  "if two processes open the place, the one with the higher epoch writes": (place) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const first = yield* place.open
      const chunks = yield* first.fill("r-1", row([2, 2]))
      const second = yield* Effect.result(place.open)
      // A place that only one process can open keeps the law too.
      if (second._tag === "Failure") return yield* isLocked(second.failure)
      const { log, pages } = second.success
      yield* equal(yield* pages("r-1"), chunks, "the chunks that the second reads")
      yield* log.open(id, 2)
      yield* refused(first.log.append(id, chunkOf(4)), "LogFenced", "the next chunk of the first")
      const next = chunkOf(4, { epoch: 2 })
      yield* log.append(id, next)
      const found = yield* first.pages("r-1")
      yield* inOrder(found)
      yield* equal(found, [...chunks, next], "the chunks that the first reads")
    })
} satisfies Record<string, PlaceLaw>
