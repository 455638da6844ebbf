import * as Effect from "effect/Effect"
import { range } from "../contract/bench.ts"
import { equal, refused } from "../contract/violation.ts"
import { all, chunkOf, idOf, type Law, row } from "./bench.ts"

// Ids that `Run.RunId` allows: some have a meaning elsewhere, some look like each other.
const odd: ReadonlyArray<string> = [
  "r-1",
  "R-1",
  "r-1 ",
  " r-1",
  "r",
  "r-",
  "r-11",
  "r:1",
  "{r}-1",
  "}",
  "*",
  "[r]?-1",
  "r-1:chunks",
  ".",
  "..",
  "\\",
  "\\r\\n",
  '"',
  "'; drop",
  "%2F",
  "%s",
  "$1",
  "0",
  "-1",
  "__proto__",
  "constructor",
  "\ufeff",
  "\u200b",
  "\u2028",
  "é",
  "e\u0301",
  "日本語 👩‍👩‍👧",
  "\u{10ffff}",
  "x".repeat(128),
  "x".repeat(127)
]

export const runs = {
  "the logs of different runs do not mix, whatever their ids": ({ log, pages }) =>
    Effect.gen(function* () {
      const chunksOf = (i: number) =>
        row([1, (i % 5) + 1, 2], { epoch: i + 1 }).map((chunk) => ({ ...chunk, body: `${i}: ${chunk.from}` }))
      yield* Effect.forEach(odd, (id, i) => log.open(idOf(id), i + 1), { concurrency: "unbounded" })
      for (const at of range(3)) {
        const appendTo = (id: string, i: number) => {
          const chunk = chunksOf(i)[at]
          return chunk === undefined ? Effect.void : log.append(idOf(id), chunk)
        }
        yield* Effect.forEach(odd, appendTo, { concurrency: "unbounded" })
      }
      for (const [i, id] of odd.entries()) {
        yield* equal(yield* pages(id), chunksOf(i), `the chunks of '${id}'`)
        if (i === 0) continue
        const { epoch } = yield* refused(log.open(idOf(id), i), "LogFenced", `opening '${id}' with a lower epoch`)
        yield* equal(epoch, i + 1, `the epoch of '${id}'`)
      }
      // A change of one log must not change another.
      for (const [i, id] of odd.entries()) if (i % 3 === 1) yield* log.remove(idOf(id))
      for (const [i, id] of odd.entries()) if (i % 3 === 2) yield* log.truncate(idOf(id), 1)
      for (const [i, id] of odd.entries()) {
        if (i % 3 === 1) {
          yield* refused(log.read(idOf(id), { from: 0, limit: 1 }), "LogNotFound", `reading '${id}'`)
        } else {
          const { chunks } = yield* log.read(idOf(id), { from: i % 3 === 2 ? 1 : 0, limit: all })
          yield* equal(chunks, chunksOf(i).slice(i % 3 === 2 ? 1 : 0), `the chunks that are left of '${id}'`)
        }
      }
    })
} satisfies Record<string, Law>

export const scale = {
  "a log of many chunks is read page by page": ({ chunks: many, log }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      yield* log.open(id, 1)
      const counts = range(many).map((i) => (i % 5) + 1)
      const chunks = row(counts)
      const length = counts.reduce((sum, count) => sum + count, 0)
      yield* Effect.forEach(chunks, (chunk) => log.append(id, chunk), { discard: true })
      const steps = Math.max(1, Math.floor(many / 50))
      for (const i of range(many)) {
        if (i % steps !== 0) continue
        const chunk = chunks[i]!
        const page = yield* log.read(id, { from: chunk.from + chunk.count - 1, limit: 64 })
        const expected = { chunks: chunks.slice(i, i + 64), first: 0, length, ended: false }
        yield* equal(page, expected, `the page from chunk ${i}`)
      }
      const middle = chunks[Math.floor(many / 2)]!
      yield* log.truncate(id, middle.from)
      const { chunks: found, first } = yield* log.read(id, { from: middle.from, limit: 1 })
      yield* equal({ found, first }, { found: [middle], first: middle.from }, "the page after truncation")
      yield* refused(log.read(id, { from: middle.from - 1, limit: 1 }), "LogTruncated", "a removed update")
      yield* log.append(id, chunkOf(length))
    })
} satisfies Record<string, Law>
