// The store over the nodes of a cluster, each of which has some of the shards.
import { Run, type RunRecord, TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option } from "effect"
import {
  describeRedis,
  describeShared,
  type RedisServer,
  patiently,
  startCluster,
  until
} from "../support/redisServer.ts"
import { moveSlot } from "./slots.ts"
import { advance, factsOf, hastened, storeOn } from "./store.ts"

type Service = TokenStore.TokenStore["Service"]

const { commitOf, newRun } = TokenStoreContract
const ttl = Duration.minutes(10)

describeShared(
  "in a cluster of three nodes",
  (server) => {
    TokenStoreContract.suite({ describe, it }, "Redis in a cluster of three", storeOn(server, {}, hastened), {
      live: true,
      ttl: "30 seconds",
      advance,
      runs: 1000
    })
  },
  { nodes: 3 }
)

/** The keys of a namespace on each node. */
const keysOn = (nodes: ReadonlyArray<RedisServer>, prefix: string) =>
  Effect.forEach(nodes, ({ send }) => send<ReadonlyArray<string>>("KEYS", `*${prefix}*`))

/** What all keys of a shard have in common: what stands in braces. */
const shardsOf = (keys: ReadonlyArray<string>) => new Set(keys.map((key) => /\{(.*?)\}/.exec(key)?.[1] ?? ""))

/** The runs of a listing, page by page. */
const pagesOf = Effect.fnUntraced(function* (store: Service) {
  const ids: Array<string> = []
  let cursor: string | undefined
  do {
    const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
      limit: 200,
      ...(cursor === undefined ? {} : { cursor })
    })
    ids.push(...page.items.map(({ runId }) => String(runId)))
    cursor = page.cursor
  } while (cursor !== undefined)
  return ids
})

describeRedis("a cluster", () => {
  it.live("has its runs on all nodes, and each shard on one", () =>
    Effect.gen(function* () {
      const cluster = yield* startCluster()
      const prefix = "spread"
      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        const ids = Array.from({ length: 200 }, (_, i) => `run-${i}`)
        yield* Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: "unbounded" })
      }).pipe(Effect.provide(storeOn(Effect.succeed(cluster), { prefix })))
      const shards = (yield* keysOn(cluster.nodes, `${prefix}:`)).map(shardsOf)
      assert.isTrue(
        shards.every(({ size }) => size > 0),
        `every node has some: ${shards.map(({ size }) => size).join(", ")}`
      )
      const all = shards.flatMap((each) => Array.from(each))
      assert.strictEqual(new Set(all).size, all.length, "no shard is on two nodes")
      assert.isAtLeast(all.length, 16)
    }).pipe(Effect.scoped)
  )

  it.live("may move a slot while its runs are written, and nothing is lost", () =>
    Effect.gen(function* () {
      const cluster = yield* startCluster()
      const prefix = "moved"
      const state = { isMoved: false, tries: 0 }
      /** How often each run was taken, told one more position, and left as work. */
      const rounds = new Map<string, number>()
      const trying = <A, E extends { readonly _tag: string; readonly isRetryable: boolean }>(
        effect: Effect.Effect<A, E>
      ) =>
        patiently(
          Effect.ensuring(
            effect,
            Effect.sync(() => state.tries++)
          )
        )
      /** Until so many operations more have succeeded or failed. */
      const passed = (more: number) =>
        Effect.suspend(() => {
          const enough = state.tries + more
          return until(() => state.tries >= enough)
        })

      /** Advances its own runs in turn, until the slot has moved. */
      const work = Effect.fnUntraced(function* (store: Service, worker: number) {
        const own = Array.from({ length: 8 }, (_, i) => `${worker}-${i}`)
        while (!state.isMoved || (rounds.get(own[0] ?? "") ?? 0) < 3) {
          for (const id of own) {
            const round = (rounds.get(id) ?? 0) + 1
            const { record } = yield* trying(
              store.create(newRun(id), { facts: [{ _tag: "Requested", by: "a", turn: 0, try: "1" }] })
            )
            const { lease } = yield* trying(store.acquire(record.runId, { owner: `worker ${worker}`, ttl }))
            const facts = round % 5 === 0 ? [factsOf(record.incarnation).requested(String(round))] : []
            yield* trying(store.commit(lease, commitOf(id, round, { seen: 100, facts })))
            yield* trying(store.release(lease, { seen: 100, due: Duration.zero, attempt: "back" }))
            rounds.set(id, round)
          }
        }
      })

      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        const workers = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 20 }, (_, i) => i),
            (i) => work(store, i),
            { concurrency: "unbounded" }
          )
        )
        const moving = Effect.gen(function* () {
          yield* passed(2000)
          const before = (yield* keysOn(cluster.nodes, `${prefix}:`)).map(shardsOf)
          const from = before.findIndex(({ size }) => size > 0)
          const to = (from + 1) % 3
          const [shard = ""] = before[from] ?? []
          yield* moveSlot(cluster.nodes, from, to, `{${shard}}`, passed(40))
          state.isMoved = true
          return { shard, to }
        })
        const { shard, to } = yield* Effect.raceFirst(moving, Effect.andThen(Fiber.join(workers), Effect.never))
        yield* Fiber.join(workers)
        const ids = Array.from(rounds.keys())
        const after = (yield* keysOn(cluster.nodes, `${prefix}:`)).map(shardsOf)
        assert.deepStrictEqual(
          after.map((shards) => shards.has(shard)),
          [0, 1, 2].map((node) => node === to)
        )
        for (const [id, round] of rounds) {
          const record = Option.getOrThrow(yield* store.read(Run.RunId.make(id)))
          assert.deepStrictEqual(record.position, commitOf(id, round).position?.token, id)
        }
        assert.deepStrictEqual((yield* pagesOf(store)).toSorted(), ids.toSorted(), "the runs")
        const looks = yield* Effect.forEach(store.shards, (each) =>
          store.claim({ agents: ["analyst"], owner: "another", ttl, limit: 1000, shard: each })
        )
        const claimed = looks.flatMap(({ taken }) => taken.map(({ lease }) => String(lease.runId)))
        assert.deepStrictEqual(claimed.toSorted(), ids.toSorted(), "the work")
      }).pipe(Effect.provide(storeOn(Effect.succeed(cluster), { prefix, shards: 4 })))
    }).pipe(Effect.scoped)
  )
})
