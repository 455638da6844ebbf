import * as Effect from "effect/Effect"
import { all, commitOf, idOf, type Law, plain, range, turnsOf } from "./bench.ts"
import { equal } from "./violation.ts"

export const guards = {
  "a guarded commit writes nothing if facts came that its writer has not seen": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const over = { facts: [facts.refused(0), facts.ended("failed")], guard: true }
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0)], guard: true })
      yield* store.record(idOf("r-1"), facts.refused(0), all)
      const before = yield* recordOf("r-1")
      const moved = yield* store.commit(lease, commitOf("r-1", 1, { ...over, seen: 1 }))
      yield* equal(moved.outcome, "moved", "the outcome")
      yield* equal(plain(moved.facts), [facts.refused(0)], "the facts that came")
      yield* equal(yield* recordOf("r-1"), before, "neither facts nor position were written")
      const written = yield* store.commit(lease, commitOf("r-1", 1, { ...over, seen: 2 }))
      yield* equal(written.outcome, "written", "the outcome once they were seen")
      yield* equal(plain(written.facts), [facts.ended("failed")], "the fact that was not there yet")
      yield* equal((yield* recordOf("r-1")).ordinal, 1, "the position")
    }),

  "a guard keeps a position by itself away too": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.record(idOf("r-1"), facts.cancelRequested, all)
      const before = yield* recordOf("r-1")
      const { outcome } = yield* store.commit(lease, commitOf("r-1", 1, { guard: true }))
      yield* equal(outcome, "moved", "the outcome")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
      yield* store.commit(lease, commitOf("r-1", 1, { guard: true, seen: 1 }))
      yield* equal((yield* recordOf("r-1")).ordinal, 1, "the position once the fact was seen")
    }),

  "a guarded commit that was written is written when repeated, whatever came since": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const commit = commitOf("r-1", 1, { facts: [facts.requested(0)], guard: true })
      yield* store.commit(lease, commit)
      yield* store.record(idOf("r-1"), facts.cancelRequested, all)
      const before = yield* recordOf("r-1")
      const again = yield* store.commit(lease, commit)
      yield* equal(again, { outcome: "written", facts: before.journal }, "the answer tells what came since")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "without a guard facts of others keep nothing away": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.record(idOf("r-1"), facts.cancelRequested, all)
      const { outcome } = yield* store.commit(lease, commitOf("r-1", 1, { facts: [facts.requested(0)] }))
      yield* equal(outcome, "written", "the outcome")
      const { journal, ordinal } = yield* recordOf("r-1")
      yield* equal({ facts: journal.length, ordinal }, { facts: 2, ordinal: 1 }, "the record")
    }),

  "of many decisions at once that rest on the same facts, one is written": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const answers = yield* Effect.forEach(
        range(32),
        (turn) => store.commit(lease, { seen: 0, facts: [facts.requested(turn)], guard: true }),
        { concurrency: "unbounded" }
      )
      const written = answers.flatMap(({ outcome }, turn) => (outcome === "written" ? [turn] : []))
      yield* equal(written.length, 1, "one is written")
      const { journal } = yield* recordOf("r-1")
      yield* equal(turnsOf({ journal }), written, "the journal")
      for (const answer of answers) yield* equal(answer.facts, journal, "all are told which one")
    }),

  "no fact slips between the look and the write of a decision": ({ begin, recordOf, store }) =>
    Effect.forEach(
      range(32).map((i) => `r-${i}`),
      Effect.fnUntraced(function* (id, i) {
        const { facts, lease } = yield* begin(id)
        const decide = store.commit(lease, { seen: 0, facts: [facts.ended("failed")], guard: true })
        const say = store.record(idOf(id), facts.cancelRequested, 0)
        const [answer] =
          i % 2 === 0
            ? yield* Effect.all([decide, say], { concurrency: "unbounded" })
            : (yield* Effect.all([say, decide], { concurrency: "unbounded" })).toReversed()
        const tags = (yield* recordOf(id)).journal.map(({ _tag }) => _tag)
        const outcome = answer !== undefined && "outcome" in answer ? answer.outcome : undefined
        const expected = outcome === "written" ? ["Ended", "CancelRequested"] : ["CancelRequested"]
        yield* equal(tags, expected, `the journal after '${outcome}'`)
      }),
      { concurrency: "unbounded", discard: true }
    )
} satisfies Record<string, Law>
