import * as Effect from "effect/Effect"
import { range } from "../contract/bench.ts"
import { equal, refused } from "../contract/violation.ts"
import { all, bytesOf, chunkOf, idOf, type Law, row, sizeOf } from "./bench.ts"

const id = idOf("r-1")

export const truncating = {
  "truncation removes the chunks before an offset, and keeps the one that contains it": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([3, 2, 4, 1]))
      for (const [before, first] of [
        [0, 0],
        [1, 0],
        [2, 0],
        [3, 3],
        [4, 3],
        [2, 3],
        [8, 5],
        [9, 9]
      ] as const) {
        yield* log.truncate(id, before)
        const left = chunks.filter(({ from }) => from >= first)
        const page = yield* log.read(id, { from: first, limit: all })
        const whole = { chunks: left, first, length: 10, ended: false }
        yield* equal(page, whole, `the page after truncation before ${before}`)
        const stand = { length: 10, bytes: bytesOf(left), last: chunks[3] }
        yield* equal(yield* log.open(id, 1), stand, `the result of open after truncation before ${before}`)
      }
      const next = chunkOf(10)
      const size = { length: 11, bytes: bytesOf([chunkOf(9), next]) }
      yield* equal(yield* log.append(id, next), size, "the result of the next chunk")
      yield* equal(yield* pages("r-1", 9), [chunkOf(9), next], "the chunks")
    }),

  "reading a removed update fails with the offset of the oldest one": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([3, 2, 4]))
      yield* log.truncate(id, 5)
      for (const from of range(5)) {
        const { first, runId } = yield* refused(
          log.read(id, { from, limit: 1 }),
          "LogTruncated",
          `reading from ${from}`
        )
        yield* equal({ first, runId }, { first: 5, runId: id }, "the error")
      }
      const { chunks, first } = yield* log.read(id, { from: 6, limit: 1 })
      yield* equal({ chunks, first }, { chunks: row([4], {}, 5), first: 5 }, "the page from the oldest update")
    }),

  "truncation keeps the newest chunk with updates, and the length": ({ fill, log }) =>
    Effect.gen(function* () {
      const [, last] = yield* fill("r-1", row([3, 2]))
      const end = chunkOf(5, { count: 0, ended: true, body: "over" })
      const back = chunkOf(5, { count: 0, ended: false, body: "not over" })
      for (const chunk of [end, back, end]) yield* log.append(id, chunk)
      for (const before of [5, 6, 1000]) {
        yield* log.truncate(id, before)
        const page = yield* log.read(id, { from: 3, limit: all })
        yield* equal(
          page,
          { chunks: [last], first: 3, length: 5, ended: true },
          `the page after truncation before ${before}`
        )
        const { last: newest, length } = yield* log.open(id, 1)
        yield* equal(
          { newest, length },
          { newest: end, length: 5 },
          `the result of open after truncation before ${before}`
        )
      }
      yield* refused(log.append(id, chunkOf(6)), "LogGap", "a chunk after the end")
      yield* log.append(id, chunkOf(5))
    }),

  "truncation can be repeated, and does nothing without a log": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* log.truncate(id, 10)
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
      const chunks = yield* fill("r-1", row([2, 2, 2, 2]))
      yield* log.truncate(id, 4)
      const before = yield* log.open(id, 1)
      for (const offset of [4, 3, 0]) {
        yield* log.truncate(id, offset)
        yield* equal(yield* log.open(id, 1), before, `the result of open after truncation before ${offset}`)
      }
      yield* equal(yield* pages("r-1", 4), chunks.slice(2), "the chunks")
      yield* log.open(idOf("empty"), 1)
      yield* log.truncate(idOf("empty"), 10)
      yield* equal(yield* log.open(idOf("empty"), 1), { length: 0, bytes: 0 }, "a log without chunks")
    }),

  "a truncated log can grow, and keeps its epoch": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([2, 2], { epoch: 3 }))
      yield* log.open(id, 5)
      yield* log.truncate(id, 2)
      const { epoch } = yield* refused(
        log.append(id, chunkOf(4, { epoch: 3 })),
        "LogFenced",
        "a chunk of the old epoch"
      )
      yield* equal(epoch, 5, "the epoch in the error")
      yield* Effect.all(
        [
          Effect.forEach(range(40), (i) => log.append(id, chunkOf(4 + i, { epoch: 5 }))),
          Effect.forEach(range(20), (i) => Effect.andThen(log.truncate(id, 2 * i), Effect.yieldNow))
        ],
        { concurrency: "unbounded" }
      )
      yield* log.truncate(id, 40)
      const left = row(
        range(4).map(() => 1),
        { epoch: 5 },
        40
      )
      yield* equal(yield* pages("r-1", 40), left, "the chunks")
      yield* equal(yield* log.open(id, 5), { length: 44, bytes: bytesOf(left), last: left[3] }, "the result of open")
    })
} satisfies Record<string, Law>

export const removing = {
  "a removed log begins again at offset 0, and any epoch can open it": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* fill("r-1", [...row([3, 2], { epoch: 8 }), chunkOf(5, { epoch: 8, count: 0, ended: true })])
      yield* log.truncate(id, 3)
      yield* log.remove(id)
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
      yield* equal(yield* log.open(id, 1), { length: 0, bytes: 0 }, "the result of open with a lower epoch")
      const page = { chunks: [], first: 0, length: 0, ended: false }
      yield* equal(yield* log.read(id, { from: 0, limit: 1 }), page, "the page")
      const chunk = chunkOf(0, { count: 4, body: "new" })
      yield* equal(yield* log.append(id, chunk), sizeOf([chunk]), "the result of its first chunk")
      yield* equal(yield* pages("r-1"), [chunk], "its chunks")
    }),

  "removal can be repeated, and does nothing without a log": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* log.remove(id)
      const others = yield* fill("r-2", row([1, 2]))
      yield* fill("r-1", row([1]))
      yield* log.remove(id)
      yield* log.remove(id)
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
      yield* equal(yield* pages("r-2"), others, "the log of another run")
    }),

  "a writer that goes on after a removal gets a gap": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([3]))
      yield* log.remove(id)
      const { length } = yield* refused(log.append(id, chunkOf(3)), "LogGap", "the next chunk")
      yield* equal(length, 0, "the length in the error")
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
    })
} satisfies Record<string, Law>
