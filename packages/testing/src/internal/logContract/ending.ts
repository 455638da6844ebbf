import type { UpdateLog } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import { range } from "../contract/bench.ts"
import { equal } from "../contract/violation.ts"
import { all, chunkOf, idOf, type Law, row, sizeOf } from "./bench.ts"

const id = idOf("r-1")

const endOf = (from: number, ended: boolean, change: Partial<UpdateLog.Chunk> = {}) =>
  chunkOf(from, { count: 0, ended, body: ended ? "over" : "not over", ...change })

const endedOf = (log: UpdateLog.UpdateLog["Service"]) =>
  Effect.map(log.read(id, { from: 0, limit: all }), ({ ended }) => ended)

export const ends = {
  "a chunk can end the log, with or without updates": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([2]))
      yield* equal(yield* endedOf(log), false, "whether it ended, before the end")
      const last = chunkOf(2, { count: 3, ended: true })
      yield* log.append(id, last)
      const page = yield* log.read(id, { from: 2, limit: all })
      yield* equal(page, { chunks: [last], first: 0, length: 5, ended: true }, "the page after the end")
      yield* equal((yield* log.open(id, 1)).last, last, "the newest chunk")
      const beyond = yield* log.read(id, { from: 5, limit: 1 })
      yield* equal(beyond, { chunks: [], first: 0, length: 5, ended: true }, "the page at the end")
      yield* fill("r-2", [...row([1]), endOf(1, true)])
      const empty = yield* log.read(idOf("r-2"), { from: 0, limit: all })
      yield* equal(
        empty,
        { chunks: row([1]), first: 0, length: 1, ended: true },
        "the page after a chunk without updates"
      )
    }),

  "a chunk without updates takes the end back, and the log goes on": ({ log, pages }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const steps = [
        chunkOf(0, { count: 2, ended: true }),
        endOf(2, false),
        endOf(2, true),
        endOf(2, false),
        chunkOf(2, { count: 4 }),
        endOf(6, true),
        chunkOf(6, { ended: false }),
        endOf(7, true)
      ]
      for (const [i, chunk] of steps.entries()) {
        const sofar = steps.slice(0, i + 1)
        yield* equal(yield* log.append(id, chunk), sizeOf(sofar), `the result of chunk ${i}`)
        yield* equal(yield* endedOf(log), chunk.ended, `whether it ended, after chunk ${i}`)
        const last = { ...sizeOf(sofar), last: chunk }
        yield* equal(yield* log.open(id, 1), last, `the result of open after chunk ${i}`)
      }
      yield* equal(
        yield* pages("r-1", 0, 2),
        steps.filter(({ count }) => count > 0),
        "the chunks with updates"
      )
    }),

  "a higher epoch can take the end back": ({ fill, log }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", [...row([2]), endOf(2, true)])
      yield* equal((yield* log.open(id, 2)).last, chunks[1], "the newest chunk")
      const back = endOf(2, false, { epoch: 2 })
      yield* log.append(id, back)
      yield* equal(yield* endedOf(log), false, "whether it ended")
      yield* equal((yield* log.open(id, 2)).last, back, "the newest chunk after the end was taken back")
    }),

  "a repeated chunk without updates is stored once": ({ log }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const first = endOf(0, true)
      yield* equal(yield* log.append(id, first), sizeOf([first]), "the result in an empty log")
      yield* equal(yield* log.append(id, first), sizeOf([first]), "the result of the repetition")
      const chunk = chunkOf(0, { count: 2 })
      const end = endOf(2, true)
      yield* log.append(id, chunk)
      const answers = yield* Effect.forEach(range(8), () => log.append(id, end), { concurrency: "unbounded" })
      const size = sizeOf([first, chunk, end])
      yield* equal(
        answers,
        range(8).map(() => size),
        "the results of concurrent appends"
      )
      yield* equal(yield* log.open(id, 1), { ...size, last: end }, "the result of open")
    }),

  "a repeated last chunk does not end the log again": ({ log }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const last = chunkOf(0, { count: 2, ended: true })
      yield* log.append(id, last)
      yield* equal(yield* log.append(id, last), sizeOf([last]), "the result of the repetition")
      const back = endOf(2, false)
      yield* log.append(id, back)
      yield* equal(yield* log.append(id, last), sizeOf([last, back]), "the result after the end was taken back")
      yield* equal(yield* endedOf(log), false, "whether it ended")
    })
} satisfies Record<string, Law>
