import { Run, type RunRecord, RunState, type TokenStore } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { all, type Bench, factsOf, idOf, type Law, leave, leaveForGood, newRun, numbered, range } from "./bench.ts"
import { equal } from "./violation.ts"

// Creates the runs one after the other, with some time in between.
const fill = ({ advance, store }: Bench, count: number) =>
  Effect.forEach(range(count), (i) => Effect.andThen(store.create(newRun(numbered(i))), advance(Duration.millis(2))), {
    discard: true
  })

const idsOf = ({ store }: Bench, filter: Omit<TokenStore.RunFilter, "limit">) =>
  Effect.map(store.list({ ...filter, limit: 10 }), ({ items }) => items.map(({ runId }) => String(runId)).toSorted())

/** Acquires a run and releases it with these options. */
const left = ({ acquire, store }: Bench, id: string, options: TokenStore.ReleaseOptions) =>
  Effect.flatMap(acquire(id), (lease) => store.release(lease, options))

const statuses = Run.RunStatus.literals

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
      const queued = (yield* pages({ status: ["queued", "queued", "waiting"], limit: 4 })).flat()
      yield* equal(queued.toSorted(), ids.toSorted(), "every run that stands there is listed once")
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

  "filters by being parked, status and agent": (bench) =>
    Effect.gen(function* () {
      const { begin, store } = bench
      yield* store.create(newRun("queued"))
      yield* store.create(newRun("other", { agent: "poet" }))
      const working = yield* begin("working")
      yield* store.commit(working.lease, { seen: 0, facts: [working.facts.requested(0)] })
      yield* store.commit(working.lease, { seen: all, facts: [working.facts.accepted(0, "resp_1")] })
      const done = yield* begin("done")
      yield* store.commit(done.lease, { seen: 0, facts: [done.facts.ended("completed")] })
      yield* store.release(done.lease, leaveForGood)
      const aside = yield* begin("aside")
      yield* store.commit(aside.lease, { seen: 0, facts: [aside.facts.accepted(0, "resp_2")] })
      yield* store.release(aside.lease, parked)
      const expect = Effect.fnUntraced(function* (
        filter: Omit<TokenStore.RunFilter, "limit">,
        ids: ReadonlyArray<string>
      ) {
        yield* equal(yield* idsOf(bench, filter), ids, `the runs of ${JSON.stringify(filter)}`)
      })
      yield* expect({ status: ["queued"] }, ["other", "queued"])
      yield* expect({ status: ["in_progress", "completed"] }, ["aside", "done", "working"])
      yield* expect({ status: ["in_progress"] }, ["aside", "working"])
      yield* expect({ status: ["waiting"] }, [])
      yield* expect({ status: [] }, [])
      yield* expect({ agent: "poet" }, ["other"])
      yield* expect({ agent: "nobody" }, [])
      yield* expect({ parked: true }, ["aside"])
      yield* expect({ parked: false }, ["done", "other", "queued", "working"])
      yield* expect({ parked: false, agent: "analyst" }, ["done", "queued", "working"])
      yield* expect({ parked: true, status: ["queued"] }, [])
      yield* expect({ parked: true, status: ["in_progress"], agent: "analyst" }, ["aside"])
    }),

  "a listing by status has the runs whose records stand there, through all that happens to them": (bench) =>
    Effect.gen(function* () {
      const { acquire, begin, store } = bench
      const agree = Effect.fnUntraced(function* (what: string, expected: Run.RunStatus) {
        const { items } = yield* store.list({ limit: 10 })
        for (const record of items) {
          const status = RunState.statusOfRecord(record)
          yield* equal(status, expected, `where the run stands ${what}`)
          yield* equal(yield* idsOf(bench, { status: [status] }), ["r-1"], `the runs of ${status}, ${what}`)
          const others = statuses.filter((other) => other !== status)
          yield* equal(yield* idsOf(bench, { status: others }), [], `the runs that stand elsewhere, ${what}`)
          yield* equal((yield* store.count({}))[status], 1, `how many stand there, ${what}`)
        }
        yield* equal(items.length, 1, "how many runs there are")
      })
      const id = idOf("r-1")
      const { facts, lease } = yield* begin("r-1")
      yield* agree("when it is taken", "queued")
      yield* store.release(lease, leaveForGood)
      yield* agree("when only a fact makes it work", "waiting")
      yield* store.record(id, facts.accepted(0, "resp_1"), all)
      yield* agree("when a response was accepted", "in_progress")
      const call = { callId: "c-1", name: "search", external: false }
      yield* store.record(id, { ...facts.responseEnded(0, "resp_1"), calls: [call] }, all)
      yield* agree("when the response ended", "in_progress")
      const second = yield* acquire("r-1")
      yield* store.release(second, leaveForGood)
      yield* agree("when it waits for a call", "waiting")
      yield* acquire("r-1")
      yield* agree("when it is taken while it waits", "in_progress")
      yield* store.release(second, leave)
      yield* store.release(yield* acquire("r-1"), { ...leaveForGood, parked: "broken" })
      yield* agree("when it is parked", "in_progress")
      yield* store.conclude(id, { seen: all, facts: [facts.ended("failed")], due: Duration.infinity })
      yield* agree("when it ended", "failed")
      const last = yield* acquire("r-1")
      yield* store.commit(last, { seen: all, facts: [factsOf(last.fence).retried()] })
      yield* agree("when it is tried again", "queued")
      yield* store.commit(last, { seen: all, facts: [factsOf(last.fence).ended("completed")] })
      yield* agree("when that ended", "completed")
    }),

  "all filters together hold, page by page": (bench) =>
    Effect.gen(function* () {
      const { advance, pages, store } = bench
      // In every twelve runs, every second belongs to another agent, every third is parked, every fourth is waiting.
      for (const i of range(24)) {
        const labels = { mod: String(i % 3), half: i < 12 ? "first" : "second" }
        yield* store.create(newRun(numbered(i), { agent: i % 2 === 0 ? "analyst" : "poet", labels }))
        if (i % 4 === 0) yield* left(bench, numbered(i), leaveForGood)
        if (i % 3 === 0) yield* left(bench, numbered(i), parked)
        yield* advance(Duration.millis(2))
      }
      const of = (isIt: (i: number) => boolean) => range(24).filter(isIt).map(numbered)
      const filter = { parked: false, status: ["queued"], agent: "analyst" } as const
      const found = yield* pages({ ...filter, limit: 3 })
      yield* equal(
        found.flat(),
        of((i) => i % 2 === 0 && i % 3 !== 0 && i % 4 !== 0),
        "the runs that fulfil all of it"
      )
      yield* equal(found.map(({ length }) => length).slice(0, 1), [3], "pages are full while there are runs")
      const one = yield* pages({ ...filter, status: ["waiting", "queued"], limit: 1 })
      yield* equal(
        one.flat(),
        of((i) => i % 2 === 0 && i % 3 !== 0),
        "in pages of one"
      )
      yield* equal(
        (yield* pages({ parked: true, limit: 2 })).flat(),
        of((i) => i % 3 === 0),
        "those that are parked"
      )
      yield* equal((yield* pages({ ...filter, status: ["completed"], limit: 2 })).flat(), [], "a status that none has")
      const labelled = (labels: Record<string, string>, more: Omit<TokenStore.RunFilter, "limit"> = {}) =>
        Effect.map(pages({ ...more, labels, limit: 2 }), (listed) => listed.flat())
      yield* equal(
        yield* labelled({ mod: "1" }),
        of((i) => i % 3 === 1),
        "those of a label"
      )
      yield* equal(
        yield* labelled({ mod: "1", half: "second" }),
        of((i) => i % 3 === 1 && i >= 12),
        "those of two labels"
      )
      yield* equal(yield* labelled({ mod: "1", half: "third" }), [], "a label that none has with the other")
      yield* equal(
        yield* labelled({ half: "first" }, filter),
        of((i) => [2, 10].includes(i)),
        "with all other filters"
      )
      yield* equal(yield* labelled({}), range(24).map(numbered), "no labels do not matter")
    }),

  "counts runs by where they stand, as a listing has them": ({ acquire, advance, claim, pages, store }) =>
    Effect.gen(function* () {
      for (const i of range(30)) {
        const { record } = yield* store.create(newRun(numbered(i), { agent: i % 3 === 0 ? "poet" : "analyst" }))
        const facts = factsOf(record.incarnation)
        const end = statuses[i % statuses.length]
        const lease = yield* acquire(numbered(i))
        if (i % 4 === 1) yield* store.commit(lease, { seen: 0, facts: [facts.accepted(0, `resp_${i}`)] })
        if (i % 4 === 2) yield* store.commit(lease, { seen: 0, facts: [facts.ended(end ?? "completed")] })
        if (i % 5 === 0) yield* store.release(lease, parked)
        else if (i % 5 < 3) yield* store.release(lease, i % 2 === 0 ? leaveForGood : leave)
        if (i % 11 === 10) yield* store.remove(yield* acquire(numbered(i)), { force: true })
      }
      yield* claim({ limit: 2, agents: ["analyst", "poet"] })
      yield* advance(Duration.millis(2))
      for (const filter of [{}, { agent: "analyst" }, { agent: "poet" }, { agent: "nobody" }]) {
        const counts = yield* store.count(filter)
        for (const status of statuses) {
          const listed = (yield* pages({ ...filter, status: [status], limit: 7 })).flat()
          yield* equal(counts[status], listed.length, `how many are ${status} of ${JSON.stringify(filter)}`)
        }
        const aside = (yield* pages({ ...filter, parked: true, limit: 7 })).flat()
        yield* equal(counts.parked, aside.length, `how many are parked of ${JSON.stringify(filter)}`)
      }
    }),

  "labels come back as they were, up to eight of them": ({ pages, recordOf, store }) =>
    Effect.gen(function* () {
      const labels = {
        ...Object.fromEntries(range(5).map((i) => [`l-${i}`, `v-${i}`])),
        __proto__x: "",
        "é 👍": "日本語 \"'`\n",
        ["n".repeat(64)]: "v".repeat(256)
      }
      const { record } = yield* store.create(newRun("r-1", { labels }))
      yield* store.create(newRun("r-2"))
      yield* equal(record.labels, labels, "in the answer")
      yield* equal((yield* recordOf("r-1")).labels, labels, "in the record")
      yield* equal("labels" in (yield* recordOf("r-2")), false, "a run without labels has none")
      for (const [name, value] of Object.entries(labels)) {
        const found = (yield* pages({ labels: { [name]: value }, limit: 1 })).flat()
        yield* equal(found, ["r-1"], `the runs of the label ${name}`)
        yield* equal(
          (yield* pages({ labels: { [name]: `${value}x` }, limit: 1 })).flat(),
          [],
          `another value of ${name}`
        )
      }
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
        // The last run of the page, one before it and one far ahead leave the list. Another one comes back to it.
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
      const filter = { parked: false, status: ["queued"], agent: "analyst", labels: { a: "b" } } as const
      yield* equal(yield* store.list({ ...filter, limit: 10 }), { items: [] }, "the page of a filter")
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
