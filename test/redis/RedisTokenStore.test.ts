import { assert, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import { Failpoint, Run, type RunRecord, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { Config, ConfigProvider, Duration, Effect, Fiber, Layer, References, Result, Schedule } from "effect"
import { Redis } from "effect/persistence"
import { TokenStoreContract } from "@effect-baton/testing"
import { client, describeRedis, describeShared, start } from "../support/redisServer.ts"
import { storeOn } from "./store.ts"

type Service = TokenStore.TokenStore["Service"]

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.seconds(30)
const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)

/** All pages of a listing. */
const pagesOf = Effect.fnUntraced(function* (store: Service, filter: TokenStore.RunFilter) {
  const pages: Array<ReadonlyArray<RunRecord.RunRecord>> = []
  let cursor: string | undefined
  do {
    const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
      ...filter,
      ...(cursor === undefined ? {} : { cursor })
    })
    pages.push(page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  return pages
})

describeShared("Redis store", (server) => {
  const test = (
    title: string,
    options: RedisTokenStore.Options,
    effect: (
      store: Service,
      send: <A = unknown>(...command: ReadonlyArray<string>) => Effect.Effect<A>,
      prefix: string
    ) => Effect.Effect<unknown, unknown>
  ) =>
    it.live(
      title,
      () =>
        Effect.gen(function* () {
          const { send } = yield* server
          const prefix = `test-${crypto.randomUUID()}`
          yield* Effect.gen(function* () {
            yield* effect(yield* TokenStore.TokenStore, send, prefix)
          }).pipe(Effect.provide(storeOn(server, { prefix, ...options })))
        }),
      300_000
    )

  test("ten thousand runs are listed in full pages, oldest first, each once", {}, (store) =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 10_000 }, (_, i) => `run ${i}`)
      yield* Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: 100, discard: true })
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
      const ids = Array.from({ length: 2500 }, (_, i) => `run-${i}`)
      yield* Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: 100, discard: true })
      yield* store.create(newRun("last", { agent: "poet" }))
      const { cursor, items } = yield* store.list({ agent: "poet", limit: 5 })
      assert.deepStrictEqual(
        items.map(({ runId }) => String(runId)),
        ["last"]
      )
      assert.isUndefined(cursor)
    })
  )

  test("each stage has its index, and a run is in one of them", {}, (store) =>
    Effect.gen(function* () {
      const inStages = Effect.all(
        (["unfinished", "set aside", "finished"] as const).map((stage) =>
          Effect.map(store.list({ stage, limit: 10 }), ({ items }) => items.map(({ runId }) => String(runId)))
        )
      )
      yield* store.create(newRun("r-1"))
      yield* store.create(newRun("r-2"))
      const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
      assert.deepStrictEqual(
        yield* inStages,
        [["r-1", "r-2"].toSorted(), [], []].map((ids) => ids)
      )
      yield* store.commit(lease, commitOf("r-1", 1, { setAside: "it is broken", attempts: 3 }))
      assert.deepStrictEqual(yield* inStages, [["r-2"], ["r-1"], []])
      const [aside] = (yield* store.list({ stage: "set aside", limit: 1 })).items
      assert.strictEqual(aside?.setAside?.reason, "it is broken")
      assert.strictEqual(aside?.attempts, 3)
      yield* store.commit(lease, commitOf("r-1", 2))
      assert.deepStrictEqual(yield* inStages, [["r-2"], ["r-1"], []])
      yield* store.commit(lease, commitOf("r-1", 3, { setAside: null }))
      assert.deepStrictEqual(yield* inStages, [["r-1", "r-2"], [], []])
      yield* store.commit(lease, commitOf("r-1", 4, { token: null, status: "completed" }))
      assert.deepStrictEqual(yield* inStages, [["r-2"], [], ["r-1"]])
      yield* store.commit(lease, commitOf("r-1", 5))
      assert.deepStrictEqual(yield* inStages, [["r-1", "r-2"], [], []])
      yield* store.remove(idOf("r-1"))
      yield* store.remove(idOf("r-2"))
      assert.deepStrictEqual(yield* inStages, [[], [], []])
    })
  )

  test("a run of megabytes comes back as it was", {}, (store) =>
    Effect.gen(function* () {
      const run = newRun("big", { session: { previousResponseId: "é".repeat(1_000_000) } })
      yield* store.create(run)
      const { lease } = yield* store.acquire(run.runId, { owner: "a", ttl })
      const entry: RunRecord.JournalEntry = {
        _tag: "Accepted",
        turn: 1,
        responseId: `"\\ ${"👍".repeat(500_000)}`,
        streamed: true
      }
      yield* store.commit(lease, commitOf("big", 1, { journal: [entry, entry] }))
      const { record } = yield* store.create(run)
      assert.deepStrictEqual(record.session, run.session)
      assert.deepStrictEqual(record.journal, [entry, entry])
    })
  )

  test("all keys of a run and its indexes are in one slot", { shards: 3 }, (store, send, prefix) =>
    Effect.gen(function* () {
      for (let i = 0; i < 30; i++) {
        const id = `{${i}}`
        yield* store.create(newRun(id))
        const { lease } = yield* store.acquire(idOf(id), { owner: "a", ttl })
        yield* store.commit(
          lease,
          commitOf(id, 1, { token: null, status: "completed", journal: [{ _tag: "Requested", turn: 0 }] })
        )
      }
      const keys = yield* send<Array<string>>("KEYS", `*${prefix}*`)
      // How many shards there are is said once, in a slot of its own.
      for (const key of keys) assert.match(key, new RegExp(`^\\{${prefix}:([0-2]\\}:|shards\\}$)`))
      // A run, its journal, four keys of each shard (fence, runs, ends, finished), and how many shards there are.
      assert.strictEqual(keys.length, 60 + 3 * 4 + 1)
    })
  )

  test("where runs are stays where it is", {}, (store, send, prefix) =>
    Effect.gen(function* () {
      for (const id of ["r-1", "é👍", "report-2026-11"]) yield* store.create(newRun(id))
      assert.deepStrictEqual(
        (yield* send<Array<string>>("KEYS", `*${prefix}*:run:*`)).map((key) => key.replace(prefix, "baton")).toSorted(),
        ["{baton:11}:run:r-1", "{baton:2}:run:é👍", "{baton:9}:run:report-2026-11"].toSorted()
      )
    })
  )

  test("a script that the server forgot is sent again", {}, (store, send) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
      yield* send("SCRIPT", "FLUSH")
      yield* store.commit(lease, commitOf("r-1", 1))
      yield* send("SCRIPT", "FLUSH")
      assert.strictEqual((yield* store.list({ limit: 1 })).items[0]?.ordinal, 1)
    })
  )

  test("a run of a later version is left alone", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("old"))
      yield* store.create(newRun("new"))
      const { lease } = yield* store.acquire(idOf("new"), { owner: "a", ttl })
      const key = `{${prefix}:0}:run:new`
      yield* send("HSET", key, "version", "2", "token", "of another form", "novel", "field")
      yield* send("HDEL", key, "until", "run")
      const before = yield* send<unknown>("HGETALL", key)
      const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly kind?: string }>> = [
        store.create(newRun("new")),
        store.read(idOf("new")),
        store.acquire(idOf("new"), { owner: "b", ttl, takeOver: true }),
        store.renew(lease, ttl),
        store.release(lease),
        store.commit(lease, commitOf("new", 9)),
        store.signal(idOf("new"), { _tag: "Cancel" }),
        store.remove(idOf("new"))
      ]
      for (const operation of operations) assert.strictEqual((yield* failure(operation)).kind, "newer")
      for (const stage of [undefined, "unfinished"] as const) {
        const { items } = yield* store.list({ limit: 10, ...(stage === undefined ? {} : { stage }) })
        assert.deepStrictEqual(
          items.map(({ runId }) => String(runId)),
          ["old"]
        )
      }
      assert.deepStrictEqual(yield* send<unknown>("HGETALL", key), before)
    })
  )

  test("a run that cannot be read is named, and hides no other", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const damages: ReadonlyArray<readonly [field: string, value: string]> = [
        ["token", "{"],
        ["token", `{"version":1}`],
        ["run", "null"],
        ["status", "thinking"],
        ["ordinal", "many"],
        ["signals", "?"],
        ["until", "soon"],
        ["version", "one"]
      ]
      yield* store.create(newRun("sound"))
      for (const [field, value] of damages) {
        yield* store.create(newRun("r-1"))
        const key = `{${prefix}:0}:run:r-1`
        yield* send("HSET", key, field, value)
        const error = yield* failure(store.read(idOf("r-1")))
        assert.strictEqual(error.kind, "corrupt", field)
        assert.include(error.message, `'${key}'`)
        assert.isFalse(error.isRetryable)
        const { items } = yield* store.list({ limit: 10 })
        assert.deepStrictEqual(
          items.map(({ runId }) => String(runId)),
          ["sound"]
        )
        yield* store.remove(idOf("r-1"))
      }
      yield* send("SET", `{${prefix}:0}:run:r-2`, "a text")
      assert.strictEqual((yield* failure(store.read(idOf("r-2")))).kind, "corrupt")
    })
  )

  test("finished runs are kept for their time, and then are in no index", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const key = (name: string) => `{${prefix}:0}:${name}`
      for (const id of ["done", "other"]) {
        yield* store.create(newRun(id))
        const { lease } = yield* store.acquire(idOf(id), { owner: "a", ttl })
        yield* store.commit(
          lease,
          commitOf(id, 1, { token: null, status: "completed", journal: [{ _tag: "Requested", turn: 0 }] })
        )
      }
      const left = yield* send<number>("PTTL", key("run:done"))
      assert.isAtMost(left, Duration.toMillis("30 days"))
      assert.isAbove(left, Duration.toMillis("29 days"))
      assert.isAbove(yield* send<number>("PTTL", key("journal:done")), Duration.toMillis("29 days"))

      yield* send("PEXPIRE", key("run:done"), "1")
      yield* Effect.repeat(send<number>("EXISTS", key("run:done")), { until: (exists) => exists === 0 })
      assert.deepStrictEqual(
        (yield* store.list({ stage: "finished", limit: 10 })).items.map(({ runId }) => String(runId)),
        ["other"]
      )
      for (const index of ["runs", "ends", "finished"]) {
        assert.deepStrictEqual(yield* send<unknown>("ZRANGE", key(index), "0", "-1"), ["other"], index)
      }

      // Also where nobody lists them.
      yield* send("DEL", key("run:other"), key("journal:other"))
      yield* send("ZADD", key("ends"), "1000", "other")
      yield* store.create(newRun("later"))
      assert.deepStrictEqual(yield* send<unknown>("ZRANGE", key("runs"), "0", "-1"), ["later"])
      assert.deepStrictEqual(yield* send<unknown>("ZRANGE", key("finished"), "0", "-1"), [])
    })
  )

  test("a run that is not finished any more is kept", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
      yield* store.commit(lease, commitOf("r-1", 1, { token: null, journal: [{ _tag: "Requested", turn: 0 }] }))
      yield* store.commit(lease, commitOf("r-1", 2))
      for (const key of ["run", "journal"]) {
        assert.strictEqual(yield* send<number>("PTTL", `{${prefix}:0}:${key}:r-1`), -1)
      }
    })
  )

  test("the fences of a run that was removed and created again go on rising", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      // As after a clock that went back: the last fence is from the future.
      const future = "4000000000000000"
      yield* send("SET", `{${prefix}:0}:fence`, future)
      for (const expected of [4000000000000001, 4000000000000002]) {
        yield* store.create(newRun("r-1"))
        const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
        assert.strictEqual(lease.fence, expected)
        yield* store.remove(idOf("r-1"))
      }
    })
  )

  test("each writing operation passes its two places", {}, (store) =>
    Effect.gen(function* () {
      const passed: Array<string> = []
      yield* Effect.gen(function* () {
        yield* store.create(newRun("r-1"))
        const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
        yield* store.renew(lease, ttl)
        yield* store.commit(lease, commitOf("r-1", 1))
        yield* store.signal(idOf("r-1"), { _tag: "Cancel" })
        yield* store.release(lease)
        yield* store.remove(idOf("r-1"))
      }).pipe(Effect.provideService(Failpoint.Failpoint, (place) => Effect.sync(() => void passed.push(place))))
      assert.deepStrictEqual(passed.toSorted(), RedisTokenStore.failpoints.toSorted())
    })
  )

  test("who looks for runs in other shards starts none, and is told how many there are", {}, (store, _, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const other = yield* TokenStore.TokenStore.pipe(
        Effect.flatMap((store) => failure(store.create(newRun("r-1")))),
        Effect.provide(storeOn(server, { prefix, shards: 8 }))
      )
      assert.strictEqual(other.kind, "denied")
      assert.include(other.description, "shards: 16")
    })
  )

  it.live("a namespace is whatever it is called", () =>
    Effect.gen(function* () {
      const unique = crypto.randomUUID()
      for (const prefix of [`{${unique}`, `}${unique}`, `${unique}{}`, `${unique}%7B%7D`, `${unique} é:1`]) {
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          assert.isTrue((yield* store.create(newRun("r-1"))).created, prefix)
          yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
          assert.strictEqual((yield* store.list({ limit: 5 })).items.length, 1)
        }).pipe(Effect.provide(storeOn(server, { prefix })))
      }
    })
  )

  it.live("takes its settings from the configuration", () =>
    Effect.gen(function* () {
      const { send, url } = yield* server
      const prefix = `test-${crypto.randomUUID()}`
      yield* Effect.flatMap(TokenStore.TokenStore, (store) => store.create(newRun("r-1"))).pipe(
        Effect.provide(
          RedisTokenStore.layerConfig({
            prefix: Config.String("PREFIX"),
            retention: Config.Duration("RETENTION")
          }).pipe(
            Layer.provide(client(url)),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ PREFIX: prefix, RETENTION: "1 hour" })))
          )
        )
      )
      assert.strictEqual((yield* send<Array<string>>("KEYS", `*${prefix}*:run:r-1`)).length, 1)
    })
  )
})

describeRedis("Redis store on a server of its own", () => {
  it.live(
    "a fence never goes back, not even after the server was emptied",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          let last = 0
          for (let i = 0; i < 5; i++) {
            yield* store.create(newRun("r-1"))
            const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
            assert.isAbove(lease.fence, last)
            last = lease.fence
            yield* server.send("FLUSHALL")
            assert.strictEqual((yield* failure(store.commit(lease, commitOf("r-1", 1))))._tag, "LeaseLost")
          }
        }).pipe(Effect.provide(storeOn(Effect.succeed(server))))
      }).pipe(Effect.scoped),
    300_000
  )

  it.live(
    "a wrong password is told, and not printed",
    () =>
      Effect.gen(function* () {
        const server = yield* start({ settings: ["--requirepass", "correct-horse"] })
        const url = server.url.replace("//", "//default:battery-staple@")
        const refused = yield* failure(Effect.scoped(Layer.build(NodeRedis.layer({ url }))))
        assert.include(String(refused.cause), "WRONGPASS")

        // A password that was changed while the client was connected.
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          const redis = yield* Redis.Redis
          yield* redis.send("ACL", "SETUSER", "default", "-@all", "+@connection")
          const error = yield* failure(store.create(newRun("r-1")))
          assert.strictEqual(error.kind, "denied")
          assert.include(error.message, "grant")
          assert.notInclude(JSON.stringify(error) + String(error.stack), "correct-horse")
        }).pipe(
          Effect.provide(
            RedisTokenStore.layer().pipe(
              Layer.provideMerge(NodeRedis.layer({ url: server.url.replace("//", "//default:correct-horse@") }))
            )
          )
        )
      }).pipe(Effect.scoped),
    300_000
  )

  it.live(
    "an answer that does not come in time is unavailable, and a lease's sooner",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          yield* store.create(newRun("r-1"))
          const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl: Duration.seconds(1) })
          yield* server.pause
          const before = performance.now()
          const [renew, acquire, commit] = yield* Effect.all(
            [
              failure(store.renew(lease, Duration.seconds(1))),
              failure(store.acquire(idOf("r-1"), { owner: "a", ttl: Duration.seconds(1) })).pipe(
                Effect.tap(() => Effect.sync(() => assert.isBelow(performance.now() - before, 1500)))
              ),
              failure(store.commit(lease, commitOf("r-1", 1)))
            ],
            { concurrency: "unbounded" }
          )
          for (const error of [renew, acquire, commit]) {
            assert.strictEqual(error._tag, "TokenStoreError")
            if (error._tag === "TokenStoreError") assert.strictEqual(error.kind, "unavailable")
          }
          yield* server.resume
          assert.isTrue(Result.isSuccess(yield* Effect.result(store.read(idOf("r-1")))))
        }).pipe(Effect.provide(storeOn(Effect.succeed(server), { timeout: "2 seconds" })))
      }).pipe(Effect.scoped),
    300_000
  )

  it.live(
    "a client is not made while the server is down, unless it is told to wait; one that was made comes back",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        const { url } = server
        const create = Effect.flatMap(TokenStore.TokenStore, (store) => store.create(newRun("r-1")))
        const waiting = NodeRedis.layer({
          url,
          disableOfflineQueue: true,
          socket: { reconnectStrategy: (retries) => Math.min(20 * 2 ** retries, 2000) }
        })
        yield* Effect.gen(function* () {
          yield* create
          yield* server.kill
          const refused = yield* failure(Effect.scoped(Layer.build(NodeRedis.layer({ url }))))
          assert.include(String(refused.cause), "ECONNREFUSED")
          const late = yield* Effect.forkChild(
            Effect.provide(create, RedisTokenStore.layer().pipe(Layer.provide(waiting)), { local: true })
          )
          const down = yield* Effect.flip(create)
          assert.strictEqual(down.kind, "unavailable")
          assert.isTrue(down.isRetryable)
          yield* server.restart
          yield* Effect.retry(create, { schedule: Schedule.spaced("20 millis"), times: 500 })
          yield* Fiber.join(late)
        }).pipe(Effect.provide(storeOn(Effect.succeed(server))))
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")),
    300_000
  )
})
