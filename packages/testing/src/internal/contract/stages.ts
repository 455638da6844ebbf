import { RunRecord, type TokenStore } from "@effect-baton/core"
import { Duration, Effect } from "effect"
import { type Bench, commitOf, type Law, newRun, numbered, range } from "./bench.ts"
import { equal } from "./violation.ts"

const everyStage: ReadonlyArray<RunRecord.Stage> = ["unfinished", "set aside", "finished"]

// The runs of each stage, which together must be all runs, each once.
const stagesOf = Effect.fnUntraced(function* ({ pages }: Bench) {
  const ofStage = (stage: RunRecord.Stage) => Effect.map(pages({ stage, limit: 2 }), (pages) => pages.flat().toSorted())
  const [unfinished, aside, finished] = yield* Effect.all([
    ofStage("unfinished"),
    ofStage("set aside"),
    ofStage("finished")
  ])
  const all = (yield* pages({ limit: 2 })).flat()
  yield* equal([...unfinished, ...aside, ...finished].toSorted(), all.toSorted(), "each run is in one stage")
  return { unfinished, aside, finished }
})

const change = Effect.fnUntraced(function* (
  { acquire, recordOf, store }: Bench,
  id: string,
  change: Partial<TokenStore.Commit>
) {
  const { ordinal } = yield* recordOf(id)
  const lease = yield* acquire(id)
  yield* store.commit(lease, commitOf(id, ordinal + 1, change))
  yield* store.release(lease)
})

export const stages = {
  "attempts are what the last commit said of them": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      const said = [undefined, 1, undefined, 2, 3, undefined, 0, undefined]
      const found: Array<number> = []
      for (const [i, attempts] of said.entries()) {
        yield* store.commit(lease, commitOf("r-1", i + 1, attempts === undefined ? {} : { attempts }))
        found.push((yield* recordOf("r-1")).attempts)
      }
      yield* equal(found, [0, 1, 1, 2, 3, 3, 0, 0], "the attempts after each commit")
    }),

  "a run is set aside for a reason and since a time, until a commit says that it is not": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, recordOf, store } = bench
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      yield* advance(Duration.millis(5))
      yield* store.commit(lease, commitOf("r-1", 1, { setAside: "no such agent" }))
      const first = yield* recordOf("r-1")
      yield* equal(first.setAside, { reason: "no such agent", at: first.updatedAt }, "reason and time")
      yield* advance(Duration.millis(5))
      yield* store.commit(lease, commitOf("r-1", 2))
      yield* equal((yield* recordOf("r-1")).setAside, first.setAside, "a commit that does not say leaves them")
      yield* store.commit(lease, commitOf("r-1", 3, { setAside: "" }))
      const other = yield* recordOf("r-1")
      yield* equal(other.setAside, { reason: "", at: other.updatedAt }, "another reason, and its time")
      yield* store.release(lease)
      yield* equal((yield* recordOf("r-1")).setAside, other.setAside, "releasing leaves them")
      yield* store.commit(yield* acquire("r-1", "b"), commitOf("r-1", 4, { setAside: null }))
      yield* equal((yield* recordOf("r-1")).setAside, null, "null clears them")
    }),

  "each run is in one stage, and moves with its commits": (bench) =>
    Effect.gen(function* () {
      const ids = ["a", "b", "c", "d", "e"]
      yield* Effect.forEach(ids, (id) => bench.store.create(newRun(id)))
      yield* equal(yield* stagesOf(bench), { unfinished: ids, aside: [], finished: [] }, "new runs")
      yield* change(bench, "b", { setAside: "later" })
      // An empty reason is one.
      yield* change(bench, "c", { setAside: "" })
      yield* change(bench, "d", { token: null, status: "completed" })
      // A consumer that is done has nothing left for workers, set aside or not.
      yield* change(bench, "e", { token: null, status: "failed", setAside: "broken" })
      const moved = { unfinished: ["a"], aside: ["b", "c"], finished: ["d", "e"] }
      yield* equal(yield* stagesOf(bench), moved, "after commits")
      yield* change(bench, "b", { setAside: null })
      yield* change(bench, "c", { status: "completed" })
      yield* change(bench, "e", { token: null, status: "failed", setAside: null })
      const back = { unfinished: ["a", "b"], aside: ["c"], finished: ["d", "e"] }
      yield* equal(yield* stagesOf(bench), back, "after others")
      for (const stage of everyStage) {
        const { items } = yield* bench.store.list({ stage, limit: 10 })
        yield* equal(
          items.map((record) => RunRecord.stage(record)),
          items.map(() => stage),
          "the records are of the stage"
        )
      }
      yield* bench.store.remove(newRun("a").runId)
      yield* bench.store.remove(newRun("d").runId)
      const left = { unfinished: ["b"], aside: ["c"], finished: ["e"] }
      yield* equal(yield* stagesOf(bench), left, "after removals")
    }),

  "stage, status, agent and lease filter together, page by page": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, beyond, pages, store, ttl } = bench
      // Of twelve runs in a row: every second is another agent's, every third is set aside, every fourth is leased.
      for (const i of range(24)) {
        yield* store.create(newRun(numbered(i), { agent: i % 2 === 0 ? "analyst" : "poet" }))
        if (i % 3 === 0) yield* change(bench, numbered(i), { setAside: "later" })
        yield* advance(Duration.millis(2))
      }
      const leased = range(6).map((i) => numbered(i * 4))
      yield* Effect.forEach(leased, (id) => acquire(id, "holder"))
      const expected = range(24).filter((i) => i % 2 === 0 && i % 3 !== 0 && i % 4 !== 0)
      const filter = { stage: "unfinished", status: ["queued"], agent: "analyst", unleased: true } as const
      const found = yield* pages({ ...filter, limit: 3 })
      yield* equal(found.flat(), expected.map(numbered), "the runs that fulfil all of it, oldest first")
      yield* equal(found.map(({ length }) => length).slice(0, 1), [3], "pages are full while there are runs")
      const aside = { stage: "set aside", status: ["in_progress"], unleased: true } as const
      const free = range(24).filter((i) => i % 3 === 0 && i % 4 !== 0)
      yield* equal((yield* pages({ ...aside, limit: 2 })).flat(), free.map(numbered), "those that are set aside")
      yield* equal((yield* pages({ ...aside, status: ["queued"], limit: 2 })).flat(), [], "a status that none has")
      yield* Effect.forEach(leased, (id) => acquire(id, "holder", ttl))
      yield* advance(beyond)
      const all = range(24).filter((i) => i % 2 === 0 && i % 3 !== 0)
      yield* equal((yield* pages({ ...filter, limit: 3 })).flat(), all.map(numbered), "once the leases ended")
    }),

  "pages of a stage hold while runs come and go": (bench) =>
    Effect.gen(function* () {
      const { advance, store } = bench
      yield* Effect.forEach(range(30), (i) =>
        Effect.andThen(store.create(newRun(numbered(i))), advance(Duration.millis(2)))
      )
      const found: Array<string> = []
      let cursor: string | undefined
      let page = 0
      do {
        const next: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
          stage: "unfinished",
          limit: 4,
          ...(cursor === undefined ? {} : { cursor })
        })
        found.push(...next.items.map(({ runId }) => String(runId)))
        cursor = next.cursor
        // The last one of the page, one behind it, and one far ahead leave the stage; another comes back to it.
        yield* change(bench, found.at(-1) ?? "", { token: null, status: "completed" })
        if (page < 3) {
          yield* change(bench, numbered(page), { setAside: "later" })
          yield* change(bench, numbered(29 - page), { setAside: "later" })
        }
        if (page === 3) yield* change(bench, numbered(28), { setAside: null })
        page++
      } while (cursor !== undefined && page < 30)
      const expected = range(29).filter((i) => i !== 27)
      yield* equal(found, expected.map(numbered), "each run that is in the stage when its page is read, once, in order")
    })
} satisfies Record<string, Law>
