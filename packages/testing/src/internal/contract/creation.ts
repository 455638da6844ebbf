import { ContinuationToken } from "@effect-baton/core"
import { Effect, Option } from "effect"
import { type Bench, commitOf, idOf, type Law, newRun, range } from "./bench.ts"
import { equal } from "./violation.ts"

// Each of them is a run, gets a position of its own, and is found again.
const apart = Effect.fnUntraced(function* ({ acquire, pages, recordOf, store }: Bench, ids: ReadonlyArray<string>) {
  for (const [i, id] of ids.entries()) {
    const { created } = yield* store.create(newRun(id, { digest: `d-${i}` }))
    yield* equal(created, true, `the run '${id}' is a new one`)
    yield* store.commit(yield* acquire(id), commitOf(id, i + 1))
  }
  for (const [i, id] of ids.entries()) {
    const { digest, ordinal, runId, token } = yield* recordOf(id)
    const found = { digest, ordinal, runId, tokenOf: token?.runId }
    yield* equal(found, { digest: `d-${i}`, ordinal: i + 1, runId: id, tokenOf: id }, `the run '${id}' is itself`)
  }
  const listed = (yield* pages({ limit: 5 })).flat()
  yield* equal(listed.toSorted(), ids.toSorted(), "the listing has each run")
})

export const creation = {
  "a new run is queued, unleased, and at its start": ({ store }) =>
    Effect.gen(function* () {
      const run = newRun("r-1", { agentVersion: "2", session: { previousResponseId: "resp_0" } })
      const { created, record } = yield* store.create(run)
      yield* equal(created, true, "the run is created")
      const expected = {
        version: 1,
        ...run,
        status: "queued",
        ordinal: 0,
        token: ContinuationToken.start("analyst", run.runId),
        journal: [],
        signals: [],
        lease: null,
        attempts: 0,
        setAside: null,
        createdAt: record.createdAt,
        updatedAt: record.createdAt
      }
      yield* equal(record, expected, "the record that is created")
      yield* equal(yield* store.read(run.runId), Option.some(expected), "the record that is read")
    }),

  "creating it again gives back what is there, and changes nothing": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      yield* store.commit(yield* acquire("r-1"), commitOf("r-1", 3))
      const before = yield* recordOf("r-1")
      const again = yield* store.create(newRun("r-1", { agent: "other", digest: "d-2" }))
      yield* equal(again, { created: false, record: before }, "the answer is what is there")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "of many who create a run at once, one does": ({ store }) =>
    Effect.gen(function* () {
      const all = yield* Effect.forEach(range(64), (i) => store.create(newRun("r-1", { digest: `d-${i}` })), {
        concurrency: "unbounded"
      })
      const winners = all.filter(({ created }) => created)
      yield* equal(winners.length, 1, "one creates the run")
      const digests = new Set(all.map(({ record }) => record.digest))
      yield* equal([...digests], [winners[0]?.record.digest], "all see the run that was created")
    }),

  "an unknown run is none": ({ store }) =>
    Effect.gen(function* () {
      yield* equal(yield* store.read(idOf("nowhere")), Option.none(), "nothing is read")
    }),

  "ids may be odd, and stay apart": (bench) =>
    apart(bench, [
      "..",
      ".",
      " ",
      "a b",
      "a",
      "A",
      "a.",
      "{a}",
      "a:b",
      "a*",
      "%2F",
      "C:\\x",
      `'"\``,
      "__proto__",
      "constructor",
      "日本語",
      "é",
      "e\u0301",
      "👩‍👩‍👧",
      "\u2028\u2029",
      "-1",
      "null"
    ]),

  "ids may be as long as they are allowed to be": (bench) =>
    apart(bench, ["x".repeat(128), `${"x".repeat(127)}y`, "\u{1F600}".repeat(32), `${"日".repeat(42)}é`])
} satisfies Record<string, Law>
