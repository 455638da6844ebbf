import { assert, it } from "@effect/vitest"
import { TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect, Option } from "effect"
import { describeRedis, describeShared, start } from "../support/redisServer.ts"
import {
  begin,
  beside,
  commandsOf,
  factsOf,
  fill,
  frozen,
  idOf,
  idsOf,
  leave,
  named,
  pagesOf,
  placesOf,
  type Service,
  testing,
  ttl
} from "./store.ts"

const { newRun } = TokenStoreContract
const forGood = { ...leave, due: Duration.infinity }

/** Ends a run that nobody holds. */
const end = Effect.fnUntraced(function* (store: Service, id: string) {
  const { incarnation } = Option.getOrThrow(yield* store.read(idOf(id)))
  yield* store.conclude(idOf(id), { seen: 0, facts: [factsOf(incarnation).ended], due: Duration.infinity })
})

describeShared("listings of Redis", (server) => {
  const test = testing(server)

  test("ten thousand runs are listed in full pages, oldest first, each once", {}, (store) =>
    Effect.gen(function* () {
      const ids = named("run", 10_000)
      yield* fill(store, ids)
      const pages = yield* pagesOf(store, { limit: 300 })
      assert.deepStrictEqual(
        pages.map((page) => page.length),
        [...Array.from({ length: 33 }, () => 300), 100]
      )
      const all = pages.flat()
      assert.deepStrictEqual(new Set(all.map(({ runId }) => String(runId))), new Set(ids))
      assert.isTrue(all.every((run, i) => i === 0 || run.createdAt >= (all[i - 1]?.createdAt ?? 0)))
    })
  )

  test("a listing passes over more runs than one look does", { shards: 1 }, (store) =>
    Effect.gen(function* () {
      yield* Effect.forEach(
        named("parked", 1200),
        (id) => Effect.flatMap(begin(store, id), ({ lease }) => store.release(lease, { ...leave, parked: "broken" })),
        { concurrency: 100, discard: true }
      )
      yield* store.create(newRun("last"))
      const { cursor, items } = yield* store.list({ parked: false, limit: 5 })
      assert.deepStrictEqual(
        items.map(({ runId }) => String(runId)),
        ["last"]
      )
      assert.isUndefined(cursor)
    })
  )

  test("a run is in the indexes that its record says", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const of = (name: string) => `${name}:analyst`
      const places = placesOf(send, prefix, "r-1")
      const is = (...expected: ReadonlyArray<string>) =>
        Effect.map(places, (found) => assert.deepStrictEqual(found, ["idle", "runs", ...expected].toSorted()))
      const listed = Effect.all([
        Effect.map(store.list({ parked: true, limit: 10 }), idsOf),
        Effect.map(store.list({ parked: false, limit: 10 }), idsOf),
        Effect.map(store.list({ agent: "analyst", status: ["failed"], limit: 10 }), idsOf),
        Effect.map(store.list({ status: ["queued", "waiting"], limit: 10 }), idsOf)
      ])
      const both = ["r-1", "r-2"]
      for (const id of both) yield* store.create(newRun(id))
      const facts = factsOf(Option.getOrThrow(yield* store.read(idOf("r-1"))).incarnation)
      const take = Effect.map(store.acquire(idOf("r-1"), { owner: "a", ttl }), ({ lease }) => lease)
      assert.deepStrictEqual(yield* listed, [[], both, [], both])
      yield* is(of("status:queued"), of("work"))
      const first = yield* take
      assert.deepStrictEqual(yield* listed, [[], both, [], both])
      yield* is("held", of("status:queued"), of("work"))
      yield* store.release(first, { ...forGood, parked: "it is broken" })
      assert.deepStrictEqual(yield* listed, [["r-1"], ["r-2"], [], both])
      yield* is("held", of("parked"), of("status:queued"))
      const [aside] = (yield* store.list({ parked: true, limit: 1 })).items
      assert.strictEqual(aside?.parked?.reason, "it is broken")
      yield* store.release(yield* take, forGood)
      yield* is("held", of("status:waiting"))
      const lease = yield* take
      assert.deepStrictEqual(yield* listed, [[], both, [], both])
      yield* store.release(lease, { ...leave, parked: "it is broken" })
      assert.deepStrictEqual(yield* listed, [["r-1"], ["r-2"], [], both])
      yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      assert.deepStrictEqual(yield* listed, [[], both, [], both])
      yield* is("held", of("status:queued"), of("work"))
      yield* store.record(idOf("r-1"), facts.accepted("response-1"), 0)
      assert.deepStrictEqual(yield* listed, [[], both, [], ["r-2"]])
      yield* is("held", "responses", of("status:in_progress"), of("work"))
      yield* store.conclude(idOf("r-1"), { seen: 2, facts: [facts.ended], due: Duration.infinity })
      assert.deepStrictEqual(yield* listed, [[], both, ["r-1"], ["r-2"]])
      yield* is("held", "responses", of("status:failed"))
      const again = yield* take
      yield* store.commit(again, { seen: 3, facts: [factsOf(again.fence).retried] })
      yield* is("held", "responses", of("status:queued"), of("work"))
      yield* store.remove(again, { force: true })
      yield* store.remove((yield* store.acquire(idOf("r-2"), { owner: "a", ttl })).lease)
      assert.deepStrictEqual(yield* listed, [[], [], [], []])
      assert.deepStrictEqual(yield* places, [])
    })
  )

  test("a status that few runs have is found among many", { shards: 2 }, (store) =>
    Effect.gen(function* () {
      yield* fill(store, named("run", 600))
      for (const id of ["run-0100", "run-0500"]) yield* end(store, id)
      for (const agent of [undefined, "analyst"] as const) {
        const filter = { status: ["failed"] as const, limit: 1, ...(agent === undefined ? {} : { agent }) }
        assert.deepStrictEqual(
          (yield* pagesOf(store, filter)).map((page) => page.map(({ runId }) => String(runId))),
          [["run-0100"], ["run-0500"]]
        )
      }
    })
  )

  test("runs are counted by where they stand, all of them and those of one agent", { shards: 3 }, (store) =>
    Effect.gen(function* () {
      const none = {
        queued: 0,
        in_progress: 0,
        waiting: 0,
        completed: 0,
        incomplete: 0,
        failed: 0,
        cancelled: 0,
        expired: 0,
        parked: 0
      }
      assert.deepStrictEqual(yield* store.count({}), none)
      yield* fill(store, named("run", 30))
      yield* fill(store, named("verse", 7), {}, "poet")
      for (const id of ["run-0001", "run-0002", "verse-0001"]) yield* end(store, id)
      const { lease: parked } = yield* store.acquire(idOf("run-0003"), { owner: "a", ttl })
      yield* store.release(parked, { ...forGood, parked: "broken" })
      const { lease: waiting } = yield* store.acquire(idOf("verse-0002"), { owner: "a", ttl })
      yield* store.release(waiting, forGood)
      assert.deepStrictEqual(yield* store.count({}), { ...none, queued: 33, waiting: 1, failed: 3, parked: 1 })
      assert.deepStrictEqual(yield* store.count({ agent: "analyst" }), { ...none, queued: 28, failed: 2, parked: 1 })
      assert.deepStrictEqual(yield* store.count({ agent: "poet" }), { ...none, queued: 5, waiting: 1, failed: 1 })
      assert.deepStrictEqual(yield* store.count({ agent: "nobody" }), none)
    })
  )

  // All at the same time.
  test(
    "runs of one moment are listed by the bytes of their ids, over all shards and pages",
    { shards: 3 },
    (store) =>
      Effect.gen(function* () {
        const ids = ["é", "z", "a", "ab", "👍", "b", "￿", "a b", "é👍", "A"]
        for (const id of ids) yield* store.create(newRun(id))
        const expected = ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        for (const limit of [1, 3, 100]) {
          const pages = yield* pagesOf(store, { agent: "analyst", status: ["queued"], limit })
          assert.deepStrictEqual(
            pages.flat().map(({ runId }) => String(runId)),
            expected
          )
        }
      }),
    frozen
  )
})

describeRedis("what a look at Redis costs", () => {
  it.live("to list or count runs of an agent or a status costs the same beside thousands of others", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const given = Effect.succeed(server)
      yield* beside(given, { shards: 2, timeout: "20 seconds" }, (store) =>
        Effect.gen(function* () {
          yield* fill(store, named("verse", 12), {}, "poet")
          yield* fill(store, named("run", 12))
          yield* end(store, "verse-0001")
          const looks: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
            agent: store.list({ agent: "poet", limit: 5 }),
            status: store.list({ status: ["failed"], limit: 5 }),
            both: store.list({ agent: "poet", status: ["failed"], limit: 5 }),
            parked: store.list({ parked: true, limit: 5 }),
            first: store.list({ limit: 5 }),
            all: store.count({}),
            one: store.count({ agent: "poet" })
          }
          const measured = Effect.all(
            Object.fromEntries(Object.entries(looks).map(([name, look]) => [name, commandsOf(server.send, look)]))
          )
          // So that their scripts are known.
          yield* measured
          const before = yield* measured
          yield* fill(store, named("other", 2000))
          assert.deepStrictEqual(yield* measured, before)
        })
      )
    }).pipe(Effect.scoped)
  )
})
