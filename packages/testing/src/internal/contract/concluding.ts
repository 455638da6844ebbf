import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { all, commitOf, factsOf, idOf, type Law, leave, leaveForGood, newRun, plain, range, turnsOf } from "./bench.ts"
import { equal, refused } from "./violation.ts"

const due = Duration.infinity

export const concluding = {
  "a decision for a run that nobody holds is written, and says when the run is work": ({
    advance,
    begin,
    beyond,
    recordOf,
    store,
    ttl,
    work
  }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, commitOf("r-1", 1, { facts: [facts.requested(0)] }))
      yield* store.release(lease, { ...leave, parked: "waits" })
      const before = yield* recordOf("r-1")
      const answer = yield* store.conclude(id, { seen: 1, facts: [facts.ended("cancelled")], due })
      yield* equal(answer.outcome, "written", "the outcome")
      yield* equal(plain(answer.facts), [facts.ended("cancelled")], "the facts from the number on")
      const after = yield* recordOf("r-1")
      const expected = { ...before, due: null, parked: null }
      yield* equal({ ...after, journal: before.journal, updatedAt: before.updatedAt }, expected, "the record")
      yield* equal(plain(after.journal), [facts.requested(0), facts.ended("cancelled")], "the journal")
      yield* equal(yield* work, [], "it is work never again")
      yield* store.conclude(id, { seen: all, facts: [facts.delivered], due: ttl })
      yield* equal(yield* work, [], "it is not work yet")
      yield* advance(beyond)
      yield* equal(yield* work, ["r-1"], "it is work later")
    }),

  "a run that was promised to a worker's consumer is work at once, whatever the decision says": ({
    attempt,
    begin,
    store,
    work
  }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const { facts, lease } = yield* begin("r-1")
      yield* store.release(lease, leave)
      yield* store.release((yield* attempt("worker")).lease, leaveForGood)
      yield* equal(yield* work, [], "it is no work")
      yield* store.conclude(id, { seen: 0, facts: [facts.ended("cancelled")], due })
      yield* equal(yield* work, ["r-1"], "its consumer is still to be told")
    }),

  "a decision for a run that somebody holds is not written": ({ advance, begin, beyond, recordOf, store, ttl }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const { facts, lease } = yield* begin("r-1", "a", ttl)
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0)] })
      const before = yield* recordOf("r-1")
      const held = yield* store.conclude(id, { seen: 0, facts: [facts.ended("failed")], due })
      yield* equal(held, { outcome: "held", facts: before.journal }, "the answer tells the facts all the same")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
      yield* store.commit(lease, { seen: 1, facts: [facts.refused(0)], guard: true })
      yield* advance(beyond)
      const written = yield* store.conclude(id, { seen: 2, facts: [facts.ended("failed")], due })
      yield* equal(written.outcome, "written", "the outcome once the lease ended")
      yield* refused(store.commit(lease, commitOf("r-1", 1)), "LeaseLost", "a commit of who held it")
    }),

  "a decision is not written if facts came that its writer has not seen": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const { facts, lease } = yield* begin("r-1")
      yield* store.release(lease, leaveForGood)
      yield* store.record(id, facts.refused(0), all)
      const before = yield* recordOf("r-1")
      const answer = yield* store.conclude(id, { seen: 0, facts: [facts.ended("failed")], due })
      yield* equal(answer, { outcome: "moved", facts: before.journal }, "the answer")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "a decision that was written is written when repeated, whatever happened since": ({
    acquire,
    begin,
    recordOf,
    store
  }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const { facts, lease } = yield* begin("r-1")
      yield* store.release(lease, leave)
      const conclude = store.conclude(id, { seen: 0, facts: [facts.ended("failed"), facts.delivered], due })
      yield* equal((yield* conclude).outcome, "written", "the outcome")
      yield* store.record(id, facts.cancelRequested, all)
      const recorded = yield* recordOf("r-1")
      yield* equal(yield* conclude, { outcome: "written", facts: recorded.journal }, "once a fact came")
      yield* equal(yield* recordOf("r-1"), recorded, "the run is work as the fact made it")
      yield* acquire("r-1", "b")
      const held = yield* recordOf("r-1")
      yield* equal(yield* conclude, { outcome: "written", facts: held.journal }, "once somebody holds it")
      yield* equal(yield* recordOf("r-1"), held, "who still does")
    }),

  "a decision for a run that is not there, or was created again, is refused": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const over = (facts: ReturnType<typeof factsOf>) =>
        store.conclude(id, { seen: 0, facts: [facts.ended("failed")], due })
      yield* refused(over(factsOf(1)), "Gone", "the run was never there")
      const { facts, lease } = yield* begin("r-1")
      yield* store.remove(lease)
      yield* refused(over(facts), "Gone", "the run was removed")
      yield* store.create(newRun("r-1"))
      const before = yield* recordOf("r-1")
      yield* refused(over(facts), "Gone", "the run was created again")
      yield* equal(yield* recordOf("r-1"), before, "the new run is what it was")
    }),

  "of many who decide at once, one does": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.release(lease, leave)
      const answers = yield* Effect.forEach(
        range(32),
        (turn) => store.conclude(idOf("r-1"), { seen: 0, facts: [facts.requested(turn)], due }),
        { concurrency: "unbounded" }
      )
      const written = answers.flatMap(({ outcome }, turn) => (outcome === "written" ? [turn] : []))
      yield* equal(written.length, 1, "one is written")
      const record = yield* recordOf("r-1")
      yield* equal(turnsOf(record), written, "the journal")
      yield* equal(record.lease, null, "the run is free")
      for (const answer of answers) yield* equal(answer.facts, record.journal, "all are told which one")
    })
} satisfies Record<string, Law>
