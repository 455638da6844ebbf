import type { RunRecord, TokenStore } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { factsOf, idOf, type Law, leave, leaveForGood, newRun, numbered, range } from "./bench.ts"
import { equal } from "./violation.ts"

export const scale = {
  "ten thousand runs are kept, listed in order once each, and found by what they are": (bench) =>
    Effect.gen(function* () {
      const { acquire, advance, claim, pages, recordOf, runs, store } = bench
      const many = { concurrency: 100, discard: true } as const
      const numbers = range(runs)
      const batch = Math.max(1, Math.ceil(runs / 20))
      for (let from = 0; from < runs; from += batch) {
        yield* Effect.forEach(numbers.slice(from, from + batch), (i) => store.create(newRun(numbered(i))), many)
        yield* advance(Duration.millis(2))
      }
      // Of ten runs one is over and one is parked.
      const over = numbers.filter((i) => i % 10 === 3)
      const parked = numbers.filter((i) => i % 10 === 7)
      const work = numbers.filter((i) => i % 10 !== 3 && i % 10 !== 7)
      const finish = Effect.fnUntraced(function* (i: number) {
        const { incarnation } = yield* recordOf(numbered(i))
        const facts = [factsOf(incarnation).accepted(0, `resp-${i}`), factsOf(incarnation).ended("completed")]
        const lease = yield* acquire(numbered(i))
        yield* store.commit(lease, { seen: 0, facts })
        yield* store.release(lease, leaveForGood)
      })
      const park = Effect.fnUntraced(function* (i: number) {
        yield* store.release(yield* acquire(numbered(i)), { ...leave, parked: "later" })
      })
      yield* Effect.forEach(over, finish, many)
      yield* Effect.forEach(parked, park, many)

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
      yield* equal(listed.toSorted(), numbers.map(numbered), "each run is listed once")
      const found = (filter: Omit<TokenStore.RunFilter, "limit">) =>
        Effect.map(pages({ ...filter, limit: 300 }), (all) => all.flat().toSorted())
      yield* equal(yield* found({ status: ["completed"] }), over.map(numbered), "the runs that are over")
      yield* equal(yield* found({ parked: true }), parked.map(numbered), "the runs that are parked")
      const { in_progress: running, ...counts } = yield* store.count({ agent: "analyst" })
      const none = { waiting: 0, incomplete: 0, failed: 0, cancelled: 0, expired: 0 }
      const standing = { ...none, queued: runs - over.length, completed: over.length, parked: parked.length }
      yield* equal({ running, ...counts }, { running: 0, ...standing }, "how many stand where")
      const taken: Array<string> = []
      for (const worker of range(50)) {
        const { ids } = yield* claim({ owner: `worker-${worker}`, limit: Math.ceil(work.length / 40) })
        taken.push(...ids)
      }
      yield* equal(taken.toSorted(), work.map(numbered), "each run that is work is claimed once")
      const some = numbers.filter((i) => i % Math.max(1, Math.floor(runs / 100)) === 0)
      yield* Effect.forEach(some, (i) => Effect.flatMap(store.read(idOf(numbered(i))), Effect.fromOption), many)
      yield* Effect.forEach(
        over.slice(0, 100),
        (i) =>
          Effect.flatMap(Effect.flatMap(store.read({ responseId: `resp-${i}` }), Effect.fromOption), ({ runId }) =>
            equal(runId, numbered(i), "the run of a response")
          ),
        many
      )
    })
} satisfies Record<string, Law>
