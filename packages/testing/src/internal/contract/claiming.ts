import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  all,
  type Bench,
  commitOf,
  factsOf,
  idOf,
  lasting,
  type Law,
  leave,
  leaveForGood,
  newRun,
  numbered,
  range
} from "./bench.ts"
import { above, equal } from "./violation.ts"

/** Creates runs. Each is due after its share of `ttl`. */
const fill = ({ store, ttl }: Bench, shares: ReadonlyArray<number>) =>
  Effect.forEach(shares, (share, i) => store.create(newRun(numbered(i)), { due: Duration.times(ttl, share) }), {
    discard: true
  })

export const claiming = {
  "the parts of a store are there, and stay the same": ({ store }) =>
    Effect.gen(function* () {
      yield* above(store.shards.length, 0, "how many parts there are")
      yield* equal(new Set(store.shards).size, store.shards.length, "each has a name of its own")
      const before = [...store.shards]
      yield* store.create(newRun("r-1"))
      yield* equal([...store.shards], before, "the parts once there is a run")
    }),

  "claims in all parts find all that is work, each run once, with a lease that holds": (bench) =>
    Effect.gen(function* () {
      const { claim, recordOf, store } = bench
      yield* fill(
        bench,
        Array.from({ length: 40 }, () => 0)
      )
      const { ids, taken } = yield* claim()
      yield* equal(ids, range(40).map(numbered), "the runs that were taken")
      for (const { lease, record } of taken) {
        yield* equal(record, yield* recordOf(lease.runId), "the record is what it is from then on")
        yield* equal(record.lease?.fence, lease.fence, "the lease in the record")
        yield* equal(lease.owner, "worker", "who holds it")
        yield* equal((yield* store.commit(lease, commitOf(lease.runId, 1))).outcome, "written", "a commit under it")
      }
      yield* equal(new Set(taken.map(({ lease }) => lease.fence)).size, 40, "each has a fence of its own")
      yield* equal((yield* claim({ owner: "other" })).ids, [], "nothing is left")
    }),

  "those that were due first are claimed first": (bench) =>
    Effect.gen(function* () {
      const { advance, beyond, store } = bench
      // The order of creation differs from the order in which the runs are due.
      const shares = range(40).map((i) => ((i * 17) % 40) / 50)
      yield* fill(bench, shares)
      yield* advance(beyond)
      const inOrder = range(40)
        .toSorted((a, b) => (shares[a] ?? 0) - (shares[b] ?? 0))
        .map(numbered)
      const found: Array<string> = []
      for (const shard of store.shards) {
        const ids: Array<string> = []
        // One, then some, then the rest.
        for (const limit of [1, 3, 100]) {
          const options = { agents: ["analyst"], owner: `worker-${limit}`, ttl: lasting, limit, shard }
          const { taken } = yield* store.claim(options)
          yield* equal(taken.length <= limit, true, "no more than wanted are taken")
          ids.push(...taken.map(({ lease }) => String(lease.runId)))
        }
        const expected = inOrder.filter((id) => ids.includes(id))
        yield* equal(ids, expected, "the order")
        found.push(...ids)
      }
      yield* equal(found.toSorted(), range(40).map(numbered), "all are taken")
    }),

  "only runs of the agents that are asked for are claimed": ({ claim, store }) =>
    Effect.gen(function* () {
      for (const [i, agent] of ["analyst", "poet", "é 日", "poet"].entries())
        yield* store.create(newRun(numbered(i), { agent }))
      yield* equal((yield* claim({ agents: [] })).ids, [], "of no agent")
      yield* equal((yield* claim({ agents: ["nobody"] })).next, undefined, "nothing of that agent will be due")
      yield* equal((yield* claim({ agents: ["poet"] })).ids, [1, 3].map(numbered), "of one agent")
      yield* equal((yield* claim({ agents: ["é 日", "analyst"], owner: "other" })).ids, [0, 2].map(numbered), "of two")
    }),

  "what is held, parked, over, waiting or due later is not claimed": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, begin, beyond, claim, recordOf, store, ttl } = bench
      yield* acquire((yield* begin("held")).lease.runId)
      const parked = yield* begin("parked")
      yield* store.release(parked.lease, { ...leave, parked: "broken" })
      const over = yield* begin("over")
      yield* store.commit(over.lease, { seen: 0, facts: [over.facts.ended("completed")] })
      yield* store.release(over.lease, leaveForGood)
      const waiting = yield* begin("waiting")
      yield* store.release(waiting.lease, leaveForGood)
      yield* store.create(newRun("later"), { due: ttl })
      yield* store.create(newRun("never"), { due: Duration.infinity })
      const before = yield* Effect.forEach(["held", "parked", "over", "waiting", "later", "never"], recordOf)
      yield* equal((yield* claim()).ids, [], "none is taken")
      const after = yield* Effect.forEach(["held", "parked", "over", "waiting", "later", "never"], recordOf)
      yield* equal(after, before, "the records are what they were")
      yield* advance(beyond)
      yield* equal((yield* claim()).ids, ["later"], "once it is due")
      yield* store.record(idOf("waiting"), waiting.facts.approved("c-1"), all)
      yield* equal((yield* claim({ owner: "b" })).ids, ["waiting"], "once a fact came")
      yield* store.record(idOf("parked"), parked.facts.cancelRequested, all)
      yield* equal((yield* claim({ owner: "c" })).ids, ["parked"], "a fact ends the parking too")
    }),

  "a run whose lease ended is claimed, and who held it has lost it": ({
    advance,
    attempt,
    begin,
    beyond,
    claim,
    store,
    ttl
  }) =>
    Effect.gen(function* () {
      const { lease: first } = yield* begin("r-1", "starter", ttl)
      yield* equal((yield* claim()).ids, [], "while it is held")
      yield* advance(beyond)
      const { lease: second } = yield* attempt("a", ttl)
      yield* above(second.fence, first.fence, "a new holder has a higher fence")
      yield* advance(beyond)
      // The same owner has no right to a lease that has ended.
      const { lease: third, record } = yield* attempt("a")
      yield* above(third.fence, second.fence, "the next fence")
      yield* equal(record.attempts, [second.fence, third.fence], "each lease is an attempt")
      const late = yield* Effect.result(store.commit(second, commitOf("r-1", 1)))
      yield* equal(late._tag, "Failure", "a commit of the lease before")
    }),

  "no more are claimed than wanted, and none if none is": (bench) =>
    Effect.gen(function* () {
      const { claim } = bench
      yield* fill(bench, [0, 0, 0, 0, 0])
      const none = yield* claim({ limit: 0 })
      yield* equal({ ids: none.ids, next: none.next }, { ids: [], next: 0 }, "with 0")
      const two = yield* claim({ limit: 2, owner: "a" })
      yield* equal(two.ids.length, 2, "with 2")
      yield* equal(two.next, 0, "another one is due now")
      yield* equal((yield* claim({ limit: 0, owner: "a" })).ids, two.ids, "what the owner holds, with 0")
      yield* equal((yield* claim({ limit: 10, owner: "b" })).ids.length, 3, "the rest")
      const again = yield* claim({ limit: 1, owner: "b" })
      yield* equal(again.ids.length, 3, "what the owner holds comes whatever the limit is")
    }),

  "a claim that is repeated answers what its owner holds, with new ends, and counts nothing twice": (bench) =>
    Effect.gen(function* () {
      const { advance, claim, recordOf, ttl } = bench
      yield* fill(bench, [0, 0, 0])
      const first = yield* claim({ limit: 2, ttl })
      for (const _ of range(3)) {
        yield* advance(Duration.times(ttl, 0.6))
        const again = yield* claim({ limit: 2, ttl })
        yield* equal(again.ids, first.ids, "the same runs, before others")
        const fences = ({ taken }: typeof first) => taken.map(({ lease }) => lease.fence).toSorted()
        yield* equal(fences(again), fences(first), "the same leases")
      }
      for (const { lease } of first.taken) {
        yield* equal((yield* recordOf(lease.runId)).attempts, [lease.fence], "one attempt each")
      }
    }),

  "a claim tells when the next run is due, or the next lease ends": ({ acquire, advance, claim, store, ttl }) =>
    Effect.gen(function* () {
      const within = (next: number | undefined, share: number, what: string) =>
        // The time of a server passes meanwhile.
        equal(
          next !== undefined && next <= Duration.toMillis(ttl) * share && next > Duration.toMillis(ttl) * (share - 0.5),
          true,
          what
        )
      yield* equal((yield* claim()).next, undefined, "there is none")
      yield* store.create(newRun("late"), { due: Duration.times(ttl, 3) })
      yield* within((yield* claim()).next, 3, "when one is due later")
      yield* store.create(newRun("held"), { due: Duration.infinity })
      yield* acquire("held", "holder", Duration.times(ttl, 2))
      yield* within((yield* claim()).next, 2, "when a lease ends before that")
      yield* store.create(newRun("other", { agent: "poet" }), { due: ttl })
      yield* within((yield* claim()).next, 2, "another agent's does not count")
      yield* store.create(newRun("now"))
      const claimed = yield* claim({ ttl: lasting })
      yield* equal(claimed.ids, ["now"], "what is due")
      yield* within(claimed.next, 2, "after what was taken")
      yield* advance(Duration.times(ttl, 2.2))
      const again = yield* claim({ owner: "other" })
      yield* equal(again.ids, ["held"], "it comes then")
      yield* within(again.next, 0.9, "what comes after it")
    }),

  "of many who claim at once each run goes to one": (bench) =>
    Effect.gen(function* () {
      const { claim, recordOf } = bench
      yield* fill(
        bench,
        Array.from({ length: 24 }, () => 0)
      )
      const found = yield* Effect.forEach(range(16), (i) => claim({ owner: `worker-${i}`, limit: 6 }), {
        concurrency: "unbounded"
      })
      const rest = yield* claim({ owner: "last" })
      const ids = [...found, rest].flatMap((each) => each.ids)
      yield* equal(ids.toSorted(), range(24).map(numbered), "each run is taken by one of them")
      for (const { lease } of [...found, rest].flatMap(({ taken }) => taken)) {
        const record = yield* recordOf(lease.runId)
        yield* equal(record.lease?.owner, lease.owner, "the record names who took the run")
        yield* equal(record.attempts, [lease.fence], "one attempt each")
      }
    }),

  "a claim and a decision at once do not both have the run": ({ begin, claim, recordOf, store }) =>
    Effect.gen(function* () {
      const runs = yield* Effect.forEach(range(16).map(numbered), (id) =>
        Effect.tap(begin(id), ({ lease }) => store.release(lease, leave))
      )
      const decide = (some: typeof runs) =>
        Effect.forEach(
          some,
          ({ facts, lease }) =>
            store.conclude(lease.runId, { seen: 0, facts: [facts.ended("cancelled")], due: Duration.infinity }),
          { concurrency: "unbounded" }
        )
      const [first, { ids }, last] = yield* Effect.all([decide(runs.slice(0, 8)), claim(), decide(runs.slice(8))], {
        concurrency: "unbounded"
      })
      for (const [i, { outcome }] of [...first, ...last].entries()) {
        const { attempts, journal, lease } = yield* recordOf(numbered(i))
        const isTaken = ids.includes(numbered(i))
        yield* equal(lease !== null, isTaken, "who was answered a run holds it")
        yield* equal(attempts.length, isTaken ? 1 : 0, "and has an attempt")
        yield* equal(journal.length, outcome === "written" ? 1 : 0, "a decision that was not written is not there")
      }
    }),

  "a retry that is under way is taken up by a claim": ({ advance, attempt, begin, beyond, store, ttl }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1", "a", ttl)
      yield* store.commit(lease, { seen: 0, facts: [facts.ended("failed")] })
      yield* store.commit(lease, { seen: all, facts: [factsOf(lease.fence).retried()] })
      yield* advance(beyond)
      const { record } = yield* attempt("worker")
      yield* equal(record.journal.length, 2, "its facts")
    })
} satisfies Record<string, Law>
