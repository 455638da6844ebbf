import * as Effect from "effect/Effect"
import { range } from "../contract/bench.ts"
import { equal, refused } from "../contract/violation.ts"
import { all, bytesOf, chunkOf, idOf, type Law, row, sizeOf } from "./bench.ts"

const id = idOf("r-1")

export const truncating = {
  "the chunks before an offset are removed, and the one that holds it stays": ({ fill, log, pages }) =>
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
        yield* equal(page, whole, `what is left of it before ${before}`)
        const stand = { length: 10, bytes: bytesOf(left), last: chunks[3] }
        yield* equal(yield* log.open(id, 1), stand, `where it stands before ${before}`)
      }
      const next = chunkOf(10)
      const size = { length: 11, bytes: bytesOf([chunkOf(9), next]) }
      yield* equal(yield* log.append(id, next), size, "the answer to the next chunk")
      yield* equal(yield* pages("r-1", 9), [chunkOf(9), next], "the chunks")
    }),

  "whoever asks for an update that was removed is told which is the oldest": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([3, 2, 4]))
      yield* log.truncate(id, 5)
      for (const from of range(5)) {
        const { first, runId } = yield* refused(
          log.read(id, { from, limit: 1 }),
          "LogTruncated",
          `reading from ${from} on`
        )
        yield* equal({ first, runId }, { first: 5, runId: id }, "what is told")
      }
      const { chunks, first } = yield* log.read(id, { from: 6, limit: 1 })
      yield* equal({ chunks, first }, { chunks: row([4], {}, 5), first: 5 }, "what is read from there on")
    }),

  "the newest chunk with updates stays, and so does the length": ({ fill, log }) =>
    Effect.gen(function* () {
      const [, last] = yield* fill("r-1", row([3, 2]))
      const end = chunkOf(5, { count: 0, ended: true, body: "over" })
      const back = chunkOf(5, { count: 0, ended: false, body: "not over" })
      for (const chunk of [end, back, end]) yield* log.append(id, chunk)
      for (const before of [5, 6, 1000]) {
        yield* log.truncate(id, before)
        const page = yield* log.read(id, { from: 3, limit: all })
        yield* equal(page, { chunks: [last], first: 3, length: 5, ended: true }, `what is left before ${before}`)
        const { last: newest, length } = yield* log.open(id, 1)
        yield* equal({ newest, length }, { newest: end, length: 5 }, `where it stands before ${before}`)
      }
      yield* refused(log.append(id, chunkOf(6)), "LogGap", "a chunk beyond the end")
      yield* log.append(id, chunkOf(5))
    }),

  "truncating again does nothing, nor does it without a log": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* log.truncate(id, 10)
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
      const chunks = yield* fill("r-1", row([2, 2, 2, 2]))
      yield* log.truncate(id, 4)
      const before = yield* log.open(id, 1)
      for (const offset of [4, 3, 0]) {
        yield* log.truncate(id, offset)
        yield* equal(yield* log.open(id, 1), before, `where it stands after ${offset}`)
      }
      yield* equal(yield* pages("r-1", 4), chunks.slice(2), "the chunks")
      yield* log.open(idOf("empty"), 1)
      yield* log.truncate(idOf("empty"), 10)
      yield* equal(yield* log.open(idOf("empty"), 1), { length: 0, bytes: 0 }, "a log without chunks")
    }),

  "truncating lets the log grow on, and keeps the fence": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([2, 2], { epoch: 3 }))
      yield* log.open(id, 5)
      yield* log.truncate(id, 2)
      const { epoch } = yield* refused(log.append(id, chunkOf(4, { epoch: 3 })), "LogFenced", "the old epoch")
      yield* equal(epoch, 5, "the epoch that is told")
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
      yield* equal(yield* log.open(id, 5), { length: 44, bytes: bytesOf(left), last: left[3] }, "where it stands")
    })
} satisfies Record<string, Law>

export const removing = {
  "a removed log is gone, and a new one begins anew": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* fill("r-1", [...row([3, 2], { epoch: 8 }), chunkOf(5, { epoch: 8, count: 0, ended: true })])
      yield* log.truncate(id, 3)
      yield* log.remove(id)
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
      yield* equal(yield* log.open(id, 1), { length: 0, bytes: 0 }, "a log that is opened with a lower epoch")
      const page = { chunks: [], first: 0, length: 0, ended: false }
      yield* equal(yield* log.read(id, { from: 0, limit: 1 }), page, "what is read")
      const chunk = chunkOf(0, { count: 4, body: "new" })
      yield* equal(yield* log.append(id, chunk), sizeOf([chunk]), "the answer to its first chunk")
      yield* equal(yield* pages("r-1"), [chunk], "its chunks")
    }),

  "removing again does nothing": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* log.remove(id)
      const others = yield* fill("r-2", row([1, 2]))
      yield* fill("r-1", row([1]))
      yield* log.remove(id)
      yield* log.remove(id)
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
      yield* equal(yield* pages("r-2"), others, "the log of another run")
    }),

  "after a removal a writer that goes on finds a gap": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([3]))
      yield* log.remove(id)
      const { length } = yield* refused(log.append(id, chunkOf(3)), "LogGap", "the next chunk")
      yield* equal(length, 0, "the length that is told")
      yield* refused(log.read(id, { from: 0, limit: 1 }), "LogNotFound", "reading")
    })
} satisfies Record<string, Law>
