import { Effect } from "effect"
import { type Bench, commitOf, idOf, type Law, lasting, newRun, range } from "./bench.ts"
import { above, equal, refused } from "./violation.ts"

const takeOver = ({ store }: Bench, owner: string) =>
  Effect.map(store.acquire(idOf("r-1"), { owner, ttl: lasting, takeOver: true }), ({ lease }) => lease)

export const takeover = {
  "who takes a held run over holds it, and the old holder has lost it": (bench) =>
    Effect.gen(function* () {
      const { acquire, recordOf, store, ttl } = bench
      yield* store.create(newRun("r-1"))
      const old = yield* acquire("r-1", "a")
      yield* store.commit(old, commitOf("r-1", 1))
      const lease = yield* takeOver(bench, "b")
      yield* above(lease.fence, old.fence, "the fence rises")
      const before = yield* recordOf("r-1")
      yield* equal(before.lease?.owner, "b", "the record names the new holder")
      yield* equal(before.ordinal, 1, "what the old holder wrote is there")
      yield* refused(store.commit(old, commitOf("r-1", 2)), "LeaseLost", "a commit by the old holder")
      yield* refused(store.renew(old, ttl), "LeaseLost", "renewing by the old holder")
      yield* refused(acquire("r-1", "a"), "RunLeased", "acquiring by the old holder")
      yield* store.release(old)
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
      yield* store.commit(lease, commitOf("r-1", 2))
    }),

  "who takes over what it holds keeps its lease": (bench) =>
    Effect.gen(function* () {
      const { acquire, store } = bench
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1", "a")
      yield* equal(yield* takeOver(bench, "a"), lease, "the lease is the same")
      const taken = yield* takeOver(bench, "b")
      yield* equal(yield* takeOver(bench, "b"), taken, "the lease that was taken over is the same")
      yield* store.commit(taken, commitOf("r-1", 1))
    }),

  "taking a free run over is to acquire it": (bench) =>
    Effect.gen(function* () {
      const { acquire, store } = bench
      yield* refused(takeOver(bench, "a"), "RunNotFound", "the run is not there")
      yield* store.create(newRun("r-1"))
      const a = yield* takeOver(bench, "a")
      yield* refused(acquire("r-1", "b"), "RunLeased", "the run is held")
      yield* store.release(a)
      const b = yield* takeOver(bench, "b")
      yield* above(b.fence, a.fence, "a new holder has a higher fence")
      yield* store.commit(b, commitOf("r-1", 1))
    }),

  "of many who take a run over at once, the last holds it": (bench) =>
    Effect.gen(function* () {
      const { recordOf, store } = bench
      yield* store.create(newRun("r-1"))
      const all = yield* Effect.forEach(range(32), (i) => takeOver(bench, `owner-${i}`), { concurrency: "unbounded" })
      const byFence = all.toSorted((a, b) => b.fence - a.fence)
      yield* equal(new Set(all.map(({ fence }) => fence)).size, 32, "each has a fence of its own")
      const [last, ...lost] = byFence
      yield* equal((yield* recordOf("r-1")).lease?.owner, last?.owner, "the highest fence holds the run")
      for (const lease of lost) {
        yield* refused(store.commit(lease, commitOf("r-1", 1)), "LeaseLost", "a commit by one that was taken over")
      }
      if (last !== undefined) yield* store.commit(last, commitOf("r-1", 1))
      yield* equal((yield* recordOf("r-1")).ordinal, 1, "the last one writes")
    })
} satisfies Record<string, Law>
