import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  all,
  commitOf,
  ending,
  factsOf,
  idOf,
  type Law,
  lasting,
  leave,
  newRun,
  plain,
  range,
  turnsOf,
  writesNothing
} from "./bench.ts"
import { above, equal, refused } from "./violation.ts"

export const leases = {
  "nobody acquires a run that is not there": ({ acquire }) =>
    refused(acquire("nowhere"), "RunNotFound", "the run is not there"),

  "a held run is refused, naming who holds it and until when": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const { lease, record } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl: lasting })
      yield* equal(lease, { runId: "r-1", owner: "a", fence: lease.fence }, "the lease")
      const shown = { owner: "a", fence: lease.fence, expiresAt: record.lease?.expiresAt }
      yield* equal(record.lease, shown, "the record shows the lease")
      yield* equal(yield* recordOf("r-1"), record, "the answer is the record from then on")
      const { owner, until } = yield* refused(acquire("r-1", "b"), "RunLeased", "another holds the run")
      yield* equal({ owner, until }, { owner: "a", until: record.lease?.expiresAt }, "the refusal names the holder")
    }),

  "the same owner acquires again, and holds the same lease": ({ acquire, begin, store }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      yield* equal(yield* acquire("r-1"), lease, "the lease is the same")
      yield* store.commit(lease, commitOf("r-1", 1))
    }),

  "a released run is free; releasing again, or for another, is nothing": ({ acquire, begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { lease: a } = yield* begin("r-1", "a")
      yield* store.release(a, leave)
      yield* store.release(a, leave)
      yield* equal((yield* recordOf("r-1")).lease, null, "the run is free")
      const b = yield* acquire("r-1", "b")
      yield* above(b.fence, a.fence, "a new holder has a higher fence")
      const before = yield* recordOf("r-1")
      yield* store.release(a, { ...leave, due: Duration.infinity, parked: "late" })
      yield* equal(yield* recordOf("r-1"), before, "the holder still holds the run")
      yield* store.commit(b, commitOf("r-1", 1))
      yield* store.release({ runId: idOf("nowhere"), owner: "a", fence: 1 }, leave)
    }),

  "a lease ends with its time": ({ acquire, advance, begin, beyond, recordOf, store, ttl }) =>
    Effect.gen(function* () {
      const { lease: a } = yield* begin("r-1", "a", ttl)
      yield* advance(beyond)
      yield* equal((yield* recordOf("r-1")).lease, null, "the run is free")
      yield* refused(store.commit(a, commitOf("r-1", 1)), "LeaseLost", "a commit after the lease ended")
      yield* refused(store.renew(a, ttl, 0), "LeaseLost", "renewing after the lease ended")
      yield* refused(store.remove(a), "LeaseLost", "removing after the lease ended")
      const b = yield* acquire("r-1", "b")
      yield* above(b.fence, a.fence, "a new holder has a higher fence")
    }),

  "renewing keeps it, and tells the facts that came": ({ acquire, advance, begin, store, ttl }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1", "a", ttl)
      for (const turn of range(4)) {
        yield* advance(Duration.times(ttl, 0.6))
        yield* equal(yield* store.renew(lease, ttl, turn), [], "nothing came")
        yield* store.record(idOf("r-1"), facts.refused(turn), all)
        yield* equal(plain(yield* store.renew(lease, ttl, turn)), [facts.refused(turn)], "what came since")
      }
      const refusals = range(4).map((turn) => facts.refused(turn))
      yield* equal(plain(yield* store.renew(lease, ttl, 0)), refusals, "all facts")
      yield* refused(acquire("r-1", "b"), "RunLeased", "the run is still held")
      yield* store.commit(lease, commitOf("r-1", 1))
    }),

  "acquiring again keeps it too": ({ acquire, advance, begin, store, ttl }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1", "a", ttl)
      for (let i = 0; i < 4; i++) {
        yield* advance(Duration.times(ttl, 0.6))
        yield* equal(yield* acquire("r-1", "a", ttl), lease, "the lease is the same")
      }
      yield* store.commit(lease, commitOf("r-1", 1))
    }),

  "who lost a lease writes nothing, though it is the same owner again": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, begin, beyond, store, ttl } = bench
      const { lease: stale } = yield* begin("r-1", "a", ttl)
      yield* advance(beyond)
      const lease = yield* acquire("r-1", "a")
      yield* above(lease.fence, stale.fence, "the new lease has a higher fence")
      yield* store.commit(lease, commitOf("r-1", 1))
      yield* writesNothing(bench, stale, "the lost")
    }),

  "an old fence commits nothing, however high its ordinal": ({ acquire, begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease: stale } = yield* begin("r-1", "a")
      yield* store.release(stale, leave)
      yield* store.commit(yield* acquire("r-1", "b"), commitOf("r-1", 1))
      const before = yield* recordOf("r-1")
      for (const ordinal of [1, 2, 1_000_000]) {
        const commit = commitOf("r-1", ordinal, { facts: [facts.requested(0), facts.ended("completed")] })
        yield* refused(store.commit(stale, commit), "LeaseLost", `commit ${ordinal} by the lost lease`)
      }
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "who released a lease writes nothing": ({ begin, store, ttl }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      yield* store.release(lease, leave)
      yield* refused(store.commit(lease, commitOf("r-1", 1)), "LeaseLost", "a commit by the released lease")
      yield* refused(store.renew(lease, ttl, 0), "LeaseLost", "renewing the released lease")
      yield* refused(store.remove(lease), "LeaseLost", "removing by the released lease")
    }),

  "a fence never goes back, not even for a run that was removed": ({ begin, store, ttl }) =>
    Effect.gen(function* () {
      let last = 0
      for (let i = 0; i < 5; i++) {
        const { incarnation, lease } = yield* begin("r-1")
        yield* above(incarnation, last, "the incarnation rises")
        yield* above(lease.fence, incarnation, "the fence rises")
        last = lease.fence
        yield* store.remove(lease)
        yield* refused(store.commit(lease, commitOf("r-1", 1)), "LeaseLost", "a commit to a removed run")
        yield* refused(store.renew(lease, ttl, 0), "LeaseLost", "renewing the lease of a removed run")
      }
    }),

  "the lease of a removed run is none of a new run of that name": ({ begin, recordOf, store, ttl }) =>
    Effect.gen(function* () {
      const { lease: stale } = yield* begin("r-1")
      yield* store.remove(stale)
      yield* store.create(newRun("r-1"))
      const before = yield* recordOf("r-1")
      yield* refused(store.commit(stale, commitOf("r-1", 1)), "LeaseLost", "a commit by the old run's lease")
      yield* refused(store.renew(stale, ttl, 0), "LeaseLost", "renewing the old run's lease")
      yield* refused(store.remove(stale), "LeaseLost", "removing by the old run's lease")
      yield* store.release(stale, { ...leave, parked: "late", attempt: "reset" })
      yield* equal(yield* recordOf("r-1"), before, "the new run is what it was")
    }),

  "of many who acquire at once, one does": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      let last = 0
      for (let round = 1; round <= 4; round++) {
        const results = yield* Effect.forEach(range(64), (i) => Effect.result(acquire("r-1", `owner-${i}`)), {
          concurrency: "unbounded"
        })
        const endings = results.map(ending)
        yield* equal(endings.filter((tag) => tag === "Success").length, 1, "one acquires the run")
        yield* equal(endings.filter((tag) => tag === "RunLeased").length, 63, "all others are refused")
        for (const result of results) {
          if (result._tag !== "Success") continue
          const lease = result.success
          yield* above(lease.fence, last, "the fence rises")
          last = lease.fence
          yield* equal((yield* recordOf("r-1")).lease?.owner, lease.owner, "the record names who acquired the run")
          yield* store.commit(lease, commitOf("r-1", round))
          yield* store.release(lease, leave)
        }
      }
    }),

  "only who holds the run writes, however many want to": ({ recordOf, store }) =>
    Effect.gen(function* () {
      const { record: created } = yield* store.create(newRun("r-1"))
      const facts = factsOf(created.incarnation)
      // Each writer adds one to the ordinal that it read under its lease: a write in between would lose a commit.
      const add = (owner: string) =>
        Effect.gen(function* () {
          const { lease, record } = yield* store.acquire(idOf("r-1"), { owner, ttl: lasting })
          yield* Effect.yieldNow
          const next = record.ordinal + 1
          yield* store.commit(lease, commitOf("r-1", next, { facts: [facts.requested(next)] }))
          yield* store.release(lease, leave)
        }).pipe(Effect.retry({ while: (error) => error._tag === "RunLeased", times: 10_000 }))
      yield* Effect.forEach(range(8), (i) => Effect.repeat(add(`owner-${i}`), { times: 3 }), {
        concurrency: "unbounded"
      })
      const record = yield* recordOf("r-1")
      yield* equal(record.ordinal, 32, "every commit counts")
      yield* equal(
        turnsOf(record),
        range(32).map((i) => i + 1),
        "the journal has each commit once, in order"
      )
    })
} satisfies Record<string, Law>
