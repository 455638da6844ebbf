import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { all, commitOf, factsOf, idOf, type Law, leave, newRun } from "./bench.ts"
import { equal, refused } from "./violation.ts"

export const removal = {
  "a removed run is gone; removing again is nothing": ({ begin, store, work }) =>
    Effect.gen(function* () {
      const { facts, incarnation, lease } = yield* begin("r-1")
      yield* store.commit(lease, commitOf("r-1", 1, { facts: [facts.cancelRequested] }))
      yield* equal(yield* store.remove(lease), true, "the answer")
      yield* equal(yield* store.remove(lease), true, "the answer once more")
      yield* equal(yield* store.read(idOf("r-1")), Option.none(), "nothing is read")
      yield* equal(yield* store.list({ limit: 10 }), { items: [] }, "nothing is listed")
      yield* equal(yield* work, [], "nothing is work")
      const { created, record } = yield* store.create(newRun("r-1", { digest: "d-2" }))
      const { digest, journal, lease: held, ordinal } = record
      yield* equal(
        { created, digest, held, journal, ordinal },
        { created: true, digest: "d-2", held: null, journal: [], ordinal: 0 },
        "a new run of its name"
      )
      yield* equal(record.incarnation === incarnation, false, "its incarnation is another one")
    }),

  "only who holds a run removes it": ({ acquire, begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { lease: old } = yield* begin("r-1", "a")
      yield* store.release(old, leave)
      yield* refused(store.remove(old, { force: true }), "LeaseLost", "removing by who held it")
      const lease = yield* acquire("r-1", "b")
      yield* refused(store.remove(old, { force: true }), "LeaseLost", "removing while another holds it")
      yield* equal((yield* recordOf("r-1")).lease?.owner, "b", "the run is there")
      yield* equal(yield* store.remove(lease), true, "removing by who holds it")
      yield* equal(yield* store.remove(old), true, "a run that is not there is removed")
    }),

  "a run stays while the outcome of a request is unknown, unless it is forced": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0), facts.requested(0, "2")] })
      yield* store.record(idOf("r-1"), facts.refused(0, "2"), all)
      const before = yield* recordOf("r-1")
      yield* equal(yield* store.remove(lease), false, "the answer")
      yield* equal(yield* store.remove(lease, { force: false }), false, "the answer if it is not forced")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
      const again = yield* begin("r-2")
      yield* store.commit(again.lease, { seen: 0, facts: [again.facts.requested(0)] })
      yield* equal(yield* store.remove(again.lease, { force: true }), true, "the answer if it is forced")
      yield* equal(yield* store.read(idOf("r-2")), Option.none(), "the run is gone")
      yield* store.record(idOf("r-1"), facts.refused(0), all)
      yield* equal(yield* store.remove(lease), true, "the answer once the outcome is known")
    }),

  "a run stays while a response may be running that is no turn's, unless it is forced": ({ begin, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, { seen: 0, facts: [facts.accepted(0, "resp_1")] })
      yield* store.record(idOf("r-1"), facts.accepted(0, "resp_2", "2"), all)
      yield* equal(yield* store.remove(lease), false, "a second response of a turn")
      yield* store.record(idOf("r-1"), facts.cancelSent("resp_2"), all)
      yield* store.commit(lease, { seen: all, facts: [facts.ended("failed")] })
      yield* equal(yield* store.remove(lease), false, "a response without an end in a run that is over")
      const next = factsOf(lease.fence)
      yield* store.commit(lease, { seen: all, facts: [next.retried()] })
      yield* equal(yield* store.remove(lease), false, "a response of before a retry")
      yield* store.record(idOf("r-1"), facts.responseEnded(0, "resp_1"), all)
      yield* equal(yield* store.remove(lease), true, "once all are over")
      const forced = yield* begin("r-2")
      yield* store.commit(forced.lease, { seen: 0, facts: [forced.facts.accepted(0, "resp_3")] })
      yield* store.record(idOf("r-2"), forced.facts.accepted(0, "resp_4", "2"), all)
      yield* equal(yield* store.remove(forced.lease, { force: true }), true, "the answer if it is forced")
    })
} satisfies Record<string, Law>
