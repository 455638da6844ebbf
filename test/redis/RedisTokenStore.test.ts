import { assert, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import { Failpoint, Run, type RunRecord, RunState, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { Config, ConfigProvider, Duration, Effect, Fiber, Layer, Option, References, Result, Schedule } from "effect"
import { Redis } from "effect/persistence"
import { TokenStoreContract } from "@effect-baton/testing"
import { client, describeRedis, describeShared, start } from "../support/redisServer.ts"
import { advance, factsOf, frozen, hastened, leave, storeOn } from "./store.ts"

type Service = TokenStore.TokenStore["Service"]

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.seconds(30)
const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)
const never = { seen: 100, due: Duration.infinity, attempt: "keep" } as const

/** A run that was created and taken. */
const begin = Effect.fnUntraced(function* (store: Service, id: string, attempt = false) {
  const { record } = yield* store.create(newRun(id))
  const { lease } = yield* store.acquire(record.runId, { owner: "a", ttl, attempt })
  return { lease, record, facts: factsOf(record.incarnation) }
})

const idsOf = ({ items }: TokenStore.Page<RunRecord.RunRecord>) => items.map(({ runId }) => String(runId))

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
    ) => Effect.Effect<unknown, unknown>,
    clientOf = client
  ) =>
    it.live(
      title,
      () =>
        Effect.gen(function* () {
          const { send } = yield* server
          const prefix = `test-${crypto.randomUUID()}`
          yield* Effect.gen(function* () {
            yield* effect(yield* TokenStore.TokenStore, send, prefix)
          }).pipe(Effect.provide(storeOn(server, { prefix, ...options }, clientOf)))
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

  test("a run is in the indexes that its record says", {}, (store) =>
    Effect.gen(function* () {
      const listed = Effect.all([
        Effect.map(store.list({ due: true, limit: 10 }), idsOf),
        Effect.map(store.list({ parked: true, limit: 10 }), idsOf),
        Effect.map(store.list({ parked: false, limit: 10 }), idsOf)
      ])
      const both = ["r-1", "r-2"]
      for (const id of both) yield* store.create(newRun(id))
      const facts = factsOf(Option.getOrThrow(yield* store.read(idOf("r-1"))).incarnation)
      const take = Effect.map(store.acquire(idOf("r-1"), { owner: "a", ttl }), ({ lease }) => lease)
      assert.deepStrictEqual(yield* listed, [both, [], both])
      const first = yield* take
      assert.deepStrictEqual(yield* listed, [["r-2"], [], both])
      yield* store.release(first, { ...never, parked: "it is broken" })
      assert.deepStrictEqual(yield* listed, [["r-2"], ["r-1"], ["r-2"]])
      const [aside] = (yield* store.list({ parked: true, limit: 1 })).items
      assert.strictEqual(aside?.parked?.reason, "it is broken")
      const lease = yield* take
      assert.deepStrictEqual(yield* listed, [["r-2"], [], both])
      yield* store.release(lease, { ...leave, parked: "it is broken" })
      assert.deepStrictEqual(yield* listed, [["r-2", "r-1"], ["r-1"], ["r-2"]])
      yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
      assert.deepStrictEqual(yield* listed, [["r-2", "r-1"], [], both])
      yield* store.conclude(idOf("r-1"), { seen: 1, facts: [facts.ended], due: Duration.infinity })
      assert.deepStrictEqual(yield* listed, [["r-2"], [], both])
      yield* store.remove(yield* take)
      yield* store.remove((yield* store.acquire(idOf("r-2"), { owner: "a", ttl })).lease)
      assert.deepStrictEqual(yield* listed, [[], [], []])
    })
  )

  test(
    "runs whose holders died are work in the order in which they were due, however many they are",
    { shards: 1 },
    (store) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 1200 }, (_, i) => `run-${String(i).padStart(4, "0")}`)
        for (const id of ids) {
          yield* store.create(newRun(id))
        }
        yield* Effect.forEach(ids.slice(0, 1100), (id) => store.acquire(idOf(id), { owner: "a", ttl }), {
          concurrency: 100,
          discard: true
        })
        assert.deepStrictEqual(idsOf(yield* store.list({ due: true, limit: 2000 })), ids.slice(1100))
        yield* advance(Duration.seconds(31))
        const pages = yield* pagesOf(store, { due: true, limit: 500 })
        const found = pages.flat()
        assert.deepStrictEqual(
          pages.map((page) => page.length),
          [500, 500, 200]
        )
        assert.deepStrictEqual(
          found.map(({ runId }) => String(runId)),
          ids
        )
        assert.isTrue(found.every(({ due, lease }) => due !== null && lease === null))
      }),
    hastened
  )

  test("a status that few runs have is found among many", { shards: 2 }, (store) =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 600 }, (_, i) => `run-${i}`)
      yield* Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: 100, discard: true })
      for (const id of ["run-100", "run-500"]) {
        const { incarnation } = Option.getOrThrow(yield* store.read(idOf(id)))
        yield* store.conclude(idOf(id), { seen: 0, facts: [factsOf(incarnation).ended], due: Duration.infinity })
      }
      assert.deepStrictEqual(
        (yield* pagesOf(store, { status: ["failed"], limit: 1 })).map((page) => page.map(({ runId }) => String(runId))),
        [["run-100"], ["run-500"]]
      )
    })
  )

  test("a run of megabytes comes back as it was", {}, (store) =>
    Effect.gen(function* () {
      const run = newRun("big", { session: { previousResponseId: "é".repeat(1_000_000) } })
      yield* store.create(run)
      const { lease, record: before } = yield* store.acquire(run.runId, { owner: "a", ttl })
      const responseId = `"\\ | ${"👍".repeat(500_000)}`
      const facts = [factsOf(before.incarnation).accepted(responseId), factsOf(before.incarnation).requested("|\n")]
      const { facts: written } = yield* store.commit(lease, { seen: 0, facts })
      const { record } = yield* store.create(run)
      assert.deepStrictEqual(record.session, run.session)
      assert.deepStrictEqual(record.journal, written)
      assert.deepStrictEqual(
        record.journal,
        facts.map((fact) => ({ ...fact, at: record.updatedAt }))
      )
      assert.deepStrictEqual(Option.getOrThrow(yield* store.read({ responseId })).journal, written)
    })
  )

  test("all keys of a run and its indexes are in one slot", { shards: 3 }, (store, send, prefix) =>
    Effect.gen(function* () {
      for (let i = 0; i < 30; i++) {
        const id = `{${i}}`
        const { facts, lease } = yield* begin(store, id)
        yield* store.commit(lease, {
          seen: 0,
          facts: [facts.requested(), facts.accepted(`response-${i}`), facts.ended, facts.delivered]
        })
        yield* store.release(lease, { ...leave, parked: "it is broken" })
      }
      const keys = yield* send<Array<string>>("KEYS", `*${prefix}*`)
      // How many shards there are is said once, in a slot of its own.
      for (const key of keys) assert.match(key, new RegExp(`^\\{${prefix}:([0-2]\\}:|shards\\}$)`))
      // Three of a run, six of each shard (fence, runs, work, parked, ends, responses), and how many shards there are.
      assert.strictEqual(keys.length, 90 + 3 * 6 + 1)
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
      const { facts, lease } = yield* begin(store, "new")
      yield* store.commit(lease, { seen: 0, facts: [facts.accepted("response-1")] })
      const key = `{${prefix}:0}:run:new`
      yield* send("HSET", key, "version", "3", "position", "of another form", "novel", "field")
      yield* send("HDEL", key, "until", "run", "length")
      const before = yield* send<unknown>("HGETALL", key)
      const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly kind?: string }>> = [
        store.create(newRun("new")),
        store.read(idOf("new")),
        store.read({ responseId: "response-1" }),
        store.acquire(idOf("new"), { owner: "b", ttl, steal: true }),
        store.renew(lease, ttl, 0),
        store.release(lease, leave),
        store.commit(lease, commitOf("new", 9)),
        store.commit(lease, { seen: 0, facts: [facts.ended] }),
        store.record(idOf("new"), facts.cancelRequested, 0),
        store.conclude(idOf("new"), { seen: 0, facts: [facts.ended], due: Duration.zero }),
        store.remove(lease),
        store.remove(lease, { force: true })
      ]
      for (const operation of operations) assert.strictEqual((yield* failure(operation)).kind, "newer")
      for (const filter of [{}, { due: true }, { parked: false }]) {
        assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10, ...filter })), ["old"])
      }
      assert.deepStrictEqual(yield* send<unknown>("HGETALL", key), before)
    })
  )

  test("a run that cannot be read is named, and hides no other", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const damages: ReadonlyArray<readonly [field: string, value: string]> = [
        ["position", "{"],
        ["position", `{"version":2}`],
        ["run", "null"],
        ["incarnation", "first"],
        ["ordinal", "many"],
        ["attempts", "?"],
        ["due", "soon"],
        ["until", "soon"],
        ["length", "1"],
        ["length", "long"],
        ["version", "1"],
        ["version", "one"]
      ]
      yield* store.create(newRun("sound"))
      for (const [i, [field, value]] of damages.entries()) {
        const id = `r-${i}`
        yield* store.create(newRun(id))
        const key = `{${prefix}:0}:run:${id}`
        yield* send("HSET", key, field, value)
        const error = yield* failure(store.read(idOf(id)))
        assert.strictEqual(error.kind, "corrupt", field)
        assert.include(error.message, `'${key}'`)
        assert.isFalse(error.isRetryable)
        for (const filter of [{}, { due: true }, { parked: false }]) {
          assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10, ...filter })), ["sound"])
        }
      }
      yield* send("SET", `{${prefix}:0}:run:a-text`, "a text")
      assert.strictEqual((yield* failure(store.read(idOf("a-text")))).kind, "corrupt")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  test("nobody holds a run that could not be read when it was taken", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const key = `{${prefix}:0}:run:r-1`
      yield* store.create(newRun("r-1"))
      const position = Option.getOrThrow(yield* store.read(idOf("r-1"))).position
      yield* send("HSET", key, "position", "{")
      const taken = store.acquire(idOf("r-1"), { owner: "ghost", ttl, attempt: true })
      const error = yield* failure(taken)
      assert.strictEqual(error._tag === "TokenStoreError" && error.kind, "corrupt")
      yield* send("HSET", key, "position", JSON.stringify(position))
      const { lease, record } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl, attempt: true })
      assert.strictEqual(record.lease?.owner, "b")
      assert.deepStrictEqual(record.attempts, [lease.fence])
    })
  )

  test(
    "a run of which Redis lost a part is not what Baton wrote, and is not changed",
    { shards: 1 },
    (store, send, prefix) =>
      Effect.gen(function* () {
        for (const part of ["journal", "keys"]) {
          const id = `without-${part}`
          const { facts, lease } = yield* begin(store, id)
          yield* store.commit(lease, { seen: 0, facts: [facts.requested(), facts.accepted(`response of ${id}`)] })
          yield* send("DEL", `{${prefix}:0}:${part}:${id}`)
          const key = `{${prefix}:0}:run:${id}`
          const before = yield* send<unknown>("HGETALL", key)
          const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly kind?: string }>> = [
            store.create(newRun(id)),
            store.read(idOf(id)),
            store.acquire(idOf(id), { owner: "a", ttl }),
            store.acquire(idOf(id), { owner: "b", ttl, steal: true }),
            store.commit(lease, { seen: 2, guard: true, facts: [facts.requested("2")] }),
            store.record(idOf(id), facts.cancelRequested, 0),
            store.conclude(idOf(id), { seen: 2, facts: [facts.ended], due: Duration.zero }),
            store.remove(lease)
          ]
          for (const operation of operations) assert.strictEqual((yield* failure(operation)).kind, "corrupt")
          assert.deepStrictEqual(yield* send<unknown>("HGETALL", key), before)
        }
        assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10 })), [])
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  test("who lost the lease writes nothing under it, and what it bought is recorded all the same", {}, (store) =>
    Effect.gen(function* () {
      const { facts, lease: lost } = yield* begin(store, "r-1")
      yield* store.commit(lost, { seen: 0, guard: true, facts: [facts.requested("lost")] })
      const { lease } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl, steal: true })
      assert.isAbove(lease.fence, lost.fence)
      for (const operation of [
        store.commit(lost, commitOf("r-1", 1)),
        store.commit(lost, { seen: 1, facts: [facts.ended] }),
        store.renew(lost, ttl, 1),
        store.remove(lost, { force: true })
      ] as ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>>) {
        assert.strictEqual((yield* failure(operation))._tag, "LeaseLost")
      }
      yield* store.release(lost, never)
      const recorded = yield* store.record(idOf("r-1"), facts.accepted("response-1", "lost"), 1)
      assert.deepStrictEqual(
        recorded.map(({ _tag }) => _tag),
        ["Accepted"]
      )
      assert.deepStrictEqual(yield* store.renew(lease, ttl, 1), recorded)
      const { facts: seen, outcome } = yield* store.commit(lease, { seen: 1, guard: true, facts: [facts.ended] })
      assert.strictEqual(outcome, "moved")
      assert.deepStrictEqual(seen, recorded)
      const found = Option.getOrThrow(yield* store.read({ responseId: "response-1" }))
      assert.strictEqual(found.runId, idOf("r-1"))
      assert.strictEqual(found.ordinal, 0)
      assert.strictEqual(found.lease?.owner, "b")
      assert.deepStrictEqual(
        found.journal.map(({ _tag }) => _tag),
        ["Requested", "Accepted"]
      )
    })
  )

  test(
    "a run is not forgotten if a response was bought for it while it was looked at",
    { shards: 1 },
    (store, send, prefix) =>
      Effect.gen(function* () {
        const { facts, lease } = yield* begin(store, "r-1")
        yield* store.commit(lease, { seen: 0, facts: [facts.ended] })
        // Between the two scripts of the removal somebody records what was bought.
        let scripts = 0
        const meanwhile = (url: string) =>
          Layer.effect(
            Redis.Redis,
            Effect.map(Redis.Redis, (redis) => ({
              ...redis,
              send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
                command === "EVALSHA" && ++scripts === 2
                  ? Effect.andThen(
                      Effect.orDie(store.record(lease.runId, facts.accepted("response-1"), 0)),
                      redis.send<A>(command, ...args)
                    )
                  : redis.send<A>(command, ...args)
            }))
          ).pipe(Layer.provide(client(url)))
        const isRemoved = yield* TokenStore.TokenStore.pipe(
          Effect.flatMap((slower) => slower.remove(lease)),
          Effect.provide(storeOn(server, { prefix, shards: 1 }, meanwhile))
        )
        assert.isAbove(scripts, 2)
        assert.isFalse(isRemoved)
        const { journal } = Option.getOrThrow(yield* store.read(lease.runId))
        assert.strictEqual(RunState.fold({ incarnation: 0, journal }).loose.length, 1)
        assert.isTrue(yield* store.remove(lease, { force: true }))
        assert.isTrue(Option.isNone(yield* store.read({ responseId: "response-1" })))
        assert.deepStrictEqual(yield* send<unknown>("KEYS", `*${prefix}*r-1*`), [])
      })
  )

  test("runs that are over are kept for their time, and then are in no index", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const key = (name: string) => `{${prefix}:0}:${name}`
      const indexes = Effect.all(
        ["runs", "work", "held", "parked", "ends", "responses"].map((name) =>
          Effect.map(send<Array<string>>("ZRANGE", key(name), "0", "-1"), (members) => members.join())
        )
      )
      for (const id of ["done", "other"]) {
        const { facts, lease } = yield* begin(store, id)
        yield* store.commit(lease, { seen: 0, facts: [facts.accepted(`of-${id}`), facts.ended, facts.delivered] })
        yield* store.release(lease, { ...leave, parked: "it is broken" })
      }
      for (const name of ["run:done", "journal:done"]) {
        const left = yield* send<number>("PTTL", key(name))
        assert.isAtMost(left, Duration.toMillis("30 days"))
        assert.isAbove(left, Duration.toMillis("29 days"))
      }
      assert.deepStrictEqual(yield* indexes, [
        "done,other",
        "done,other",
        "",
        "done,other",
        "done,other",
        "of-done\0done,of-other\0other"
      ])

      yield* send("PEXPIRE", key("run:done"), "1")
      yield* Effect.repeat(send<number>("EXISTS", key("run:done")), { until: (exists) => exists === 0 })
      assert.isTrue(Option.isNone(yield* store.read({ responseId: "of-done" })))
      assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10 })), ["other"])
      assert.deepStrictEqual(yield* indexes, ["other", "other", "", "other", "other", "of-other\0other"])
      assert.strictEqual(yield* send<number>("EXISTS", key("keys:done")), 0)

      // Also if nobody lists them.
      yield* send("DEL", key("run:other"), key("journal:other"))
      yield* send("ZADD", key("ends"), "1000", "other")
      yield* store.create(newRun("later"))
      assert.deepStrictEqual(yield* indexes, ["later", "later", "", "", "", ""])
      assert.strictEqual(yield* send<number>("EXISTS", key("keys:other")), 0)
    })
  )

  test("a run is kept until it is over, and from then on for its time", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const isKept = (id: string) =>
        Effect.map(
          Effect.all(["run", "journal"].map((key) => send<number>("PTTL", `{${prefix}:0}:${key}:${id}`))),
          ([run = 0, journal = 0]) => {
            assert.strictEqual(run < 0, journal < 0)
            return run === -1
          }
        )
      // Nobody was promised this run.
      const { facts, lease } = yield* begin(store, "r-1")
      yield* store.commit(lease, { seen: 0, facts: [facts.requested()] })
      assert.isTrue(yield* isKept("r-1"))
      yield* store.release(lease, leave)
      yield* store.conclude(idOf("r-1"), { seen: 1, facts: [facts.ended], due: Duration.infinity })
      assert.isFalse(yield* isKept("r-1"))
      // Somebody is, now, and has not seen the end.
      const { lease: handler } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl, attempt: true })
      assert.isTrue(yield* isKept("r-1"))
      yield* store.commit(handler, { seen: 2, facts: [facts.delivered] })
      assert.isFalse(yield* isKept("r-1"))
      // It goes on.
      const next = factsOf(handler.fence)
      yield* store.commit(handler, { seen: 3, guard: true, facts: [next.retried] })
      assert.isTrue(yield* isKept("r-1"))
      // A late end of the incarnation before is not its end.
      yield* store.commit(handler, { seen: 4, facts: [facts.ended, next.requested("2")] })
      assert.isTrue(yield* isKept("r-1"))
      yield* store.record(idOf("r-1"), next.cancelRequested, 0)
      yield* store.record(idOf("r-1"), facts.accepted("late"), 0)
      assert.isTrue(yield* isKept("r-1"))
      yield* store.commit(handler, { seen: 7, facts: [next.ended, next.delivered] })
      assert.isFalse(yield* isKept("r-1"))
      assert.deepStrictEqual(yield* send<unknown>("ZRANGE", `{${prefix}:0}:ends`, "0", "-1"), ["r-1"])
    })
  )

  test(
    "a run is kept for ever if nobody says for how long",
    { shards: 1, retention: "Infinity" },
    (store, send, prefix) =>
      Effect.gen(function* () {
        const { facts, lease } = yield* begin(store, "r-1")
        yield* store.commit(lease, { seen: 0, facts: [facts.ended] })
        assert.strictEqual(yield* send<number>("PTTL", `{${prefix}:0}:run:r-1`), -1)
      })
  )

  test("the fences of a run that was removed and created again go on rising", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      // As after a clock that went back: the last fence is from the future.
      const future = "4000000000000000"
      yield* send("SET", `{${prefix}:0}:fence`, future)
      for (const expected of [4000000000000001, 4000000000000003]) {
        const { lease, record } = yield* begin(store, "r-1")
        assert.strictEqual(record.incarnation, expected)
        assert.strictEqual(record.position.incarnation, expected)
        assert.strictEqual(lease.fence, expected + 1)
        yield* store.remove(lease)
      }
    })
  )

  test(
    "no two runs have the same incarnation, in whatever shards they are, as no fence is given twice",
    { shards: 7 },
    (store) =>
      Effect.gen(function* () {
        const given = yield* Effect.forEach(
          Array.from({ length: 200 }, (_, i) => `run-${i}`),
          (id) => Effect.map(begin(store, id), ({ lease, record }) => [record.incarnation, lease.fence]),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(given.flat()).size, 400)
      }),
    // All at the same time.
    frozen
  )

  test("each writing operation passes its two places", {}, (store) =>
    Effect.gen(function* () {
      const passed: Array<string> = []
      yield* Effect.gen(function* () {
        const { facts, lease } = yield* begin(store, "r-1")
        yield* store.renew(lease, ttl, 0)
        yield* store.commit(lease, commitOf("r-1", 1))
        yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
        yield* store.conclude(idOf("r-1"), { seen: 1, facts: [], due: Duration.zero })
        yield* store.remove(lease)
        yield* store.release(lease, leave)
      }).pipe(Effect.provideService(Failpoint.Failpoint, (place) => Effect.sync(() => void passed.push(place))))
      assert.deepStrictEqual(passed.toSorted(), RedisTokenStore.failpoints.toSorted())
    })
  )

  test("who looks for runs in other shards starts none, and is told how many there are", {}, (store, _, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const other = yield* TokenStore.TokenStore.pipe(
        Effect.flatMap((second) => failure(second.create(newRun("r-1")))),
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
            const { facts, lease, record } = yield* begin(store, "r-1")
            assert.isAbove(record.incarnation, last)
            assert.isAbove(lease.fence, record.incarnation)
            last = lease.fence
            yield* server.send("FLUSHALL")
            assert.strictEqual((yield* failure(store.commit(lease, commitOf("r-1", 1))))._tag, "LeaseLost")
            assert.strictEqual((yield* failure(store.record(idOf("r-1"), facts.ended, 0)))._tag, "Gone")
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
    "the user needs no more than the documentation says",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        const commands = [
          ..."eval evalsha time exists del get set setnx pexpire persist".split(" ").map((name) => `+${name}`),
          ..."hash list set sortedset".split(" ").map((name) => `+@${name}`)
        ]
        // What the client sends when it connects.
        const rules = ["on", ">secret", "~{reports:*", "-@all", "+@connection", ...commands]
        yield* server.send("ACL", "SETUSER", "baton", ...rules)
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          const { facts, lease } = yield* begin(store, "r-1")
          yield* store.renew(lease, ttl, 0)
          yield* store.commit(lease, { seen: 0, facts: [facts.accepted("response-1"), facts.ended] })
          yield* store.release(lease, { ...leave, parked: "it is broken" })
          yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
          yield* store.conclude(idOf("r-1"), { seen: 3, facts: [facts.requested()], due: Duration.zero })
          assert.isTrue(Option.isSome(yield* store.read({ responseId: "response-1" })))
          for (const filter of [{}, { due: true }, { parked: true }]) yield* store.list({ limit: 1, ...filter })
          const again = yield* store.acquire(idOf("r-1"), { owner: "a", ttl, attempt: true })
          assert.isFalse(yield* store.remove(again.lease))
          assert.isTrue(yield* store.remove(again.lease, { force: true }))
        }).pipe(
          Effect.provide(
            RedisTokenStore.layer({ prefix: "reports" }).pipe(
              Layer.provide(client(server.url.replace("//", "//baton:secret@")))
            )
          )
        )
      }).pipe(Effect.scoped),
    30_000
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
              failure(store.renew(lease, Duration.seconds(1), 0)),
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
