import * as Effect from "effect/Effect"
import { type Bench, commitOf, idOf, type Law, lasting, leave, newRun, range } from "./bench.ts"
import { above, equal, refused } from "./violation.ts"

const steal = ({ store }: Bench, owner: string) =>
  Effect.map(store.acquire(idOf("r-1"), { owner, ttl: lasting, steal: true }), ({ lease }) => lease)

export const stealing = {
  "who steals a held run holds it, and the old holder has lost it": (bench) =>
    Effect.gen(function* () {
      const { acquire, begin, recordOf, store, ttl } = bench
      const { lease: old } = yield* begin("r-1", "a")
      yield* store.commit(old, commitOf("r-1", 1))
      const lease = yield* steal(bench, "b")
      yield* above(lease.fence, old.fence, "the fence rises")
      const before = yield* recordOf("r-1")
      yield* equal(before.lease?.owner, "b", "the record names the new holder")
      yield* equal(before.ordinal, 1, "what the old holder wrote is there")
      yield* refused(store.commit(old, commitOf("r-1", 2)), "LeaseLost", "a commit by the old holder")
      yield* refused(store.renew(old, ttl, 0), "LeaseLost", "renewing by the old holder")
      yield* refused(store.remove(old), "LeaseLost", "removing by the old holder")
      yield* refused(acquire("r-1", "a"), "RunLeased", "acquiring by the old holder")
      yield* store.release(old, leave)
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
      yield* store.commit(lease, commitOf("r-1", 2))
    }),

  "who steals what it holds keeps its lease": (bench) =>
    Effect.gen(function* () {
      const { begin, store } = bench
      const { lease } = yield* begin("r-1", "a")
      yield* equal(yield* steal(bench, "a"), lease, "the lease is the same")
      const stolen = yield* steal(bench, "b")
      yield* equal(yield* steal(bench, "b"), stolen, "the lease that was stolen is the same")
      yield* store.commit(stolen, commitOf("r-1", 1))
    }),

  "to steal a free run is to acquire it": (bench) =>
    Effect.gen(function* () {
      const { acquire, store } = bench
      yield* refused(steal(bench, "a"), "RunNotFound", "the run is not there")
      yield* store.create(newRun("r-1"))
      const a = yield* steal(bench, "a")
      yield* refused(acquire("r-1", "b"), "RunLeased", "the run is held")
      yield* store.release(a, leave)
      const b = yield* steal(bench, "b")
      yield* above(b.fence, a.fence, "a new holder has a higher fence")
      yield* store.commit(b, commitOf("r-1", 1))
    }),

  "of many who steal a run at once, the last holds it": (bench) =>
    Effect.gen(function* () {
      const { recordOf, store } = bench
      yield* store.create(newRun("r-1"))
      const leases = yield* Effect.forEach(range(32), (i) => steal(bench, `owner-${i}`), { concurrency: "unbounded" })
      const byFence = leases.toSorted((a, b) => b.fence - a.fence)
      yield* equal(new Set(leases.map(({ fence }) => fence)).size, 32, "each has a fence of its own")
      const [last, ...lost] = byFence
      yield* equal((yield* recordOf("r-1")).lease?.owner, last?.owner, "the highest fence holds the run")
      for (const lease of lost) {
        yield* refused(store.commit(lease, commitOf("r-1", 1)), "LeaseLost", "a commit by one that was stolen from")
      }
      if (last !== undefined) yield* store.commit(last, commitOf("r-1", 1))
      yield* equal((yield* recordOf("r-1")).ordinal, 1, "the last one writes")
    })
} satisfies Record<string, Law>
