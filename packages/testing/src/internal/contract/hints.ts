import type { TokenStore } from "@effect-baton/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { all, type Bench, idOf, lasting, type Law, leave, leaveForGood, newRun } from "./bench.ts"
import { ContractViolation } from "../../ContractViolation.ts"
import { equal } from "./violation.ts"

type Hint = TokenStore.Wakeup
type Work = Extract<Hint, { readonly _tag: "Work" }>

// In real time, whichever clock the store uses, because hints may come from a server.
const longest = Effect.provideService(Effect.sleep("30 seconds"), Clock.Clock, Clock.Clock.defaultValue())

/** Listens to the hints of a store until the law is over. The result waits for a hint for which `isIt` is true. */
const listening = Effect.fnUntraced(function* ({ store }: Bench) {
  const heard = yield* Queue.unbounded<Hint>()
  yield* Effect.forkScoped(Stream.runForEach(store.wakeups, (hint) => Queue.offer(heard, hint)))
  const until = <A>(what: string, isIt: (hint: Hint) => A | undefined) =>
    Effect.gen(function* () {
      while (true) {
        const found = isIt(yield* Queue.take(heard))
        if (found !== undefined) return found
      }
    }).pipe(
      Effect.raceFirst(
        Effect.flatMap(longest, () => Effect.fail(new ContractViolation({ message: `no hint ${what} came` })))
      )
    )
  const first = new Set<string>()
  yield* until("for each part, to begin with,", (hint) => {
    if (hint._tag === "Work") first.add(hint.shard)
    return store.shards.every((shard) => first.has(shard)) || undefined
  })
  return until
})

/** Waits for the hint that a run is work now, and claims the run in the shard that the hint names. */
const claimedBy = Effect.fnUntraced(function* (
  { store }: Bench,
  heard: Effect.Success<ReturnType<typeof listening>>,
  owner: string,
  what: string
) {
  const { after, shard } = yield* heard(what, (hint): Work | undefined =>
    hint._tag === "Work" && (hint.agent ?? "analyst") === "analyst" ? hint : undefined
  )
  yield* equal(Duration.toMillis(after), 0, `the hint ${what} is for now`)
  const { taken } = yield* store.claim({ agents: ["analyst"], owner, ttl: lasting, limit: 10, shard })
  yield* equal(
    taken.map(({ lease }) => String(lease.runId)),
    ["r-1"],
    `the runs that are work there ${what}`
  )
  return taken.map(({ lease }) => lease)
})

const toldOf = (id: string) => (hint: Hint) => (hint._tag === "Run" && hint.runId === id ? hint : undefined)

export const hints = {
  "hints begin with each part of the store, whoever else listens": (bench) =>
    Effect.gen(function* () {
      yield* listening(bench)
      yield* listening(bench)
    }),

  "a run that becomes work gives a hint, and a claim there finds it": (bench) =>
    Effect.gen(function* () {
      const { store } = bench
      const heard = yield* listening(bench)
      const { record } = yield* store.create(newRun("r-1"))
      const [created] = yield* claimedBy(bench, heard, "a", "of a run that is created")
      if (created !== undefined) yield* store.release(created, leave)
      const [released] = yield* claimedBy(bench, heard, "b", "of a run that is released")
      if (released !== undefined) yield* store.release(released, leaveForGood)
      const fact = { _tag: "CancelRequested", incarnation: record.incarnation, by: "x" } as const
      yield* store.record(idOf("r-1"), fact, all)
      const [recorded] = yield* claimedBy(bench, heard, "c", "of a run for which a fact came")
      if (recorded !== undefined) yield* store.release(recorded, { ...leave, parked: "broken" })
      const over = { _tag: "Ended", incarnation: record.incarnation, by: "x", status: "cancelled" } as const
      yield* store.conclude(idOf("r-1"), { seen: all, facts: [over], due: Duration.zero })
      yield* claimedBy(bench, heard, "d", "of a run that was decided on")
    }),

  "a run that becomes work later gives a hint that says when": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, beyond, store, ttl } = bench
      const heard = yield* listening(bench)
      const later = (what: string) =>
        heard(what, (hint) => {
          if (hint._tag !== "Work" || (hint.agent ?? "analyst") !== "analyst") return undefined
          const after = Duration.toMillis(hint.after)
          return after > 0 && after <= Duration.toMillis(ttl) ? hint.shard : undefined
        })
      yield* store.create(newRun("r-1"), { due: ttl })
      yield* later("of a run that is created for later")
      yield* store.release(yield* acquire("r-1"), { ...leave, due: ttl })
      const shard = yield* later("of a run that is left for later")
      yield* advance(beyond)
      const { taken } = yield* store.claim({ agents: ["analyst"], owner: "a", ttl: lasting, limit: 10, shard })
      yield* equal(taken.length, 1, "the run is work there then")
    }),

  "who records a fact without the lease gives a hint of the run, with the writer's name": (bench) =>
    Effect.gen(function* () {
      const { begin, store } = bench
      const { facts, lease } = yield* begin("r-1", "a")
      const heard = yield* listening(bench)
      yield* store.record(idOf("r-1"), { ...facts.cancelRequested, by: "recorder" }, all)
      const recorded = yield* heard("of a run whose holder is to know of a fact", toldOf("r-1"))
      yield* equal(recorded.by, "recorder", "who wrote the fact")
      yield* store.release(lease, leave)
      const over = { ...facts.ended("cancelled"), by: "decider" }
      yield* store.conclude(idOf("r-1"), { seen: all, facts: [over], due: Duration.infinity })
      const decided = yield* heard("of a run that was decided on", toldOf("r-1"))
      yield* equal(decided.by, "decider", "who decided")
    }),

  "the end of a run gives a hint of it": (bench) =>
    Effect.gen(function* () {
      const { begin, store } = bench
      const { facts, lease } = yield* begin("r-1", "a")
      const heard = yield* listening(bench)
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0), facts.accepted(0, "resp_1")] })
      yield* store.commit(lease, { seen: all, facts: [{ ...facts.ended("completed"), by: "holder" }] })
      const { by } = yield* heard("of a run that ended", toldOf("r-1"))
      yield* equal(by, "holder", "who wrote it")
    }),

  "who wakes a run gives a hint of it, and changes nothing": (bench) =>
    Effect.gen(function* () {
      const { begin, recordOf, store } = bench
      yield* begin("r-1", "a")
      const before = yield* recordOf("r-1")
      const heard = yield* listening(bench)
      const other = yield* listening(bench)
      yield* store.wake(idOf("r-1"))
      yield* heard("of a run that is woken", toldOf("r-1"))
      yield* other("of a run that is woken, for all who listen,", toldOf("r-1"))
      yield* store.wake(idOf("r-1"))
      yield* heard("of a run that is woken again", toldOf("r-1"))
      yield* store.wake(idOf("nowhere"))
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
      yield* equal((yield* store.read(idOf("nowhere")))._tag, "None", "nor is there a run that was not")
    }),

  "work is found without hints": ({ claim, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const { ids } = yield* claim()
      yield* equal(ids, ["r-1"], "what a claim finds")
    })
} satisfies Record<string, Law>
