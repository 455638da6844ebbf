import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import {
  all,
  type Bench,
  commitOf,
  cut,
  factsOf,
  idOf,
  type Law,
  lasting,
  leave,
  leaveForGood,
  newRun,
  plain,
  range,
  turnsOf
} from "./bench.ts"
import { equal } from "./violation.ts"

// After how many turns of the scheduler an operation is interrupted: before it was sent, on the way, after it was done.
const moments = range(8)

const each = (check: (id: string, moment: number) => Effect.Effect<unknown, unknown>) =>
  Effect.forEach(moments, (moment) => check(`r-${moment}`, moment))

export const repetition = {
  "create may be repeated after a timeout": ({ store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const run = newRun(id, { digest: `d-${moment}` })
        const create = store.create(run, { facts: [{ _tag: "CancelRequested", by: "a" }], due: Duration.infinity })
        yield* cut(create, moment)
        const { record } = yield* create
        yield* equal({ id: record.runId, digest: record.digest }, { id: run.runId, digest: run.digest }, "the run")
        yield* equal([record.journal.length, record.due], [1, null], "its facts, and when it is work")
        yield* equal(yield* create, { created: false, record }, "once more")
        yield* equal((yield* store.list({ limit: 100 })).items.length, moment + 1, "the run is there once")
      })
    ),

  "acquire may be repeated after a timeout": ({ store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const acquire = store.acquire(idOf(id), { owner: "a", ttl: lasting })
        yield* store.create(newRun(id))
        yield* cut(acquire, moment)
        const { lease } = yield* acquire
        yield* equal((yield* acquire).lease, lease, "the lease is the same once more")
        yield* store.commit(lease, commitOf(id, 1))
      })
    ),

  "a claim may be repeated after a timeout": ({ claim, recordOf, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const ids = [`${id}-a`, `${id}-b`]
        for (const one of ids) yield* store.create(newRun(one))
        const ask = claim({ owner: `worker-${moment}` })
        yield* cut(ask, moment)
        const first = yield* ask
        yield* equal(first.ids, ids, "the runs")
        // A smaller limit does not hide runs that the owner holds.
        const again = yield* claim({ owner: `worker-${moment}`, limit: moment % 2 })
        const fences = ({ taken }: typeof first) =>
          Object.fromEntries(taken.map(({ lease }) => [lease.runId, lease.fence]))
        yield* equal(fences(again), fences(first), "the leases are the same once more")
        for (const { lease } of first.taken) {
          yield* equal((yield* recordOf(lease.runId)).attempts, [lease.fence], "the attempt is counted once")
          yield* store.commit(lease, commitOf(lease.runId, 1))
        }
      })
    ),

  "stealing may be repeated after a timeout": ({ begin, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const steal = store.acquire(idOf(id), { owner: "b", ttl: lasting, steal: true })
        yield* begin(id)
        yield* cut(steal, moment)
        const { lease } = yield* steal
        yield* equal((yield* steal).lease, lease, "the lease is the same once more")
        yield* store.commit(lease, commitOf(id, 1))
      })
    ),

  "renew may be repeated after a timeout": ({ begin, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { facts, lease } = yield* begin(id)
        yield* store.record(idOf(id), facts.cancelRequested, all)
        yield* cut(store.renew(lease, lasting, 0), moment)
        yield* equal(plain(yield* store.renew(lease, lasting, 0)), [facts.cancelRequested], "the answer")
        yield* store.commit(lease, commitOf(id, 1))
      })
    ),

  "release may be repeated after a timeout": ({ acquire, begin, recordOf, store, work }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { facts, lease } = yield* begin(id)
        const release = store.release(lease, { ...leaveForGood, parked: "waits" })
        yield* cut(release, moment)
        yield* release
        const released = yield* recordOf(id)
        yield* release
        yield* equal(yield* recordOf(id), released, "once more changes nothing")
        yield* store.record(idOf(id), facts.cancelRequested, 0)
        yield* release
        yield* equal((yield* work).includes(id), true, "a fact that came since has made the run work")
        const next = yield* acquire(id, "b")
        yield* release
        yield* store.commit(next, commitOf(id, 1))
      })
    ),

  "giving an attempt back may be repeated after a timeout": ({ attempt, recordOf, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        yield* store.create(newRun(id))
        const first = yield* attempt(`a-${moment}`)
        yield* store.release(first.lease, leave)
        const second = yield* attempt(`b-${moment}`)
        const release = store.release(second.lease, { ...leaveForGood, attempt: "back" })
        yield* cut(release, moment)
        yield* release
        yield* release
        yield* equal((yield* recordOf(id)).attempts, [first.lease.fence], "it is given back once")
      })
    ),

  "commit may be repeated after a timeout": ({ begin, recordOf, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { facts, lease } = yield* begin(id)
        yield* store.record(idOf(id), facts.cancelRequested, all)
        const commit = commitOf(id, 1, { facts: [facts.requested(7)] })
        yield* cut(store.commit(lease, commit), moment)
        const answer = yield* store.commit(lease, commit)
        const record = yield* recordOf(id)
        yield* equal(answer, { outcome: "written", facts: record.journal }, "the answer")
        yield* equal(plain(record.journal), [facts.cancelRequested, facts.requested(7)], "the fact is there once")
        yield* equal(yield* store.commit(lease, commit), answer, "the answer once more")
        yield* equal(yield* recordOf(id), record, "the record is what it was")
      })
    ),

  "a decision may be repeated after a timeout, whatever came in between": ({ begin, recordOf, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { facts, lease } = yield* begin(id)
        const decide = (seen: number) => store.commit(lease, { seen, facts: [facts.ended("failed")], guard: true })
        yield* cut(decide(0), moment)
        yield* store.record(idOf(id), facts.cancelRequested, all)
        const { facts: told, outcome } = yield* decide(0)
        const { journal } = yield* recordOf(id)
        yield* equal(told, journal, "the answer tells all facts")
        const isThere = journal.some(({ _tag }) => _tag === "Ended")
        yield* equal(outcome, isThere ? "written" : "moved", "the outcome says whether the decision is there")
        yield* equal((yield* decide(journal.length)).outcome, "written", "with all facts seen it is written")
        yield* equal((yield* recordOf(id)).journal.length, 2, "each fact is there once")
      })
    ),

  "record may be repeated after a timeout": ({ store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { record } = yield* store.create(newRun(id))
        const { cancelRequested } = factsOf(record.incarnation)
        yield* cut(store.record(idOf(id), cancelRequested, 0), moment)
        const answer = yield* store.record(idOf(id), cancelRequested, 0)
        yield* equal(plain(answer), [cancelRequested], "the fact is there once")
        yield* equal(yield* store.record(idOf(id), cancelRequested, 0), answer, "the answer once more")
      })
    ),

  "conclude may be repeated after a timeout": ({ recordOf, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { record } = yield* store.create(newRun(id))
        const facts = [factsOf(record.incarnation).ended("cancelled")]
        const conclude = store.conclude(idOf(id), { seen: 0, facts, due: Duration.infinity })
        yield* cut(conclude, moment)
        const answer = yield* conclude
        const after = yield* recordOf(id)
        yield* equal(answer, { outcome: "written", facts: after.journal }, "the answer")
        yield* equal(plain(after.journal), facts, "the decision is there once")
        yield* equal(yield* conclude, answer, "the answer once more")
        yield* equal(yield* recordOf(id), after, "the record is what it was")
      })
    ),

  "remove may be repeated after a timeout": ({ begin, store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        const { lease } = yield* begin(id)
        yield* cut(store.remove(lease), moment)
        yield* equal(yield* store.remove(lease), true, "the answer")
        yield* equal((yield* store.read(idOf(id)))._tag, "None", "the run is gone")
        yield* equal((yield* store.create(newRun(id))).created, true, "its name is free")
      })
    ),

  "read and list may be repeated after a timeout": ({ store }) =>
    each((id, moment) =>
      Effect.gen(function* () {
        yield* store.create(newRun(id))
        const before = yield* store.read(idOf(id))
        yield* cut(store.read(idOf(id)), moment)
        yield* cut(store.list({ limit: 100 }), moment)
        yield* equal(yield* store.read(idOf(id)), before, "the record")
        yield* equal((yield* store.list({ limit: 100 })).items.length, moment + 1, "the listing")
      })
    ),

  "who is interrupted leaves the store whole, and may repeat the operation": ({ begin, recordOf, store }: Bench) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      for (let ordinal = 1; ordinal <= 20; ordinal++) {
        const commit = commitOf("r-1", ordinal, { facts: [facts.requested(ordinal)] })
        const fiber = yield* Effect.forkChild(store.commit(lease, commit))
        if (ordinal % 2 === 0) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* store.commit(lease, commit)
      }
      const record = yield* recordOf("r-1")
      yield* equal(record.ordinal, 20, "the last ordinal")
      yield* equal(
        turnsOf(record),
        range(20).map((i) => i + 1),
        "the journal has each commit once, in order"
      )
      yield* equal(Exit.isSuccess(yield* Effect.exit(store.release(lease, leave))), true, "the lease can be released")
    })
} satisfies Record<string, Law>
