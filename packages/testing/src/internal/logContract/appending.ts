import * as Effect from "effect/Effect"
import { cut, ending, range } from "../contract/bench.ts"
import { equal, refused } from "../contract/violation.ts"
import { all, chunkOf, idOf, inOrder, type Law, lengthOf, row, sizeOf } from "./bench.ts"

const id = idOf("r-1")

const bodies: ReadonlyArray<string> = [
  "",
  " ",
  "\n",
  "two\nlines\r\nand a tab\t",
  "\0",
  "\u0001\u001f\u007f\u0080\u2028\u2029",
  "\ufeffmark \ufffd\uffff",
  'quotes " and \\ and \\" and \\u0000 and %s',
  "é 日本語 👩‍👩‍👧 \u{10ffff}",
  '{"updates":[[0,"text"]]}',
  "[1,2",
  "baton-log/1\n00000000 0 []\n",
  "x".repeat(64 * 1024),
  "👍".repeat(16 * 1024)
]

export const appending = {
  "chunks can be read at once after the append, in order": ({ log, pages }) =>
    Effect.gen(function* () {
      const chunks = [...row([1, 5, 64]), ...row([2, 1], { epoch: 4 }, 70)]
      for (const [i, chunk] of chunks.entries()) {
        yield* log.open(id, chunk.epoch)
        const sofar = chunks.slice(0, i + 1)
        yield* equal(yield* log.append(id, chunk), sizeOf(sofar), `the result of chunk ${i}`)
        const page = yield* log.read(id, { from: 0, limit: all })
        const expected = { chunks: sofar, first: 0, length: lengthOf(sofar), ended: false }
        yield* equal(page, expected, `the page after chunk ${i}`)
      }
      yield* equal(yield* pages("r-1", 0, 2), chunks, "all pages")
    }),

  "every body is read as it was written": ({ log, pages }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const chunks = bodies.map((body, i) => chunkOf(i, { body }))
      for (const [i, chunk] of chunks.entries()) {
        yield* equal(yield* log.append(id, chunk), sizeOf(chunks.slice(0, i + 1)), `the size with body ${i}`)
        const { chunks: found } = yield* log.read(id, { from: i, limit: 1 })
        yield* equal(found[0]?.body, chunk.body, `body ${i}`)
        yield* equal((yield* log.open(id, 1)).last, chunk, `the newest chunk after body ${i}`)
      }
      yield* equal(yield* pages("r-1"), chunks, "all chunks")
    }),

  "large numbers are read as they were written": ({ log, pages }) =>
    Effect.gen(function* () {
      // In some stores fences are times.
      const epoch = 2_000_000_000_000
      const chunks = row([500_000_000, 1, 999_999_999, 2], { epoch })
      yield* log.open(id, epoch)
      for (const chunk of chunks) yield* log.append(id, chunk)
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
      const { chunks: found } = yield* log.read(id, { from: 1_000_000_000, limit: 1 })
      yield* equal(found, [chunks[2]], "the chunk that contains an update")
      const { epoch: told } = yield* refused(log.open(id, epoch - 1), "LogFenced", "the epoch below")
      yield* equal(told, epoch, "the epoch in the error")
    }),

  "a repeated append succeeds and changes nothing": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([2, 3, 1]))
      const [first, second, third] = chunks
      for (const chunk of [third, second, first, third]) {
        if (chunk === undefined) continue
        yield* equal(yield* log.append(id, chunk), sizeOf(chunks), `the result at ${chunk.from}`)
      }
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
      const next = chunkOf(6)
      yield* equal(yield* log.append(id, next), sizeOf([...chunks, next]), "the result of the next chunk")
    }),

  "of many concurrent appends of the same chunk, one is stored": ({ log, pages }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const chunks = row([2, 1, 3])
      for (const [i, chunk] of chunks.entries()) {
        const append = log.append(id, chunk)
        const answers = yield* Effect.forEach(range(8), () => append, { concurrency: "unbounded" })
        yield* equal(
          answers,
          range(8).map(() => sizeOf(chunks.slice(0, i + 1))),
          `the results of chunk ${i}`
        )
      }
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
    }),

  "an interrupted append stores the whole chunk or nothing, and can be repeated": ({ log, pages }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const chunks = row([1, 2, 3, 1, 2, 3, 1, 2])
      for (const [moment, chunk] of chunks.entries()) {
        const before = chunks.slice(0, moment)
        const sofar = chunks.slice(0, moment + 1)
        yield* cut(log.append(id, chunk), moment)
        const found = yield* pages("r-1")
        yield* equal(found, found.length > moment ? sofar : before, "all chunks or all but the last")
        yield* equal(yield* log.append(id, chunk), sizeOf(sofar), "the result of the repetition")
        yield* equal(yield* pages("r-1"), sofar, "the chunks after the repetition")
      }
    }),

  "a chunk after the end of the log is a gap, and the error has the length": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const gap = (from: number, length: number, change: Partial<Parameters<typeof log.append>[1]> = {}) =>
        Effect.gen(function* () {
          const told = yield* refused(log.append(id, chunkOf(from, change)), "LogGap", `a chunk at ${from}`)
          yield* equal({ id: told.runId, length: told.length }, { id, length }, `the error at ${from}`)
        })
      yield* gap(1, 0)
      const chunks = yield* fill("r-1", row([2, 3]))
      yield* gap(6, 5)
      yield* gap(100, 5, { count: 0, ended: true })
      yield* log.open(id, 2)
      yield* gap(6, 5, { epoch: 2 })
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
    }),

  "a chunk before the end with other bounds is a gap": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([4, 4, 4]))
      for (const [from, count] of [
        [0, 3],
        [4, 5],
        [5, 3],
        [6, 1],
        [8, 5],
        [11, 2]
      ] as const) {
        const { length } = yield* refused(
          log.append(id, chunkOf(from, { count })),
          "LogGap",
          `${count} updates at ${from}`
        )
        yield* equal(length, 12, "the length in the error")
      }
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
    }),

  "a chunk before the end where another epoch wrote is refused": ({ fill, log, pages }) =>
    Effect.gen(function* () {
      const chunks = yield* fill("r-1", row([4, 4]))
      yield* log.open(id, 2)
      yield* refused(log.append(id, chunkOf(0, { count: 4, epoch: 2 })), "LogFenced", "in place of the first chunk")
      yield* refused(log.append(id, chunkOf(4, { count: 4, epoch: 2 })), "LogFenced", "in place of the last chunk")
      yield* refused(log.append(id, chunkOf(6, { count: 2, epoch: 2 })), "LogFenced", "inside a chunk")
      yield* equal(yield* pages("r-1"), chunks, "the chunks")
      const next = chunkOf(8, { epoch: 2 })
      yield* log.append(id, next)
      yield* equal(yield* pages("r-1"), [...chunks, next], "the chunks of both epochs")
    }),

  "concurrent writers leave a log without gaps, in which epochs never decrease": ({ log, pages }) =>
    Effect.gen(function* () {
      const perWriter = 12
      // Each writer opens the log with its own epoch, and appends at the end until it is done or fenced.
      const writer = Effect.fnUntraced(function* (epoch: number) {
        const opened = yield* Effect.result(log.open(id, epoch))
        if (opened._tag === "Failure") {
          yield* equal(opened.failure._tag, "LogFenced", "the error of open")
          return []
        }
        const written: Array<Parameters<typeof log.append>[1]> = []
        let at = opened.success.length
        for (const i of range(perWriter)) {
          const chunk = chunkOf(at, { count: (i % 3) + 1, epoch, body: `${epoch}: ${i}` })
          const answer = yield* Effect.result(log.append(id, chunk))
          if (answer._tag === "Failure") {
            yield* equal(ending(answer), "LogFenced", "the error of append")
            break
          }
          written.push(chunk)
          at += chunk.count
          yield* Effect.yieldNow
        }
        return written
      })
      const written = yield* Effect.forEach(range(16), (i) => Effect.andThen(many(i), writer(i + 1)), {
        concurrency: "unbounded"
      })
      const found = yield* pages("r-1")
      yield* inOrder(found)
      yield* equal(
        found,
        written.flat().toSorted((a, b) => a.from - b.from),
        "the chunks whose append succeeded"
      )
      yield* equal((written.at(-1) ?? []).length, perWriter, "the number of chunks of the highest epoch")
    })
} satisfies Record<string, Law>

/** Waits for some turns of the scheduler. */
const many = (times: number) => Effect.repeat(Effect.yieldNow, { times: times * 2 })
