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

/** Checks the named laws, each by itself: a broken law must fail with this message. */
const verdicts = (log: Log, expected: Verdicts, options: UpdateLogContract.Options = {}) =>
  Effect.gen(function* () {
    const named = UpdateLogContract.laws({ chunks: 500, ...options }).filter(({ name }) => name in expected)
    const verdict = ({ check, name }: UpdateLogContract.Law) =>
      // The laws are checked concurrently, so each needs its own clock.
      Effect.provide(check, [Layer.orDie(log), TestClock.layer()], { local: true }).pipe(
        Effect.as(kept),
        Effect.catchTag("ContractViolation", ({ message }) => Effect.succeed(message.split(":")[0])),
        Effect.map((found) => [name, found] as const)
      )
    const found = yield* Effect.forEach(named, verdict, { concurrency: "unbounded" })
    assert.deepStrictEqual(Object.fromEntries(found), expected)
  })

/** Registers the suite with a runner that collects its tests. Returns a function that runs the test with a title. */
const suiteOf = (log: Log, options: UpdateLogContract.Options) => {
  const tests = new Map<string, Effect.Effect<void, unknown>>()
  const add = (name: string, body: () => Effect.Effect<void, unknown>) => void tests.set(name, Effect.suspend(body))
  const runner = { describe: (_: string, body: () => void) => body(), it: { effect: add, live: add } }
  UpdateLogContract.suite(runner, "checked", log, options)
  return (title: string) => Effect.result(tests.get(title) ?? Effect.die(`There is no test "${title}"`))
}

const logs: ReadonlyArray<readonly [string, Log, Verdicts]> = [
  [
    "does not check epochs",
    Faulty.unfenced,
    {
      "a lower epoch cannot open a log, and the error has the higher epoch": "opening with a lower epoch",
      "after a higher epoch has opened a log, a lower one appends nothing": "the next chunk",
      "concurrent writers leave a log without gaps, in which epochs never decrease":
        "the chunks whose append succeeded",
      "a truncated log can grow, and keeps its epoch": "a chunk of the old epoch",
      "an append opens a log for its epoch if the epoch has not opened it": "opening with a lower epoch",
      "a repeated append succeeds and changes nothing": kept
    }
  ],
  [
    "forgets epochs that appended nothing",
    Faulty.fencedByChunks,
    {
      "a lower epoch cannot open a log, and the error has the higher epoch": "opening with a lower epoch",
      "after a higher epoch has opened a log, a lower one appends nothing": "the next chunk",
      "an append opens a log for its epoch if the epoch has not opened it": kept,
      "a chunk before the end where another epoch wrote is refused": kept
    }
  ],
  [
    "stores a repeated chunk again",
    Faulty.repeats,
    {
      "a repeated append succeeds and changes nothing": "the result at 5",
      "of many concurrent appends of the same chunk, one is stored": "the results of chunk 0",
      "an interrupted append stores the whole chunk or nothing, and can be repeated": "the result of the repetition",
      "chunks can be read at once after the append, in order": kept
    }
  ],
  [
    "stores a repeated end again",
    Faulty.repeatsEnds,
    {
      "a repeated chunk without updates is stored once": "the result in an empty log",
      "a repeated append succeeds and changes nothing": kept
    }
  ],
  [
    "reports a chunk as stored before it is",
    Faulty.hasty,
    {
      "chunks can be read at once after the append, in order": "the page after chunk 0",
      "a repeated append succeeds and changes nothing": failed,
      "open creates a log without chunks": kept
    }
  ],
  [
    "loses the end",
    Faulty.endless,
    {
      "a chunk can end the log, with or without updates": "the page after the end",
      "a chunk without updates takes the end back, and the log goes on": "whether it ended, after chunk 0",
      "a higher epoch can take the end back": "the newest chunk",
      "chunks can be read at once after the append, in order": kept
    }
  ],
  [
    "truncates one chunk too many",
    Faulty.truncatesTooMuch,
    {
      "truncation removes the chunks before an offset, and keeps the one that contains it": failed,
      "truncation can be repeated, and does nothing without a log": failed,
      "a removed log begins again at offset 0, and any epoch can open it": kept
    }
  ],
  [
    "truncates nothing",
    Faulty.truncatesNothing,
    {
      "truncation removes the chunks before an offset, and keeps the one that contains it":
        "the page after truncation before 3",
      "reading a removed update fails with the offset of the oldest one": "reading from 0",
      "truncation keeps the newest chunk with updates, and the length": "the page after truncation before 5"
    }
  ],
  [
    "closes gaps",
    Faulty.gapless,
    {
      "a chunk after the end of the log is a gap, and the error has the length": "a chunk at 1",
      "a chunk before the end with other bounds is a gap": "3 updates at 0",
      "a writer that goes on after a removal gets a gap": "the next chunk",
      "a chunk before the end where another epoch wrote is refused": kept
    }
  ],
  [
    "changes a body",
    Faulty.trims,
    {
      "every body is read as it was written": "the size with body 1",
      "chunks can be read at once after the append, in order": kept
    }
  ],
  [
    "counts characters instead of bytes",
    Faulty.countsCharacters,
    {
      "every body is read as it was written": "the size with body 5",
      "truncation removes the chunks before an offset, and keeps the one that contains it":
        "the result of the next chunk",
      "chunks can be read at once after the append, in order": kept
    }
  ],
  [
    "starts a page too late",
    Faulty.skips,
    {
      "a page starts with the chunk that contains the wanted update": "the chunks from 1",
      "a page has at most the wanted number of chunks, and leaves out those without updates": "2 chunks from 1",
      "chunks can be read at once after the append, in order": kept
    }
  ],
  [
    "mixes runs",
    Faulty.caseless,
    {
      "the logs of different runs do not mix, whatever their ids": failed,
      "changes of other runs give no hint": "the number of hints of other runs",
      "chunks can be read at once after the append, in order": kept
    }
  ],
  [
    "keeps the epoch of a removed log",
    Faulty.remembers(UpdateLog.layerMemory),
    {
      "a removed log begins again at offset 0, and any epoch can open it": failed,
      "removal can be repeated, and does nothing without a log": kept
    }
  ],
  [
    "gives every hint one by one",
    Faulty.floods,
    {
      "hints that a listener has not taken become few, and one comes after the last chunk":
        "200 hints for 200 chunks are few",
      "an append gives a hint to every listener, which can then read the chunk": kept
    }
  ],
  [
    "gives hints for other runs",
    Faulty.tellsAll,
    {
      "changes of other runs give no hint": "the number of hints of other runs",
      "a removal gives a hint": kept
    }
  ]
]

describe("the contract of update logs", () => {
  for (const [name, log, expected] of logs) {
    it.effect(`notices a log that ${name}`, () => verdicts(log, expected))
  }

  it.effect("notices a log that ends with its process", () =>
    verdicts(
      UpdateLog.layerMemory,
      {
        "every change is there after closing and opening again": failed,
        "the last operation before closing is kept too": failed,
        "epochs are kept after closing, also those that appended nothing": "a lower epoch",
        "an append interrupted before closing stores the whole chunk or nothing, and can be repeated": failed,
        "if two processes open the place, the one with the higher epoch writes": failed,
        "chunks can be read at once after the append, in order": kept
      },
      { reopen: Faulty.undurable }
    )
  )

  it.effect("notices a log whose epochs end with its process", () =>
    verdicts(
      UpdateLog.layerMemory,
      {
        "epochs are kept after closing, also those that appended nothing": "a lower epoch",
        "every change is there after closing and opening again": "the page of the truncated log",
        "an append interrupted before closing stores the whole chunk or nothing, and can be repeated": kept
      },
      { reopen: Faulty.forgetful }
    )
  )

  const forgetting = (layer: Log): UpdateLogContract.Options => ({
    retention: { retention: "1 hour", layer: Effect.succeed(layer) }
  })
  const inMemory = UpdateLog.memory({ retention: "1 hour" })
  for (const [name, log, expected] of [
    [
      "is never removed",
      UpdateLog.memory({ retention: "Infinity" }),
      {
        "a log is kept for its retention after it was last opened or appended to, and then removed": "reading 'silent'",
        "after its retention a log begins again at offset 0, and any epoch can open it": "the next chunk"
      }
    ],
    [
      "is removed too early",
      UpdateLog.memory({ retention: "30 minutes" }),
      {
        "a log is kept for its retention after it was last opened or appended to, and then removed": failed,
        "after its retention a log begins again at offset 0, and any epoch can open it": kept
      }
    ],
    [
      "is kept by its readers",
      Faulty.keptByReaders(inMemory),
      { "reads, truncations and repeated chunks do not keep a log": "reading 'r-1'" }
    ],
    [
      "keeps the epoch of a log whose retention has ended",
      Faulty.remembers(inMemory),
      { "after its retention a log begins again at offset 0, and any epoch can open it": failed }
    ]
  ] satisfies ReadonlyArray<readonly [string, Log, Verdicts]>) {
    it.effect(`notices a log that ${name}`, () => verdicts(UpdateLog.layerMemory, expected, forgetting(log)))
  }

  it.effect("an exception fails if the log keeps the law, or if the law is not checked", () =>
    Effect.gen(function* () {
      const test = suiteOf(Faulty.trims, {
        except: [
          "every body is read as it was written",
          "removal can be repeated, and does nothing without a log",
          "the last operation before closing is kept too"
        ]
      })
      const broken = yield* test("not promised: every body is read as it was written")
      assert.isTrue(Result.isSuccess(broken))
      const keeps = yield* test("not promised: removal can be repeated, and does nothing without a log")
      assert.isTrue(Result.isFailure(keeps))
      const untried = yield* test("not promised: the last operation before closing is kept too")
      assert.include(Result.isFailure(untried) ? String(untried.failure) : "", "was not checked")
    })
  )
})
