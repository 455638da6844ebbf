import { TokenStoreError } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import {
  all,
  type Bench,
  commitOf,
  cut,
  factsOf,
  idOf,
  lasting,
  leave,
  leaveForGood,
  newRun,
  numbered,
  type Place,
  type PlaceLaw,
  plain,
  range,
  turnsOf,
  writesNothing
} from "./bench.ts"
import { above, equal } from "./violation.ts"

/** Opens the place, uses it, and closes it. */
const using = <A, E>(place: Place, use: (bench: Bench) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(place.open, use))

// The records without leases: a lease may end when its holder closes the store.
const stateOf = ({ store }: Bench) =>
  Effect.map(store.list({ limit: 1000 }), ({ items }) => items.map((record) => ({ ...record, lease: null })))

/** Acquires a run. It steals the run, because the lease from before the closing may still hold. */
const again = ({ store }: Bench, id: string, owner = "a") =>
  store.acquire(idOf(id), { owner, ttl: lasting, steal: true })

/** A lease, and a commit of a request and a position under it. */
const advanced = Effect.fnUntraced(function* (bench: Bench, id: string) {
  const { lease, record } = yield* again(bench, id)
  const facts = [factsOf(record.incarnation).requested(1)]
  return { lease, commit: bench.store.commit(lease, commitOf(id, 1, { facts })) }
})

/** The fields that a position need not have. */
const optional = { responseId: "resp", epoch: 7, results: 2 }

export const durability = {
  "what was reported done is there after closing and opening again": (place) =>
    Effect.gen(function* () {
      const before = yield* using(place, (bench) =>
        Effect.gen(function* () {
          const { acquire, claim, recordOf, store } = bench
          yield* Effect.forEach(range(8), (i) =>
            store.create(newRun(numbered(i), { digest: `d-${i}` }), {
              facts: i === 7 ? [{ _tag: "Accepted", by: "a", turn: 0, responseId: "resp_7", streamed: false }] : []
            })
          )
          for (const i of range(7)) {
            const facts = factsOf((yield* recordOf(numbered(i))).incarnation)
            const { lease } = yield* again(bench, numbered(i))
            const first = commitOf(numbered(i), 1, { facts: [facts.requested(0), facts.accepted(0, `resp_${i}`)] })
            // The next position has fewer fields.
            const position = first.position && { ...first.position, token: { ...first.position.token, ...optional } }
            yield* store.commit(lease, position === undefined ? first : { ...first, position })
            yield* store.commit(lease, commitOf(numbered(i), 2))
            if (i % 3 === 0) yield* store.commit(lease, { seen: all, facts: [facts.ended("completed")] })
            if (i % 2 === 0) yield* store.release(lease, { ...leaveForGood, parked: `because ${i}` })
            if (i === 5) yield* store.release(lease, { ...leave, due: lasting })
          }
          yield* store.create(newRun("tried", { agent: "tried", labels: { team: "é", empty: "" } }))
          for (const owner of ["first", "second"]) {
            const { taken } = yield* claim({ agents: ["tried"], owner })
            yield* Effect.forEach(taken, (one) => store.release(one.lease, leave))
          }
          const { incarnation } = yield* recordOf(numbered(1))
          yield* store.record(idOf(numbered(1)), factsOf(incarnation).cancelRequested, 0)
          yield* store.remove(yield* acquire(numbered(2)), { force: true })
          const fourth = yield* recordOf(numbered(4))
          const over = [factsOf(fourth.incarnation).ended("failed")]
          yield* store.conclude(idOf(numbered(4)), { seen: 2, facts: over, due: Duration.infinity })
          return yield* stateOf(bench)
        })
      )
      const reopened = yield* using(place, (bench) =>
        Effect.gen(function* () {
          const { claim, recordOf, store } = bench
          const state = yield* stateOf(bench)
          const parked = (yield* bench.pages({ parked: true, limit: 2 })).flat()
          const found = yield* Effect.forEach(range(8), (i) => store.read({ responseId: `resp_${i}` }))
          // The store must behave as if it had never been closed.
          const { lease, record } = yield* again(bench, numbered(1), "b")
          const facts = factsOf(record.incarnation)
          const commit = commitOf(numbered(1), 2, { facts: [facts.requested(0)] })
          const answer = yield* store.commit(lease, commit)
          const expected = [facts.requested(0), facts.accepted(0, "resp_1"), facts.cancelRequested]
          yield* equal(plain(answer.facts), expected, "a commit that was made")
          yield* equal(plain((yield* recordOf(numbered(1))).journal), expected, "the journal after it")
          const { ids, taken } = yield* claim({ agents: ["tried"], owner: "third" })
          yield* equal(ids, ["tried"], "a run that is claimed")
          yield* equal(taken[0]?.record.attempts.length, 3, "its attempts")
          return { state, parked, found: found.map(Option.map(({ runId }) => String(runId))) }
        })
      )
      yield* equal(reopened.state, before, "the runs")
      yield* equal(reopened.parked, [0, 6].map(numbered), "the runs that are parked")
      const ids = range(8).map((i) => (i === 2 ? Option.none() : Option.some(numbered(i))))
      yield* equal(reopened.found, ids, "the runs of the responses")
    }),

  "the very last answer before the closing counts too": (place) =>
    Effect.forEach(
      range(6),
      Effect.fnUntraced(function* (i) {
        const id = numbered(i)
        const last: ReadonlyArray<(bench: Bench) => Effect.Effect<unknown, unknown>> = [
          ({ store }) => store.create(newRun(id)),
          (bench) => Effect.flatMap(advanced(bench, id), ({ commit }) => commit),
          ({ recordOf, store }) =>
            Effect.flatMap(recordOf(id), ({ incarnation }) =>
              store.record(idOf(id), factsOf(incarnation).refused(1), 0)
            ),
          (bench) =>
            Effect.flatMap(again(bench, id, "b"), ({ lease }) =>
              bench.store.release(lease, { ...leaveForGood, attempt: "reset" })
            ),
          ({ recordOf, store }) =>
            Effect.flatMap(recordOf(id), ({ incarnation }) =>
              store.conclude(idOf(id), {
                seen: all,
                facts: [factsOf(incarnation).ended("failed")],
                due: Duration.zero
              })
            ),
          ({ attempt }) => attempt(`w-${i}`),
          (bench) => Effect.flatMap(again(bench, id, "d"), ({ lease }) => bench.store.remove(lease))
        ]
        const expected = [
          Option.some({ ordinal: 0, facts: 0, isDue: true, attempts: 0 }),
          Option.some({ ordinal: 1, facts: 1, isDue: true, attempts: 0 }),
          Option.some({ ordinal: 1, facts: 2, isDue: true, attempts: 0 }),
          Option.some({ ordinal: 1, facts: 2, isDue: false, attempts: 0 }),
          Option.some({ ordinal: 1, facts: 3, isDue: true, attempts: 0 }),
          Option.some({ ordinal: 1, facts: 3, isDue: true, attempts: 1 }),
          Option.none()
        ]
        for (const [step, operation] of last.entries()) {
          // The lease may still hold, and `conclude` needs a run that nobody holds.
          if (step === 4) yield* using(place, (bench) => freed(bench, id))
          yield* using(place, operation)
          const record = yield* using(place, ({ store }) => store.read(idOf(id)))
          const found = Option.map(record, ({ attempts, due, journal, ordinal }) => ({
            ordinal,
            facts: journal.length,
            isDue: due !== null,
            attempts: attempts.length
          }))
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
      const bench = yield* Scope.provide(place.open, scope)
      const fibers = yield* Effect.forEach(range(16), (i) =>
        Effect.flatMap(advanced(bench, numbered(i)), ({ commit }) =>
          Effect.forkChild(commit, { startImmediately: i % 2 === 0 })
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
        yield* using(place, (bench) => Effect.flatMap(advanced(bench, id), ({ commit }) => cut(commit, moment)))
        const between = yield* using(place, ({ recordOf }) => recordOf(id))
        const whole = between.ordinal === 0 ? { ordinal: 0, at: -1, turns: [] } : { ordinal: 1, at: 1, turns: [1] }
        const { ordinal, position } = between
        yield* equal({ ordinal, at: position.sequenceNumber, turns: turnsOf(between) }, whole, "the commit is whole")
        yield* using(place, (bench) => Effect.flatMap(advanced(bench, id), ({ commit }) => commit))
        const { cancelRequested, refused: turnRefused } = factsOf(between.incarnation)
        yield* using(place, ({ store }) => cut(store.record(idOf(id), cancelRequested, 0), moment))
        yield* using(place, ({ store }) => store.record(idOf(id), cancelRequested, 0))
        const record = yield* using(place, ({ recordOf }) => recordOf(id))
        const facts = [factsOf(between.incarnation).requested(1), cancelRequested]
        yield* equal(plain(record.journal), facts, "once each")
        yield* using(place, ({ store }) => store.record(idOf(id), turnRefused(1), 0))
        const first = yield* using(place, (bench) =>
          Effect.gen(function* () {
            const { lease } = yield* again(bench, id)
            yield* cut(bench.store.remove(lease), moment)
            return lease
          })
        )
        yield* using(place, (bench) =>
          Effect.gen(function* () {
            const left = yield* bench.store.read(idOf(id))
            const held = Option.isNone(left) ? first : (yield* again(bench, id)).lease
            yield* equal(yield* bench.store.remove(held), true, "the answer")
          })
        )
        yield* equal(yield* using(place, ({ store }) => store.read(idOf(id))), Option.none(), "the run is gone")
      })
    ),

  "fences and incarnations rise over closing and opening, also when nothing else is left": (place) =>
    Effect.gen(function* () {
      let last = 0
      for (let round = 0; round < 5; round++) {
        const { fence, incarnation } = yield* using(place, (bench) =>
          Effect.gen(function* () {
            const { created, record } = yield* bench.store.create(newRun("r-1"))
            yield* equal(created, round === 0 || round % 2 === 1, "whether the run is a new one")
            const { lease } = yield* again(bench, "r-1", `owner-${round}`)
            if (round % 2 === 0) yield* bench.store.remove(lease)
            else yield* bench.store.release(lease, leave)
            return { incarnation: created ? record.incarnation : lease.fence, fence: lease.fence }
          })
        )
        yield* above(incarnation, last, "the incarnation rises")
        yield* above(fence, last, "the fence rises")
        last = Math.max(fence, incarnation)
      }
      // Also the incarnation of a run that nobody acquired.
      const created = yield* using(place, ({ store }) => store.create(newRun("r-2")))
      yield* above(created.record.incarnation, last, "the incarnation rises")
      const lease = yield* using(place, ({ acquire }) => acquire("r-2"))
      yield* above(lease.fence, created.record.incarnation, "the fence rises over an incarnation")
    }),

  "an input outlives the closing, as long as it is kept": (place) =>
    Effect.gen(function* () {
      const input = { text: "é 日本語 \u2028", until: "accepted" } as const
      const inputOf = (bench: Bench, id: string) => Effect.map(again(bench, id), (taken) => taken.input)
      yield* using(place, ({ store }) => Effect.forEach(["kept", "used"], (id) => store.create(newRun(id), { input })))
      const used = yield* using(place, (bench) =>
        Effect.gen(function* () {
          const { record } = yield* again(bench, "used")
          yield* bench.store.record(idOf("used"), factsOf(record.incarnation).accepted(0, "resp_1"), 0)
          return yield* inputOf(bench, "kept")
        })
      )
      yield* equal(used, input.text, "an input that is kept")
      const inputs = yield* using(place, (bench) => Effect.forEach(["kept", "used"], (id) => inputOf(bench, id)))
      yield* equal(inputs, [input.text, undefined], "one that is kept, and one that is not any more")
      const record = yield* using(place, ({ recordOf }) => recordOf("used"))
      yield* equal(record.input, undefined, "what the record says of it")
    }),

  "when a run is work outlives the closing, though who held it does not": (place) =>
    Effect.gen(function* () {
      yield* using(place, (bench) =>
        Effect.gen(function* () {
          const { acquire, begin, store, ttl } = bench
          yield* store.release((yield* begin("never")).lease, leaveForGood)
          yield* store.release((yield* begin("later")).lease, { ...leave, due: Duration.times(ttl, 100) })
          yield* store.release((yield* begin("held")).lease, leaveForGood)
          yield* acquire("held", "gone", ttl)
        })
      )
      yield* place.advance(place.beyond)
      const { held, records } = yield* using(place, ({ recordOf, work }) =>
        Effect.gen(function* () {
          return { held: yield* work, records: yield* Effect.forEach(["never", "later"], recordOf) }
        })
      )
      yield* equal(held, ["held"], "a run whose holder is gone is work")
      yield* equal(
        records.map(({ due }) => due !== null),
        [false, true],
        "others are when it was said"
      )
    }),

  "whoever is gone holds a run no longer than its lease, and writes nothing when it comes back": (place) =>
    Effect.gen(function* () {
      const gone = yield* using(place, ({ begin, ttl }) => Effect.map(begin("r-1", "a", ttl), ({ lease }) => lease))
      yield* place.advance(place.beyond)
      yield* using(place, (bench) =>
        Effect.gen(function* () {
          const { acquire, store } = bench
          const lease = yield* acquire("r-1", "b")
          yield* above(lease.fence, gone.fence, "the fence rises")
          yield* store.commit(lease, commitOf("r-1", 1))
          yield* writesNothing(bench, gone, "the gone worker's")
        })
      )
    }),

  "of two who open the place at once, one gets a run": (place) =>
    Effect.gen(function* () {
      const first = yield* place.open
      yield* Effect.forEach(range(16), (i) => first.store.create(newRun(numbered(i))))
      const second = yield* Effect.result(place.open)
      if (second._tag === "Failure") {
        // A place that only one process can open keeps the promise too.
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

/** Steals a run and releases it, so that nobody holds it. */
const freed = Effect.fnUntraced(function* (bench: Bench, id: string) {
  const { store } = bench
  const { lease } = yield* store.acquire(idOf(id), { owner: "b", ttl: lasting, steal: true })
  yield* store.release(lease, leaveForGood)
})
