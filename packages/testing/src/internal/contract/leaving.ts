import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { all, idOf, type Law, lasting, leave, leaveForGood } from "./bench.ts"
import { equal } from "./violation.ts"

export const leaving = {
  "who leaves a run says when it is work again": ({ acquire, advance, begin, beyond, recordOf, store, ttl, work }) =>
    Effect.gen(function* () {
      const { lease: a } = yield* begin("now")
      const { lease: b } = yield* begin("later")
      const { lease: c } = yield* begin("never")
      yield* equal(yield* work, [], "held runs are nobody's work")
      yield* store.release(a, leave)
      yield* store.release(b, { ...leave, due: ttl })
      yield* store.release(c, leaveForGood)
      yield* equal(yield* work, ["now"], "at once")
      yield* equal((yield* recordOf("never")).due, null, "never")
      yield* advance(beyond)
      yield* equal((yield* work).toSorted(), ["later", "now"], "later")
      yield* store.release(yield* acquire("now"), leaveForGood)
      yield* equal(yield* work, ["later"], "the last word counts")
    }),

  "a run whose holder died is work once the lease ended": ({ acquire, advance, begin, beyond, store, ttl, work }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      yield* store.release(lease, leaveForGood)
      yield* acquire("r-1", "b", ttl)
      yield* equal(yield* work, [], "while it is held")
      yield* advance(beyond)
      yield* equal(yield* work, ["r-1"], "once the lease ended")
    }),

  "whoever takes a run makes it work, and it is not parked any more": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      yield* store.release(lease, { ...leaveForGood, parked: "waits" })
      const { record } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl: lasting })
      yield* equal({ due: record.due === null, parked: record.parked }, { due: false, parked: null }, "the answer")
      yield* equal(yield* recordOf("r-1"), record, "the record")
    }),

  "to take a run does not move it behind others that were due later": ({
    advance,
    begin,
    beyond,
    recordOf,
    store,
    ttl,
    work
  }) =>
    Effect.gen(function* () {
      const { lease: a } = yield* begin("first")
      yield* store.release(a, leave)
      const before = yield* recordOf("first")
      yield* advance(Duration.millis(5))
      const { lease: b } = yield* begin("second")
      yield* store.release(b, leave)
      yield* advance(Duration.millis(5))
      const { record } = yield* store.acquire(idOf("first"), { owner: "b", ttl })
      yield* equal(record.due, before.due, "since when it is work")
      yield* advance(beyond)
      yield* equal(yield* work, ["first", "second"], "the order")
    }),

  "a run is parked for a reason and since a time": ({ acquire, advance, begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      const { createdAt } = yield* recordOf("r-1")
      yield* advance(Duration.millis(5))
      yield* store.release(lease, { ...leaveForGood, parked: "no such agent" })
      const { parked } = yield* recordOf("r-1")
      yield* equal(parked?.reason, "no such agent", "the reason")
      yield* equal((parked?.at ?? 0) >= createdAt + 5, true, "the time is the store's")
      yield* store.release(yield* acquire("r-1"), { ...leave, parked: "" })
      yield* equal((yield* recordOf("r-1")).parked?.reason, "", "an empty reason is one")
      yield* store.release(yield* acquire("r-1"), leave)
      yield* equal((yield* recordOf("r-1")).parked, null, "without one the run is not parked")
    }),

  "who leaves a run without having seen all its facts leaves it as work": ({ acquire, begin, recordOf, store, work }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const waiting = { due: Duration.infinity, parked: "waits", attempt: "keep" } as const
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0)] })
      yield* store.record(idOf("r-1"), facts.approved("c-1"), all)
      yield* store.release(lease, { ...waiting, seen: 1 })
      yield* equal(yield* work, ["r-1"], "the run is work")
      const { due, lease: none, parked } = yield* recordOf("r-1")
      yield* equal({ due: due === null, none, parked }, { due: false, none: null, parked: null }, "free and not parked")
      yield* store.release(yield* acquire("r-1"), { ...waiting, seen: 2 })
      yield* equal(yield* work, [], "who has seen all is taken at its word")
      yield* equal((yield* recordOf("r-1")).parked?.reason, "waits", "and parks it")
    }),

  "no fact slips between the look and the leaving": ({ begin, store, work }) =>
    Effect.gen(function* () {
      yield* Effect.forEach(
        Array.from({ length: 32 }, (_, i) => `r-${i}`),
        Effect.fnUntraced(function* (id, i) {
          const { facts, lease } = yield* begin(id)
          const go = store.release(lease, { ...leaveForGood, seen: 0 })
          const say = Effect.asVoid(store.record(idOf(id), facts.cancelRequested, 0))
          yield* Effect.all(i % 2 === 0 ? [go, say] : [say, go], { concurrency: "unbounded" })
        }),
        { concurrency: "unbounded", discard: true }
      )
      yield* equal((yield* work).length, 32, "every run is work")
    })
} satisfies Record<string, Law>
