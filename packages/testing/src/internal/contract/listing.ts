import type { TokenStore } from "@effect-baton/core"
import { Duration, Effect } from "effect"
import { type Bench, commitOf, idOf, type Law, newRun, numbered, range } from "./bench.ts"
import { equal } from "./violation.ts"

// Each a moment after the one before it.
const fill = ({ advance, store }: Bench, count: number) =>
  Effect.forEach(range(count), (i) => Effect.andThen(store.create(newRun(numbered(i))), advance(Duration.millis(2))), {
    discard: true
  })

const idsOf = ({ store }: Bench, filter: Omit<TokenStore.RunFilter, "limit">) =>
  Effect.map(store.list({ ...filter, limit: 10 }), ({ items }) => items.map(({ runId }) => String(runId)).toSorted())

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
    }),

  "pages hold while runs are added and removed": (bench) =>
    Effect.gen(function* () {
      const { store } = bench
      yield* fill(bench, 9)
      const first = yield* store.list({ limit: 3 })
      yield* equal(typeof first.cursor, "string", "the first page is not the last")
      yield* store.remove(idOf(numbered(2)))
      yield* store.remove(idOf(numbered(4)))
      yield* store.create(newRun("z"))
      const second = yield* store.list({ limit: 3, cursor: first.cursor ?? "" })
      const ids = second.items.map(({ runId }) => runId)
      yield* equal(ids, [3, 5, 6].map(numbered), "the second page goes on where the first ended")
    }),

  "filters by status, agent and lease": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, beyond, store, ttl } = bench
      yield* store.create(newRun("queued"))
      yield* store.create(newRun("other", { agent: "poet" }))
      yield* store.create(newRun("working"))
      yield* store.create(newRun("done"))
      const done = yield* acquire("done")
      yield* store.commit(done, commitOf("done", 1, { status: "completed", token: null }))
      yield* store.release(done)
      const working = yield* acquire("working")
      yield* store.commit(working, commitOf("working", 1))
      const expect = Effect.fnUntraced(function* (
        filter: Omit<TokenStore.RunFilter, "limit">,
        ids: ReadonlyArray<string>
      ) {
        yield* equal(yield* idsOf(bench, filter), ids, `the runs of ${JSON.stringify(filter)}`)
      })
      yield* expect({ status: ["queued"] }, ["other", "queued"])
      yield* expect({ status: ["in_progress", "completed"] }, ["done", "working"])
      yield* expect({ status: [] }, [])
      yield* expect({ agent: "poet" }, ["other"])
      yield* expect({ unleased: true }, ["done", "other", "queued"])
      yield* expect({ unleased: true, status: ["queued"], agent: "analyst" }, ["queued"])
      yield* store.renew(working, ttl)
      yield* advance(beyond)
      yield* expect({ unleased: true }, ["done", "other", "queued", "working"])
    }),

  "an empty store has one empty page": ({ store }) =>
    Effect.gen(function* () {
      yield* equal(yield* store.list({ limit: 10 }), { items: [] }, "the page")
      yield* equal(yield* store.list({ stage: "unfinished", limit: 10 }), { items: [] }, "the page of a stage")
    })
} satisfies Record<string, Law>
