import * as Effect from "effect/Effect"
import { range } from "../contract/bench.ts"
import { equal, refused } from "../contract/violation.ts"
import { all, chunkOf, idOf, type Law, lengthOf, row } from "./bench.ts"

const id = idOf("r-1")

export const reading = {
  "a page starts with the chunk that contains the wanted update": ({ fill, log }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([3, 1, 5, 2]))
      for (const from of range(lengthOf(chunks))) {
        const { chunks: found, length } = yield* log.read(id, { from, limit: all })
        yield* equal(
          found,
          chunks.filter((chunk) => chunk.from + chunk.count > from),
          `the chunks from ${from}`
        )
        yield* equal(length, 11, "the length")
      }
    }),

  "a page has at most the wanted number of chunks, and leaves out those without updates": ({ fill, log }) =>
    Effect.gen(function* () {
      const back = { count: 0, ended: false, body: "not over" }
      const over = { count: 0, ended: true, body: "over" }
      const [a, b, c, d] = [chunkOf(0, { count: 2 }), chunkOf(2), chunkOf(3, { count: 3 }), chunkOf(6)]
      yield* fill("r-1", [a, chunkOf(2, over), chunkOf(2, back), b, c, chunkOf(6, over), chunkOf(6, back), d])
      for (const [from, limit, expected] of [
        [0, 0, []],
        [0, 1, [a]],
        [0, 2, [a, b]],
        [0, 3, [a, b, c]],
        [1, 2, [a, b]],
        [2, 1, [b]],
        [2, 2, [b, c]],
        [4, 1, [c]],
        [4, 2, [c, d]],
        [6, 2, [d]]
      ] as const) {
        const page = yield* log.read(id, { from, limit })
        const whole = { chunks: expected, first: 0, length: 7, ended: false }
        yield* equal(page, whole, `${limit} chunks from ${from}`)
      }
    }),

  "there are no chunks at the end of a log and after it": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([3, 2]))
      for (const from of [5, 6, 1000]) {
        const page = yield* log.read(id, { from, limit: 10 })
        yield* equal(page, { chunks: [], first: 0, length: 5, ended: false }, `the page from ${from}`)
      }
    }),

  "concurrent reads change nothing": ({ fill, pages }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row(range(100).map((i) => (i % 7) + 1)))
      const found = yield* Effect.forEach(range(32), (i) => pages("r-1", 0, i + 1), { concurrency: "unbounded" })
      for (const one of found) yield* equal(one, chunks, "the chunks of one reader")
      yield* equal(yield* pages("r-1"), chunks, "the chunks after the reads")
    }),

  "a reader of a growing log sees its beginning": ({ chunks: many, log, pages }) =>
    Effect.gen(function* () {
      const written = row(range(Math.min(many, 200)).map((i) => (i % 3) + 1))
      yield* log.open(id, 1)
      const write = Effect.forEach(written, (chunk) => log.append(id, chunk), { discard: true })
      const look = Effect.gen(function* () {
        while (true) {
          const found = yield* pages("r-1", 0, 7)
          yield* equal(found, written.slice(0, found.length), "the chunks so far")
          if (found.length === written.length) return
          yield* Effect.yieldNow
        }
      })
      yield* Effect.all([write, look, look], { concurrency: "unbounded", discard: true })
    }),

  "reading fails if the run has no log": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([1]))
      for (const from of [0, 5]) {
        const { runId } = yield* refused(log.read(idOf("r-2"), { from, limit: 1 }), "LogNotFound", "another run")
        yield* equal(runId, idOf("r-2"), "the run in the error")
      }
    })
} satisfies Record<string, Law>
