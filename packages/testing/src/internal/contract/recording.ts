import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import {
  all,
  commitOf,
  factsOf,
  idOf,
  type Law,
  lasting,
  leaveForGood,
  newRun,
  plain,
  range,
  turnsOf
} from "./bench.ts"
import { equal, refused } from "./violation.ts"

export const recording = {
  "anybody records a fact, and the next commit tells the holder": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* equal((yield* store.commit(lease, commitOf("r-1", 1))).facts, [], "before the fact")
      const answer = yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      yield* equal(plain(answer), [facts.cancelRequested], "the answer")
      yield* equal(yield* store.record(idOf("r-1"), facts.cancelRequested, 0), answer, "the answer once more")
      yield* equal(yield* store.record(idOf("r-1"), facts.cancelRequested, 1), [], "the facts from the next on")
      yield* equal((yield* recordOf("r-1")).journal, answer, "the fact is there once")
      yield* equal((yield* store.commit(lease, commitOf("r-1", 1))).facts, answer, "a commit that changes nothing")
      yield* equal((yield* store.commit(lease, commitOf("r-1", 2))).facts, answer, "and one that does")
      yield* equal((yield* recordOf("r-1")).lease?.owner, "a", "the run is held as before")
    }),

  "a fact is there for who acquires the run later": ({ store }) =>
    Effect.gen(function* () {
      const { record: created } = yield* store.create(newRun("r-1"))
      const facts = factsOf(created.incarnation)
      yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      const { record } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl: lasting })
      yield* equal(plain(record.journal), [facts.cancelRequested], "the fact is in the record")
    }),

  "a fact makes the run work at once, unless it was known": ({ acquire, begin, recordOf, store, work }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.release(lease, { ...leaveForGood, parked: "waits" })
      yield* equal(yield* work, [], "the run is left alone")
      yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      yield* equal(yield* work, ["r-1"], "the run is work")
      const record = yield* recordOf("r-1")
      yield* equal(record.parked, null, "and not parked")
      yield* equal(record.due, record.journal[0]?.at, "since the fact came")
      yield* store.release(yield* acquire("r-1"), { ...leaveForGood, parked: "waits" })
      const before = yield* recordOf("r-1")
      yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      yield* equal(yield* recordOf("r-1"), before, "a fact that is known changes nothing")
    }),

  "a fact of a run that is not there is refused, and its writer told": ({ begin, store }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      const nowhere = factsOf(1).accepted(0, "resp_0")
      const { runId } = yield* refused(store.record(id, nowhere, 0), "Gone", "the run was never there")
      yield* equal(runId, "r-1", "the error names the run")
      const { facts, lease } = yield* begin("r-1")
      yield* store.remove(lease)
      yield* refused(store.record(id, facts.accepted(0, "resp_1"), 0), "Gone", "the run was removed")
      yield* equal((yield* store.read(id))._tag, "None", "and is not there again")
      yield* equal((yield* store.read({ responseId: "resp_1" }))._tag, "None", "nor by the response")
    }),

  "a fact of a run that was created again is refused, and the new run keeps its own": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, incarnation, lease } = yield* begin("r-1")
      yield* store.remove(lease)
      const again = yield* begin("r-1")
      yield* equal(again.incarnation === incarnation, false, "the incarnation is another one")
      const before = yield* recordOf("r-1")
      for (const fact of [facts.accepted(0, "resp_1"), facts.cancelRequested, facts.refused(0)]) {
        yield* refused(store.record(idOf("r-1"), fact, 0), "Gone", `${fact._tag} of the run before`)
      }
      const ahead = factsOf(again.lease.fence + 1000).cancelRequested
      yield* refused(store.record(idOf("r-1"), ahead, 0), "Gone", "a fact of an incarnation that was never given")
      yield* equal(yield* recordOf("r-1"), before, "the new run is what it was")
      yield* store.record(idOf("r-1"), again.facts.cancelRequested, 0)
      yield* equal(plain((yield* recordOf("r-1")).journal), [again.facts.cancelRequested], "its own facts")
    }),

  "facts of an incarnation before a retry are recorded": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const next = factsOf(lease.fence)
      yield* store.commit(lease, { seen: 0, facts: [facts.ended("failed")], guard: true })
      yield* refused(store.record(idOf("r-1"), next.cancelRequested, 0), "Gone", "before the retry")
      yield* store.commit(lease, { seen: 1, facts: [next.retried()], guard: true })
      yield* store.record(idOf("r-1"), facts.accepted(0, "resp_1"), 0)
      yield* store.record(idOf("r-1"), next.cancelRequested, 0)
      // The same fact in two incarnations is two facts.
      yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      yield* equal(
        plain((yield* recordOf("r-1")).journal),
        [
          facts.ended("failed"),
          next.retried(),
          facts.accepted(0, "resp_1"),
          next.cancelRequested,
          facts.cancelRequested
        ],
        "the journal"
      )
    }),

  "a commit after an acknowledged fact always sees it": ({ begin, store }) =>
    Effect.forEach(
      range(32).map((i) => `r-${i}`),
      Effect.fnUntraced(function* (id) {
        const { facts, lease } = yield* begin(id)
        const writer = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3, 4, 5], (ordinal) => store.commit(lease, commitOf(id, ordinal)))
        )
        const told = yield* store.record(idOf(id), facts.cancelRequested, 0)
        yield* equal((yield* store.commit(lease, commitOf(id, 6))).facts, told, "the commit tells the fact")
        yield* Fiber.join(writer)
      }),
      { concurrency: "unbounded", discard: true }
    ),

  "of facts from all sides at once none is lost, and none is there twice": ({ begin, recordOf, store }) =>
    Effect.forEach(
      range(32).map((i) => `r-${i}`),
      Effect.fnUntraced(function* (id) {
        const { facts, lease } = yield* begin(id)
        const commit = (turn: number) =>
          store.commit(lease, commitOf(id, turn, { seen: all, facts: [facts.requested(turn)] }))
        yield* Effect.all(
          [
            commit(1),
            commit(2),
            store.record(idOf(id), facts.requested(2), all),
            store.record(idOf(id), facts.cancelRequested, all),
            commit(3),
            store.record(idOf(id), facts.cancelRequested, all),
            store.record(idOf(id), facts.requested(5), all),
            commit(4)
          ],
          { concurrency: "unbounded" }
        )
        const record = yield* recordOf(id)
        yield* equal(turnsOf(record).toSorted(), [1, 2, 3, 4, 5], "the requests")
        const { journal, ordinal } = record
        yield* equal({ facts: journal.length, ordinal }, { facts: 6, ordinal: 4 }, "the rest")
        yield* equal((yield* store.commit(lease, commitOf(id, 5))).facts, journal, "the next commit tells all")
      }),
      { concurrency: "unbounded", discard: true }
    )
} satisfies Record<string, Law>
