import * as Effect from "effect/Effect"
import { equal, refused } from "../contract/violation.ts"
import { bytesOf, chunkOf, idOf, type Law, row, sizeOf } from "./bench.ts"

const id = idOf("r-1")

export const opening = {
  "open creates a log without chunks": ({ log }) =>
    Effect.gen(function* () {
      yield* refused(log.read(id, { from: 0, limit: 10 }), "LogNotFound", "reading before open")
      yield* equal(yield* log.open(id, 3), { length: 0, bytes: 0 }, "the result of open")
      const page = { chunks: [], first: 0, length: 0, ended: false }
      yield* equal(yield* log.read(id, { from: 0, limit: 10 }), page, "the page")
    }),

  "open returns the size of the log and its newest chunk": ({ fill, log }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([3, 1, 64]))
      yield* equal(yield* log.open(id, 2), { ...sizeOf(chunks), last: chunks[2] }, "the result of open")
      const last = chunkOf(68, { count: 0, epoch: 2, ended: true, body: "the end" })
      yield* log.append(id, last)
      const stand = { length: 68, bytes: bytesOf([...chunks, last]), last }
      yield* equal(yield* log.open(id, 3), stand, "the result of open after the end")
    }),

  "open can be repeated with the same epoch": ({ fill, log }) =>
    Effect.gen(function* () {
      const first = yield* log.open(id, 7)
      yield* equal(yield* log.open(id, 7), first, "the result for an empty log")
      const chunks = yield* fill("r-1", row([2, 2], { epoch: 7 }))
      const stand = { ...sizeOf(chunks), last: chunks[1] }
      yield* equal(yield* log.open(id, 7), stand, "the result")
      yield* equal(yield* log.open(id, 7), stand, "the result of the repetition")
      yield* log.append(id, chunkOf(4, { epoch: 7 }))
    }),

  "a lower epoch cannot open a log, and the error has the higher epoch": ({ log }) =>
    Effect.gen(function* () {
      yield* log.open(id, 5)
      const { epoch, runId } = yield* refused(log.open(id, 4), "LogFenced", "opening with a lower epoch")
      yield* equal({ epoch, runId }, { epoch: 5, runId: id }, "the error")
      yield* log.append(id, chunkOf(0, { epoch: 5 }))
      yield* refused(log.open(id, 1), "LogFenced", "opening a log with chunks")
      yield* equal((yield* log.open(id, 5)).length, 1, "the length")
    }),

  "after a higher epoch has opened a log, a lower one appends nothing": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([2, 3]))
      yield* log.open(id, 9)
      const fenced = (from: number, what: string, count = 1) =>
        Effect.gen(function* () {
          const append = log.append(id, chunkOf(from, { count, epoch: 1 }))
          const { epoch, runId } = yield* refused(append, "LogFenced", what)
          yield* equal({ epoch, runId }, { epoch: 9, runId: id }, `the error: ${what}`)
        })
      yield* fenced(5, "the next chunk")
      yield* fenced(0, "a stored chunk", 2)
      yield* fenced(6, "a chunk after the end")
      yield* fenced(5, "a chunk without updates", 0)
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
      const next = chunkOf(5, { epoch: 9 })
      yield* log.append(id, next)
      yield* fenced(6, "the next chunk, later")
      yield* equal(yield* pages("r-1"), [...chunks, next], "the chunks of both epochs")
    }),

  "an append opens a log for its epoch if the epoch has not opened it": ({ log, pages }) =>
    Effect.gen(function* () {
      const first = chunkOf(0, { epoch: 4 })
      yield* equal(yield* log.append(id, first), sizeOf([first]), "the result without a log")
      const told = yield* refused(log.open(id, 3), "LogFenced", "opening with a lower epoch")
      yield* equal(told.epoch, 4, "the epoch of the first chunk")
      const second = chunkOf(1, { epoch: 6 })
      yield* equal(yield* log.append(id, second), sizeOf([first, second]), "the result with a higher epoch")
      const { epoch } = yield* refused(log.append(id, chunkOf(2, { epoch: 5 })), "LogFenced", "an epoch between both")
      yield* equal(epoch, 6, "the epoch of the newest chunk")
      yield* equal(yield* pages("r-1"), [first, second], "the chunks")
    })
} satisfies Record<string, Law>
