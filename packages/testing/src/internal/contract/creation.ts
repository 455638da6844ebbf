import { ContinuationToken } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { all, type Bench, commitOf, factsOf, idOf, type Law, newRun, plain, range } from "./bench.ts"
import { above, equal } from "./violation.ts"

// Checks that each id is a run of its own, with its own position, and that the listing has it.
const apart = Effect.fnUntraced(function* ({ acquire, pages, recordOf, store }: Bench, ids: ReadonlyArray<string>) {
  for (const [i, id] of ids.entries()) {
    const { created } = yield* store.create(newRun(id, { digest: `d-${i}` }))
    yield* equal(created, true, `the run '${id}' is a new one`)
    yield* store.commit(yield* acquire(id), commitOf(id, i + 1))
  }
  for (const [i, id] of ids.entries()) {
    const { digest, ordinal, position, runId } = yield* recordOf(id)
    const found = { digest, ordinal, runId, positionOf: position.runId }
    yield* equal(found, { digest: `d-${i}`, ordinal: i + 1, runId: id, positionOf: id }, `the run '${id}' is itself`)
  }
  const listed = (yield* pages({ limit: 5 })).flat()
  yield* equal(listed.toSorted(), ids.toSorted(), "the listing has each run")
})

export const creation = {
  "a new run is at its start, work at once, and held by nobody": ({ store, work }) =>
    Effect.gen(function* () {
      const run = newRun("r-1", { agentVersion: "2", session: { previousResponseId: "resp_0" } })
      const { created, record } = yield* store.create(run)
      yield* equal(created, true, "the run is created")
      const { createdAt, incarnation } = record
      const expected = {
        version: 2,
        ...run,
        incarnation,
        journal: [],
        position: ContinuationToken.start("analyst", run.runId, incarnation),
        ordinal: 0,
        handled: false,
        attempts: [],
        parked: null,
        due: createdAt,
        lease: null,
        createdAt,
        updatedAt: createdAt
      }
      yield* equal(record, expected, "the record that is created")
      yield* equal(yield* store.read(run.runId), Option.some(expected), "the record that is read")
      yield* equal(yield* work, ["r-1"], "what is work")
    }),

  "a run begins with the facts that it is created with": ({ recordOf, store }) =>
    Effect.gen(function* () {
      const { record } = yield* store.create(newRun("r-1"), {
        facts: [
          { _tag: "Accepted", by: "adopter", turn: 0, responseId: "resp_1", streamed: false },
          { _tag: "CancelRequested", by: "first" },
          { _tag: "CancelRequested", by: "second" }
        ]
      })
      const { createdAt: at, incarnation } = record
      const journal = [
        { _tag: "Accepted", incarnation, by: "adopter", turn: 0, responseId: "resp_1", streamed: false, at },
        { _tag: "CancelRequested", incarnation, by: "first", at }
      ]
      yield* equal(record.journal, journal, "the journal in the answer")
      yield* equal((yield* recordOf("r-1")).journal, journal, "the journal that is read")
      const again = yield* store.create(newRun("r-1"), { facts: [{ _tag: "Ended", by: "late", status: "failed" }] })
      yield* equal(again, { created: false, record }, "facts for a run that is there are not added")
    }),

  "a run is work when its creation says": ({ advance, beyond, pages, recordOf, store, ttl, work }) =>
    Effect.gen(function* () {
      const { record } = yield* store.create(newRun("later"), { due: ttl })
      yield* equal((record.due ?? 0) - record.createdAt, Duration.toMillis(ttl), "how long after its creation")
      yield* store.create(newRun("never"), { due: Duration.infinity })
      yield* equal((yield* recordOf("never")).due, null, "never")
      yield* equal(yield* work, [], "what is work now")
      yield* equal((yield* pages({ limit: 10 })).flat().toSorted(), ["later", "never"], "what is there")
      yield* advance(beyond)
      yield* equal(yield* work, ["later"], "what is work later")
    }),

  "creating it again gives back what is there, and changes nothing": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      yield* store.commit(yield* acquire("r-1"), commitOf("r-1", 3))
      const before = yield* recordOf("r-1")
      const again = yield* store.create(newRun("r-1", { agent: "other", digest: "d-2" }), { due: Duration.infinity })
      yield* equal(again, { created: false, record: before }, "the answer is what is there")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "of many who create a run at once, one does": ({ store }) =>
    Effect.gen(function* () {
      const answers = yield* Effect.forEach(range(64), (i) => store.create(newRun("r-1", { digest: `d-${i}` })), {
        concurrency: "unbounded"
      })
      const winners = answers.filter(({ created }) => created)
      yield* equal(winners.length, 1, "one creates the run")
      const seen = new Set(answers.map(({ record }) => `${record.digest} ${record.incarnation}`))
      const first = winners[0]?.record
      yield* equal([...seen], [`${first?.digest} ${first?.incarnation}`], "all see the run that was created")
    }),

  "an incarnation is given once, and to no lease": ({ acquire, store }) =>
    Effect.gen(function* () {
      const given: Array<number> = []
      for (const _ of range(5)) {
        const { record } = yield* store.create(newRun("r-1"))
        const other = yield* store.create(newRun(`other-${given.length}`))
        const lease = yield* acquire("r-1")
        given.push(record.incarnation, other.record.incarnation, lease.fence)
        yield* store.remove(lease)
      }
      yield* above(given[0] ?? 0, 0, "the first one")
      yield* equal(new Set(given).size, 15, "incarnations and fences are all different")
      yield* equal(
        given,
        given.toSorted((a, b) => a - b),
        "they rise"
      )
    }),

  "an unknown run is none": ({ store }) =>
    Effect.gen(function* () {
      yield* equal(yield* store.read(idOf("nowhere")), Option.none(), "nothing is read")
      yield* equal(yield* store.read({ responseId: "nowhere" }), Option.none(), "nothing is read of a response")
    }),

  "a run is found by each response that it opened, while it is there": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("adopted"), {
        facts: [{ _tag: "Accepted", by: "a", turn: 0, responseId: "resp_1", streamed: false }]
      })
      const committed = yield* begin("committed")
      yield* store.commit(committed.lease, { seen: all, facts: [committed.facts.accepted(0, "resp:2")] })
      yield* store.record(idOf("committed"), committed.facts.accepted(0, "日本語 r", "2"), all)
      yield* store.record(idOf("committed"), committed.facts.cancelSent("resp_3"), all)
      yield* store.record(idOf("committed"), committed.facts.responseEnded(0, "resp_3"), all)
      const of = Effect.fnUntraced(function* (responseId: string, id: string) {
        yield* equal(yield* store.read({ responseId }), Option.some(yield* recordOf(id)), `the run of '${responseId}'`)
      })
      yield* of("resp_1", "adopted")
      yield* of("resp:2", "committed")
      yield* of("日本語 r", "committed")
      yield* equal(yield* store.read({ responseId: "resp_3" }), Option.none(), "a response that no run opened")
      yield* store.remove(committed.lease, { force: true })
      yield* equal(yield* store.read({ responseId: "resp:2" }), Option.none(), "the response of a removed run")
      const again = yield* begin("committed")
      yield* equal(yield* store.read({ responseId: "resp:2" }), Option.none(), "the response of the run before it")
      yield* store.commit(again.lease, { seen: all, facts: [again.facts.accepted(0, "resp_4")] })
      yield* of("resp_4", "committed")
      yield* of("resp_1", "adopted")
    }),

  "a retry keeps the responses of before": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, { seen: all, facts: [facts.accepted(0, "resp_1"), facts.ended("failed")] })
      const next = factsOf(lease.fence)
      yield* store.commit(lease, { seen: all, facts: [next.retried(), next.accepted(0, "resp_2")] })
      const record = yield* recordOf("r-1")
      yield* equal(
        plain(record.journal),
        [facts.accepted(0, "resp_1"), facts.ended("failed"), next.retried(), next.accepted(0, "resp_2")],
        "the journal"
      )
      for (const responseId of ["resp_1", "resp_2"]) {
        yield* equal(yield* store.read({ responseId }), Option.some(record), `the run of '${responseId}'`)
      }
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
