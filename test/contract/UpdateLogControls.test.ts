import { UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Faulty from "../support/faultyLogs.ts"

type Log = Layer.Layer<UpdateLog.UpdateLog, unknown>
type Verdicts = Partial<Record<UpdateLogContract.LawName, string>>

const kept = "kept"
const failed = "The log failed though it must answer"

/** Checks the laws that are named, each by itself: a broken one must say what is wrong in these words. */
const verdicts = (log: Log, expected: Verdicts, options: UpdateLogContract.Options = {}) =>
  Effect.gen(function* () {
    const named = UpdateLogContract.laws({ chunks: 500, ...options }).filter(({ name }) => name in expected)
    const verdict = ({ check, name }: UpdateLogContract.Law) =>
      // Each has a clock of its own, as they are checked at once.
      Effect.provide(check, [Layer.orDie(log), TestClock.layer()], { local: true }).pipe(
        Effect.as(kept),
        Effect.catchTag("ContractViolation", ({ message }) => Effect.succeed(message.split(":")[0])),
        Effect.map((found) => [name, found] as const)
      )
    const found = yield* Effect.forEach(named, verdict, { concurrency: "unbounded" })
    assert.deepStrictEqual(Object.fromEntries(found), expected)
  })

/** Registers the suite with a runner that keeps its tests, and runs the one of this title. */
const suiteOf = (log: Log, options: UpdateLogContract.Options) => {
  const tests = new Map<string, Effect.Effect<void, unknown>>()
  const add = (name: string, body: () => Effect.Effect<void, unknown>) => void tests.set(name, Effect.suspend(body))
  const runner = { describe: (_: string, body: () => void) => body(), it: { effect: add, live: add } }
  UpdateLogContract.suite(runner, "tried", log, options)
  return (title: string) => Effect.result(tests.get(title) ?? Effect.die(`There is no test "${title}"`))
}

const logs: ReadonlyArray<readonly [string, Log, Verdicts]> = [
  [
    "checks no epoch",
    Faulty.unfenced,
    {
      "a lower epoch does not open a log, and is told the higher one": "opening with a lower epoch",
      "a higher epoch opens a log, and from then on a lower one appends nothing": "the next chunk",
      "many writers at once leave a log without gaps, in which epochs never fall":
        "what was acknowledged is there, and nothing else",
      "truncating lets the log grow on, and keeps the fence": "the old epoch",
      "a chunk opens a log with its epoch, if nobody did": "opening with a lower epoch",
      "the same chunk again succeeds and changes nothing": kept
    }
  ],
  [
    "keeps no epoch that appended nothing",
    Faulty.fencedByChunks,
    {
      "a lower epoch does not open a log, and is told the higher one": "opening with a lower epoch",
      "a higher epoch opens a log, and from then on a lower one appends nothing": "the next chunk",
      "a chunk opens a log with its epoch, if nobody did": kept,
      "a chunk below the end, where another epoch wrote, is refused": kept
    }
  ],
  [
    "stores a repeated chunk once more",
    Faulty.repeats,
    {
      "the same chunk again succeeds and changes nothing": "the answer at 5",
      "the same chunk many times at once is there once": "the answers to chunk 0",
      "an append that was given up is there or not, and may be repeated": "the answer once more",
      "what was appended is read at once, whole and in order": kept
    }
  ],
  [
    "stores a repeated end once more",
    Faulty.repeatsEnds,
    {
      "a chunk without updates, repeated, is there once": "the answer in an empty log",
      "the same chunk again succeeds and changes nothing": kept
    }
  ],
  [
    "answers before it stores",
    Faulty.hasty,
    {
      "what was appended is read at once, whole and in order": "what is read after chunk 0",
      "the same chunk again succeeds and changes nothing": failed,
      "opening creates a log without chunks": kept
    }
  ],
  [
    "loses the end",
    Faulty.endless,
    {
      "the last chunk ends a log, with its updates or without": "what is read after it",
      "a chunk without updates takes the end back, and others follow": "whether it ended, after chunk 0",
      "the end is taken back under a higher epoch too": "the newest chunk",
      "what was appended is read at once, whole and in order": kept
    }
  ],
  [
    "removes a chunk too much",
    Faulty.truncatesTooMuch,
    {
      "the chunks before an offset are removed, and the one that holds it stays": failed,
      "truncating again does nothing, nor does it without a log": failed,
      "a removed log is gone, and a new one begins anew": kept
    }
  ],
  [
    "removes nothing",
    Faulty.truncatesNothing,
    {
      "the chunks before an offset are removed, and the one that holds it stays": "what is left of it before 3",
      "whoever asks for an update that was removed is told which is the oldest": "reading from 0 on",
      "the newest chunk with updates stays, and so does the length": "what is left before 5"
    }
  ],
  [
    "closes gaps",
    Faulty.gapless,
    {
      "a chunk beyond the end is a gap, and the writer is told the length": "a chunk at 1",
      "a chunk below the end that was cut otherwise is a gap": "3 updates at 0",
      "after a removal a writer that goes on finds a gap": "the next chunk",
      "a chunk below the end, where another epoch wrote, is refused": kept
    }
  ],
  [
    "changes a body",
    Faulty.trims,
    {
      "a body comes back as it was, whatever text it is": "the size with body 1",
      "what was appended is read at once, whole and in order": kept
    }
  ],
  [
    "counts characters for bytes",
    Faulty.countsCharacters,
    {
      "a body comes back as it was, whatever text it is": "the size with body 5",
      "the chunks before an offset are removed, and the one that holds it stays": "the answer to the next chunk",
      "what was appended is read at once, whole and in order": kept
    }
  ],
  [
    "begins a page too late",
    Faulty.skips,
    {
      "a page begins with the chunk that holds the wanted update": "the chunks from 1 on",
      "a page holds at most so many chunks, and those without updates do not count": "2 chunks from 1 on",
      "what was appended is read at once, whole and in order": kept
    }
  ],
  [
    "mixes runs",
    Faulty.caseless,
    {
      "the logs of different runs do not mix, whatever the runs are called": failed,
      "what other runs say gives no hint": "how many hints of other runs came",
      "what was appended is read at once, whole and in order": kept
    }
  ],
  [
    "keeps the epoch of a removed log",
    Faulty.remembers,
    {
      "a removed log is gone, and a new one begins anew": failed,
      "removing again does nothing": kept
    }
  ],
  [
    "gives all hints, one by one",
    Faulty.floods,
    {
      "many hints that nobody took become few, and one comes after the last chunk": "200 hints of 200 chunks are few",
      "an append gives a hint to all who listen, and the chunk can be read then": kept
    }
  ],
  [
    "gives hints of all runs",
    Faulty.tellsAll,
    {
      "what other runs say gives no hint": "how many hints of other runs came",
      "a removal gives a hint": kept
    }
  ]
]

describe("the contract of update logs", () => {
  for (const [name, log, expected] of logs) {
    it.effect(`notices a log that ${name}`, () => verdicts(log, expected))
  }

  it.effect("notices a log that is gone with its process", () =>
    verdicts(
      UpdateLog.layerMemory,
      {
        "what was answered is there after closing and opening again": failed,
        "the very last answer before the closing counts too": failed,
        "epochs outlive the closing, also those that appended nothing": "a lower epoch",
        "an append that was given up just before the closing is whole or not there, and may be repeated": failed,
        "of two who open the place at once, the one with the higher epoch writes": failed,
        "what was appended is read at once, whole and in order": kept
      },
      { reopen: Faulty.undurable }
    )
  )

  it.effect("notices a log whose epochs are gone with its process", () =>
    verdicts(
      UpdateLog.layerMemory,
      {
        "epochs outlive the closing, also those that appended nothing": "a lower epoch",
        "what was answered is there after closing and opening again": "what was truncated",
        "an append that was given up just before the closing is whole or not there, and may be repeated": kept
      },
      { reopen: Faulty.forgetful }
    )
  )

  it.effect("holds no law of an exception that the log keeps, and none that is not tried", () =>
    Effect.gen(function* () {
      const test = suiteOf(Faulty.trims, {
        except: [
          "a body comes back as it was, whatever text it is",
          "removing again does nothing",
          "the very last answer before the closing counts too"
        ]
      })
      const broken = yield* test("not promised: a body comes back as it was, whatever text it is")
      assert.isTrue(Result.isSuccess(broken))
      const keeps = yield* test("not promised: removing again does nothing")
      assert.isTrue(Result.isFailure(keeps))
      const untried = yield* test("not promised: the very last answer before the closing counts too")
      assert.include(Result.isFailure(untried) ? String(untried.failure) : "", "was not tried")
    })
  )
})
