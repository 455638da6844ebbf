import { Effect, Exit, Fiber } from "effect"
import { type Bench, cancel, commitOf, cut, idOf, type Law, lasting, newRun, range, turnsOf } from "./bench.ts"
import { equal } from "./violation.ts"

// Given up on after none, one, two... turns of the scheduler: before it was sent, on the way, after it was done.
const moments = range(8)

const each = (bench: Bench, check: (id: string, moment: number) => Effect.Effect<unknown, unknown>) =>
  Effect.forEach(moments, (moment) => {
    const id = `r-${moment}`
    return Effect.andThen(bench.store.create(newRun(id)), check(id, moment))
  })

export const repetition = {
  "create may be repeated after a timeout": ({ store }) =>
    Effect.forEach(
      moments,
      Effect.fnUntraced(function* (moment) {
        const run = newRun(`r-${moment}`, { digest: `d-${moment}` })
        yield* cut(store.create(run), moment)
        const { record } = yield* store.create(run)
        yield* equal({ id: record.runId, digest: record.digest }, { id: run.runId, digest: run.digest }, "the run")
        yield* equal(yield* store.create(run), { created: false, record }, "once more")
        yield* equal((yield* store.list({ limit: 100 })).items.length, moment + 1, "the run is there once")
      })
    ),

  "acquire may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { acquire, store } = bench
        yield* cut(acquire(id), moment)
        const lease = yield* acquire(id)
        yield* equal(yield* acquire(id), lease, "the lease is the same once more")
        yield* store.commit(lease, commitOf(id, 1))
      })
    ),

  "taking over may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { acquire, store } = bench
        const take = store.acquire(idOf(id), { owner: "b", ttl: lasting, takeOver: true })
        yield* acquire(id)
        yield* cut(take, moment)
        const { lease } = yield* take
        yield* equal((yield* take).lease, lease, "the lease is the same once more")
        yield* store.commit(lease, commitOf(id, 1))
      })
    ),

  "renew may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { acquire, store } = bench
        const lease = yield* acquire(id)
        yield* cut(store.renew(lease, lasting), moment)
        yield* equal(yield* store.renew(lease, lasting), lease, "the lease is the same")
        yield* store.commit(lease, commitOf(id, 1))
      })
    ),

  "release may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { acquire, store } = bench
        const lease = yield* acquire(id)
        yield* cut(store.release(lease), moment)
        yield* store.release(lease)
        const next = yield* acquire(id, "b")
        yield* store.release(lease)
        yield* store.commit(next, commitOf(id, 1))
      })
    ),

  "commit may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { acquire, recordOf, store } = bench
        const lease = yield* acquire(id)
        yield* store.signal(idOf(id), cancel)
        const commit = commitOf(id, 1, { journal: [{ _tag: "Requested", turn: 7 }], attempts: 1, setAside: "later" })
        yield* cut(store.commit(lease, commit), moment)
        yield* equal(yield* store.commit(lease, commit), [cancel], "the answer")
        const record = yield* recordOf(id)
        yield* equal(turnsOf(record), [7], "the journal has it once")
        yield* equal(yield* store.commit(lease, commit), [cancel], "the answer once more")
        yield* equal(yield* recordOf(id), record, "the record is what it was")
      })
    ),

  "signal may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { recordOf, store } = bench
        yield* cut(store.signal(idOf(id), cancel), moment)
        yield* store.signal(idOf(id), cancel)
        yield* equal((yield* recordOf(id)).signals, [cancel], "the signal is there once")
      })
    ),

  "remove may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { store } = bench
        yield* cut(store.remove(idOf(id)), moment)
        yield* store.remove(idOf(id))
        yield* equal((yield* store.read(idOf(id)))._tag, "None", "the run is gone")
        yield* equal((yield* store.create(newRun(id))).created, true, "its name is free")
      })
    ),

  "read and list may be repeated after a timeout": (bench) =>
    each(bench, (id, moment) =>
      Effect.gen(function* () {
        const { store } = bench
        const before = yield* store.read(idOf(id))
        yield* cut(store.read(idOf(id)), moment)
        yield* cut(store.list({ limit: 100 }), moment)
        yield* equal(yield* store.read(idOf(id)), before, "the record")
        yield* equal((yield* store.list({ limit: 100 })).items.length, moment + 1, "the listing")
      })
    ),

  "who is interrupted leaves the store whole, and may repeat the operation": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      for (let ordinal = 1; ordinal <= 20; ordinal++) {
        const commit = commitOf("r-1", ordinal, { journal: [{ _tag: "Requested", turn: ordinal }] })
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
      yield* equal(Exit.isSuccess(yield* Effect.exit(store.release(lease))), true, "the lease can be released")
    })
} satisfies Record<string, Law>
