import { type RunRecord, TokenStoreError } from "@effect-baton/core"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import {
  type Bench,
  cancel,
  commitOf,
  cut,
  idOf,
  lasting,
  newRun,
  numbered,
  type Place,
  type PlaceLaw,
  range,
  turnsOf
} from "./bench.ts"
import { above, equal, refused } from "./violation.ts"

/** Opens the place, and closes it again. */
const using = <A, E>(place: Place, use: (bench: Bench) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(place.open, use))

// Leases may end with who held them.
const stateOf = ({ store }: Bench) =>
  Effect.map(store.list({ limit: 1000 }), ({ items }) => items.map((record) => ({ ...record, lease: null })))

const commit = (id: string, ordinal: number) =>
  commitOf(id, ordinal, { journal: [{ _tag: "Requested", turn: ordinal }], attempts: ordinal })

export const durability = {
  "what was reported done is there after closing and opening again": (place) =>
    Effect.gen(function* () {
      const before = yield* using(place, (bench) =>
        Effect.gen(function* () {
          const { acquire, store } = bench
          yield* Effect.forEach(range(8), (i) => store.create(newRun(numbered(i), { digest: `d-${i}` })))
          for (const i of range(8)) {
            const lease = yield* acquire(numbered(i))
            yield* store.commit(lease, commit(numbered(i), 1))
            yield* store.commit(lease, commitOf(numbered(i), 2, i % 2 === 0 ? { setAside: `because ${i}` } : {}))
            if (i % 3 === 0) yield* store.commit(lease, commitOf(numbered(i), 3, { token: null, status: "completed" }))
            if (i % 4 === 0) yield* store.release(lease)
          }
          yield* store.signal(idOf(numbered(1)), cancel)
          yield* store.remove(idOf(numbered(2)))
          return yield* stateOf(bench)
        })
      )
      const reopened = yield* using(place, (bench) =>
        Effect.gen(function* () {
          const state = yield* stateOf(bench)
          // As if it had never been closed.
          const lease = yield* Effect.map(
            bench.store.acquire(idOf(numbered(1)), { owner: "a", ttl: lasting, takeOver: true }),
            ({ lease }) => lease
          )
          yield* equal(yield* bench.store.commit(lease, commit(numbered(1), 2)), [cancel], "a commit that was made")
          yield* equal(turnsOf(yield* bench.recordOf(numbered(1))), [1], "the journal after it")
          return { state, aside: (yield* bench.pages({ stage: "set aside", limit: 2 })).flat() }
        })
      )
      yield* equal(reopened.state, before, "the runs")
      yield* equal(reopened.aside, [4].map(numbered), "the runs that are set aside")
    }),

  "the very last answer before the closing counts too": (place) =>
    Effect.forEach(
      range(6),
      Effect.fnUntraced(function* (i) {
        const id = numbered(i)
        const last: ReadonlyArray<(bench: Bench) => Effect.Effect<unknown, unknown>> = [
          ({ store }) => store.create(newRun(id)),
          ({ acquire, store }) => Effect.flatMap(acquire(id), (lease) => store.commit(lease, commit(id, 1))),
          ({ store }) => store.signal(idOf(id), cancel),
          ({ store }) => store.remove(idOf(id))
        ]
        const expected = [
          Option.some({ ordinal: 0, signals: 0 }),
          Option.some({ ordinal: 1, signals: 0 }),
          Option.some({ ordinal: 1, signals: 1 }),
          Option.none()
        ]
        for (const [step, operation] of last.entries()) {
          yield* using(place, operation)
          const record = yield* using(place, ({ store }) => store.read(idOf(id)))
          const found = Option.map(record, ({ ordinal, signals }) => ({ ordinal, signals: signals.length }))
          yield* equal(found, expected[step], `what operation ${step + 1} did`)
        }
      })
    ),

  "what was answered while the store was closed is there": (place) =>
    Effect.gen(function* () {
      yield* using(place, ({ store }) =>
        Effect.forEach(range(16), (i) => store.create(newRun(numbered(i))), { concurrency: "unbounded" })
      )
      const scope = yield* Scope.make()
      const { acquire, store } = yield* Scope.provide(place.open, scope)
      const fibers = yield* Effect.forEach(range(16), (i) =>
        Effect.flatMap(acquire(numbered(i)), (lease) =>
          Effect.forkChild(store.commit(lease, commit(numbered(i), 1)), { startImmediately: i % 2 === 0 })
        )
      )
      yield* Scope.close(scope, Exit.void)
      const answers = yield* Effect.forEach(fibers, Fiber.await)
      const records = yield* using(place, ({ recordOf }) => Effect.forEach(range(16), (i) => recordOf(numbered(i))))
      for (const [i, record] of records.entries()) {
        yield* equal(turnsOf(record), record.ordinal === 0 ? [] : [1], "a commit is there whole or not at all")
        const answer = answers[i]
        if (answer !== undefined && Exit.isSuccess(answer)) {
          yield* equal(record.ordinal, 1, "a commit that was answered is there")
        }
      }
    }),

  "an operation that was given up just before the closing is done or not, and may be repeated": (place) =>
    Effect.forEach(
      range(6),
      Effect.fnUntraced(function* (moment) {
        const id = numbered(moment)
        yield* using(place, ({ store }) => cut(store.create(newRun(id)), moment))
        yield* using(place, ({ store }) => store.create(newRun(id)))
        yield* using(place, ({ acquire, store }) =>
          Effect.flatMap(acquire(id, "a"), (lease) => cut(store.commit(lease, commit(id, 1)), moment))
        )
        const between = yield* using(place, ({ recordOf }) => recordOf(id))
        const { attempts, ordinal, token } = between
        const whole = { attempts: ordinal, at: ordinal === 0 ? -1 : ordinal, turns: ordinal === 0 ? [] : [1] }
        yield* equal({ attempts, at: token?.sequenceNumber, turns: turnsOf(between) }, whole, "the commit is whole")
        yield* using(place, ({ acquire, store }) =>
          Effect.flatMap(acquire(id, "a"), (lease) => store.commit(lease, commit(id, 1)))
        )
        yield* using(place, ({ store }) => cut(store.signal(idOf(id), cancel), moment))
        yield* using(place, ({ store }) => store.signal(idOf(id), cancel))
        const record: RunRecord.RunRecord = yield* using(place, ({ recordOf }) => recordOf(id))
        yield* equal(
          { turns: turnsOf(record), signals: record.signals },
          { turns: [1], signals: [cancel] },
          "once each"
        )
        yield* using(place, ({ store }) => cut(store.remove(idOf(id)), moment))
        yield* using(place, ({ store }) => store.remove(idOf(id)))
        yield* equal(yield* using(place, ({ store }) => store.read(idOf(id))), Option.none(), "the run is gone")
      })
    ),

  "fences rise over closing and opening, also when nothing else is left": (place) =>
    Effect.gen(function* () {
      let last = 0
      for (let round = 0; round < 5; round++) {
        const lease = yield* using(place, ({ acquire, store }) =>
          Effect.gen(function* () {
            yield* store.create(newRun("r-1"))
            const lease = yield* acquire("r-1")
            if (round % 2 === 0) yield* store.remove(idOf("r-1"))
            else yield* store.release(lease)
            return lease
          })
        )
        yield* above(lease.fence, last, "the fence rises")
        last = lease.fence
      }
    }),

  "whoever is gone holds a run no longer than its lease, and writes nothing when it comes back": (place) =>
    Effect.gen(function* () {
      const gone = yield* using(place, ({ acquire, store, ttl }) =>
        Effect.andThen(store.create(newRun("r-1")), acquire("r-1", "a", ttl))
      )
      yield* place.advance(place.beyond)
      yield* using(place, ({ acquire, recordOf, store, ttl }) =>
        Effect.gen(function* () {
          const lease = yield* acquire("r-1", "b")
          yield* above(lease.fence, gone.fence, "the fence rises")
          yield* store.commit(lease, commitOf("r-1", 1))
          const before = yield* recordOf("r-1")
          yield* refused(store.commit(gone, commitOf("r-1", 2)), "LeaseLost", "a commit of who was gone")
          yield* refused(store.renew(gone, ttl), "LeaseLost", "renewing of who was gone")
          yield* store.release(gone)
          yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
        })
      )
    }),

  "of two who open the place at once, one gets a run": (place) =>
    Effect.gen(function* () {
      const first = yield* place.open
      yield* Effect.forEach(range(16), (i) => first.store.create(newRun(numbered(i))))
      const second = yield* Effect.result(place.open)
      if (second._tag === "Failure") {
        // A place that only one can open keeps the promise too.
        const { failure } = second
        const kind = failure instanceof TokenStoreError.TokenStoreError ? failure.kind : failure
        return yield* equal(kind, "locked", "the second is refused because the first has the place")
      }
      for (const i of range(16)) {
        const both = yield* Effect.all(
          [Effect.result(first.acquire(numbered(i), "a")), Effect.result(second.success.acquire(numbered(i), "b"))],
          { concurrency: "unbounded" }
        )
        const got = both.flatMap((result) => (result._tag === "Success" ? [result.success.owner] : []))
        yield* equal(got.length, 1, `who got the run: ${got.join(" and ")}`)
      }
    })
} satisfies Record<string, PlaceLaw>
