import type { RunRecord, TokenStore } from "@effect-baton/core"
import { Duration, Effect } from "effect"
import { commitOf, idOf, type Law, newRun, numbered, range } from "./bench.ts"
import { equal } from "./violation.ts"

export const scale = {
  "ten thousand runs are kept, listed in order once each, and found by their stage": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, pages, runs, store } = bench
      const many = { concurrency: 100, discard: true } as const
      const all = range(runs)
      const batch = Math.max(1, Math.ceil(runs / 20))
      for (let from = 0; from < runs; from += batch) {
        yield* Effect.forEach(all.slice(from, from + batch), (i) => store.create(newRun(numbered(i))), many)
        yield* advance(Duration.millis(2))
      }
      // One in ten is finished, and one in ten is set aside.
      const finished = all.filter((i) => i % 10 === 3)
      const aside = all.filter((i) => i % 10 === 7)
      const change = (commit: Partial<TokenStore.Commit>) => (i: number) =>
        Effect.gen(function* () {
          const lease = yield* acquire(numbered(i))
          yield* store.commit(lease, commitOf(numbered(i), 1, commit))
          yield* store.release(lease)
        })
      yield* Effect.forEach(finished, change({ token: null, status: "completed" }), many)
      yield* Effect.forEach(aside, change({ setAside: "later" }), many)

      const listed: Array<string> = []
      let latest = 0
      let cursor: string | undefined
      do {
        const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
          limit: 500,
          ...(cursor === undefined ? {} : { cursor })
        })
        for (const { createdAt, runId } of page.items) {
          yield* equal(createdAt >= latest, true, "the oldest come first")
          latest = createdAt
          listed.push(runId)
        }
        cursor = page.cursor
      } while (cursor !== undefined && listed.length <= runs)
      yield* equal(listed.toSorted(), all.map(numbered), "each run is listed once")
      const inStage = (stage: RunRecord.Stage) =>
        Effect.map(pages({ stage, limit: 300 }), (pages) => pages.flat().toSorted())
      yield* equal(yield* inStage("finished"), finished.map(numbered), "the finished runs")
      yield* equal(yield* inStage("set aside"), aside.map(numbered), "the runs that are set aside")
      const unfinished = all.filter((i) => i % 10 !== 3 && i % 10 !== 7)
      yield* equal(yield* inStage("unfinished"), unfinished.map(numbered), "the unfinished runs")
      const some = all.filter((i) => i % Math.max(1, Math.floor(runs / 100)) === 0)
      yield* Effect.forEach(some, (i) => Effect.flatMap(store.read(idOf(numbered(i))), Effect.fromOption), many)
    })
} satisfies Record<string, Law>
