import { type RunRecord, RunState, type TokenStore } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { all, type Bench, idOf, type Law, leave, leaveForGood, newRun, numbered, range } from "./bench.ts"
import { equal } from "./violation.ts"

// Each a moment after the one before it.
const fill = ({ advance, store }: Bench, count: number) =>
  Effect.forEach(range(count), (i) => Effect.andThen(store.create(newRun(numbered(i))), advance(Duration.millis(2))), {
    discard: true
  })

const idsOf = ({ store }: Bench, filter: Omit<TokenStore.RunFilter, "limit">) =>
  Effect.map(store.list({ ...filter, limit: 10 }), ({ items }) => items.map(({ runId }) => String(runId)).toSorted())

/** Takes a run and leaves it so. */
const left = ({ acquire, store }: Bench, id: string, options: TokenStore.ReleaseOptions) =>
  Effect.flatMap(acquire(id), (lease) => store.release(lease, options))

const parked: TokenStore.ReleaseOptions = { ...leave, parked: "later" }

export const listing = {
  "lists the oldest first, page by page, each run once": (bench) =>
    Effect.gen(function* () {
      yield* fill(bench, 23)
      const ids = range(23).map(numbered)
      const expected = [ids.slice(0, 5), ids.slice(5, 10), ids.slice(10, 15), ids.slice(15, 20), ids.slice(20)]
      yield* equal(yield* bench.pages({ limit: 5 }), expected, "pages of five")
      yield* equal(yield* bench.pages({ limit: 23 }), [ids], "one page of all")
    }),

  "runs of the same moment are each listed once": ({ pages, store }) =>
    Effect.gen(function* () {
      const ids = range(17).map((i) => `same-${i}`)
      yield* Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: "unbounded" })
      yield* equal((yield* pages({ limit: 4 })).flat().toSorted(), ids.toSorted(), "every run is listed once")
      const due = (yield* pages({ due: true, limit: 4 })).flat()
      yield* equal(due.toSorted(), ids.toSorted(), "every run that is work is listed once")
    }),

  "pages hold while runs are added and removed": (bench) =>
    Effect.gen(function* () {
      const { acquire, store } = bench
      yield* fill(bench, 9)
      const first = yield* store.list({ limit: 3 })
      yield* equal(typeof first.cursor, "string", "the first page is not the last")
      yield* store.remove(yield* acquire(numbered(2)))
      yield* store.remove(yield* acquire(numbered(4)))
      yield* store.create(newRun("z"))
      const second = yield* store.list({ limit: 3, cursor: first.cursor ?? "" })
      const ids = second.items.map(({ runId }) => runId)
      yield* equal(ids, [3, 5, 6].map(numbered), "the second page goes on where the first ended")
    }),

  "work comes in the order in which it was due, page by page, and what is held does not come": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, beyond, pages, store, ttl, work } = bench
      // Created in another order than they are due in.
      for (const id of ["third", "first", "held", "second", "never"]) {
        yield* store.create(newRun(id))
        yield* advance(Duration.millis(2))
      }
      const after = (share: number): TokenStore.ReleaseOptions => ({ ...leave, due: Duration.times(ttl, share) })
      yield* left(bench, "first", after(0.2))
      yield* left(bench, "second", after(0.5))
      yield* left(bench, "third", after(0.8))
      yield* left(bench, "never", leaveForGood)
      const lease = yield* acquire("held")
      yield* equal(yield* work, [], "nothing is due yet")
      yield* advance(beyond)
      yield* equal(yield* pages({ due: true, limit: 1 }), [["first"], ["second"], ["third"]], "pages of one")
      yield* equal(yield* work, ["first", "second", "third"], "one page")
      yield* store.release(lease, leave)
      yield* equal(yield* work, ["first", "second", "third", "held"], "with what was released last")
      yield* store.remove(yield* acquire("second"))
      yield* equal(yield* work, ["first", "third", "held"], "without what was removed")
    }),

  "filters by being parked, status and agent": (bench) =>
    Effect.gen(function* () {
      const { begin, recordOf, store } = bench
      yield* store.create(newRun("queued"))
      yield* store.create(newRun("other", { agent: "poet" }))
      const working = yield* begin("working")
      yield* store.commit(working.lease, { seen: 0, facts: [working.facts.requested(0)] })
      const { position } = yield* recordOf("working")
      yield* store.commit(working.lease, {
        seen: all,
        facts: [working.facts.accepted(0, "resp_1")],
        position: { ordinal: 1, token: { ...position, status: "in_progress" } }
      })
      const done = yield* begin("done")
      yield* store.commit(done.lease, { seen: 0, facts: [done.facts.ended("completed")] })
      yield* store.release(done.lease, leaveForGood)
      const waiting = yield* begin("waiting")
      const call = { callId: "c-1", name: "search", external: false }
      yield* store.commit(waiting.lease, {
        seen: 0,
        facts: [waiting.facts.accepted(0, "resp_2"), { ...waiting.facts.responseEnded(0, "resp_2"), calls: [call] }]
      })
      yield* store.release(waiting.lease, parked)
      const expect = Effect.fnUntraced(function* (
        filter: Omit<TokenStore.RunFilter, "limit">,
        ids: ReadonlyArray<string>
      ) {
        yield* equal(yield* idsOf(bench, filter), ids, `the runs of ${JSON.stringify(filter)}`)
      })
      yield* expect({ status: ["queued"] }, ["other", "queued"])
      yield* expect({ status: ["in_progress", "completed"] }, ["done", "working"])
      yield* expect({ status: ["waiting"] }, ["waiting"])
      yield* expect({ status: [] }, [])
      yield* expect({ agent: "poet" }, ["other"])
      yield* expect({ parked: true }, ["waiting"])
      yield* expect({ parked: false }, ["done", "other", "queued", "working"])
      yield* expect({ due: true }, ["other", "queued", "waiting"])
      yield* expect({ due: true, parked: false }, ["other", "queued"])
      yield* expect({ due: false, parked: false, agent: "analyst" }, ["done", "queued", "working"])
      yield* expect({ parked: true, status: ["queued"] }, [])
      const { items } = yield* store.list({ limit: 10 })
      const statuses = items.map((record) => [record.runId, RunState.statusOf(RunState.fold(record), record.position)])
      const expected = { done: "completed", other: "queued", queued: "queued", waiting: "waiting" }
      yield* equal(Object.fromEntries(statuses), { ...expected, working: "in_progress" }, "where they stand")
    }),

  "all filters together hold, page by page": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, beyond, pages, store, ttl } = bench
      // Of twelve runs in a row: every second is another agent's, every third is parked, every fourth is held.
      for (const i of range(24)) {
        yield* store.create(newRun(numbered(i), { agent: i % 2 === 0 ? "analyst" : "poet" }))
        if (i % 3 === 0) yield* left(bench, numbered(i), parked)
        yield* advance(Duration.millis(2))
      }
      const held = range(6).map((i) => numbered(i * 4))
      yield* Effect.forEach(held, (id) => acquire(id, "holder"))
      const filter = { due: true, parked: false, status: ["queued"], agent: "analyst" } as const
      const found = yield* pages({ ...filter, limit: 3 })
      const expected = range(24).filter((i) => i % 2 === 0 && i % 3 !== 0 && i % 4 !== 0)
      yield* equal(found.flat(), expected.map(numbered), "the runs that fulfil all of it")
      yield* equal(found.map(({ length }) => length).slice(0, 1), [3], "pages are full while there are runs")
      const free = range(24).filter((i) => i % 3 === 0 && i % 4 !== 0)
      const aside = (yield* pages({ due: true, parked: true, limit: 2 })).flat()
      yield* equal(aside, free.map(numbered), "those that are parked")
      yield* equal((yield* pages({ ...filter, status: ["completed"], limit: 2 })).flat(), [], "a status that none has")
      yield* Effect.forEach(held, (id) => acquire(id, "holder", ttl))
      yield* advance(beyond)
      const every = range(24).filter((i) => i % 2 === 0 && (i % 3 !== 0 || i % 4 === 0))
      const after = (yield* pages({ ...filter, limit: 3 })).flat()
      yield* equal(after, every.map(numbered), "once the leases ended, with those that were parked before")
    }),

  "pages of a filter hold while runs come and go": (bench) =>
    Effect.gen(function* () {
      const { advance, store } = bench
      yield* fill(bench, 30)
      const found: Array<string> = []
      let cursor: string | undefined
      let page = 0
      do {
        const next: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
          parked: false,
          limit: 4,
          ...(cursor === undefined ? {} : { cursor })
        })
        found.push(...next.items.map(({ runId }) => String(runId)))
        cursor = next.cursor
        yield* advance(Duration.millis(2))
        // The last one of the page, one before it, and one far ahead leave the list; another comes back to it.
        yield* left(bench, found.at(-1) ?? "", parked)
        if (page < 3) {
          yield* left(bench, numbered(page), parked)
          yield* left(bench, numbered(29 - page), parked)
        }
        if (page === 3) yield* left(bench, numbered(28), leave)
        page++
      } while (cursor !== undefined && page < 30)
      const expected = range(29).filter((i) => i !== 27)
      yield* equal(found, expected.map(numbered), "each run that is listed when its page is read, once, in order")
    }),

  "an empty store has one empty page": ({ store }) =>
    Effect.gen(function* () {
      yield* equal(yield* store.list({ limit: 10 }), { items: [] }, "the page")
      yield* equal(yield* store.list({ due: true, parked: false, limit: 10 }), { items: [] }, "the page of a filter")
    }),

  "a lease that ended is not shown in a list": ({ advance, begin, beyond, store, ttl }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1", "a", ttl)
      const shown = yield* store.list({ limit: 10 })
      yield* equal(shown.items[0]?.lease?.fence, lease.fence, "while it lasts")
      yield* advance(beyond)
      const { items } = yield* store.list({ limit: 10 })
      yield* equal([items[0]?.runId, items[0]?.lease], [idOf("r-1"), null], "once it ended")
    })
} satisfies Record<string, Law>
