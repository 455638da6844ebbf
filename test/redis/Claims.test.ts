import { assert, it } from "@effect/vitest"
import { TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect, Option, References } from "effect"
import { Redis } from "effect/persistence"
import { logged } from "../support/logs.ts"
import { client, describeRedis, describeShared, start } from "../support/redisServer.ts"
import {
  advance,
  begin,
  beside,
  changingSend,
  claimOn,
  commandsOf,
  fill,
  hastened,
  idOf,
  leave,
  named,
  type Service,
  testing,
  ttl
} from "./store.ts"

const { commitOf, newRun } = TokenStoreContract
const forGood = { ...leave, due: Duration.infinity }
const hour = Duration.hours(1)

/** Runs that are no work, or not of the agent that is asked for. */
const others = (store: Service, count: number) =>
  Effect.gen(function* () {
    yield* fill(store, named("foreign", count), {}, "poet")
    yield* fill(store, named("later", count), { due: hour })
    yield* Effect.forEach(
      named("done", count),
      (id) =>
        Effect.gen(function* () {
          const { facts, lease } = yield* begin(store, id)
          yield* store.commit(lease, { seen: 0, facts: [facts.ended, facts.delivered] })
          yield* store.release(lease, forGood)
        }),
      { concurrency: 100, discard: true }
    )
    for (const [name, release] of [
      ["leased", undefined],
      ["parked", { ...leave, parked: "broken" }],
      ["waiting", forGood]
    ] as const) {
      yield* Effect.forEach(
        named(name, count),
        (id) =>
          Effect.gen(function* () {
            yield* store.create(newRun(id))
            const { lease } = yield* store.acquire(idOf(id), { owner: "holder", ttl: hour })
            if (release !== undefined) yield* store.release(lease, release)
          }),
        { concurrency: 100, discard: true }
      )
    }
  })

describeRedis("what a claim in Redis costs", () => {
  it.live("it is one script, and costs the same beside thousands of runs that are leased, over, later or others'", () =>
    Effect.gen(function* () {
      const server = yield* start()
      let sent = 0
      const counting = changingSend(client, (send) => (command, args) => {
        if (command === "EVALSHA" || command === "EVAL") sent++
        return send(command, ...args)
      })
      yield* beside(
        Effect.succeed(server),
        { shards: 1, timeout: "20 seconds" },
        (store) =>
          Effect.gen(function* () {
            // Some of what is due, and more than is due.
            const measured = Effect.fnUntraced(function* (name: string) {
              yield* fill(store, named(name, 10))
              const claim = (limit: number, count: number) =>
                commandsOf(
                  server.send,
                  Effect.map(claimOn(store, { owner: `${name} ${limit}`, limit, ttl: hour }), ({ ids }) =>
                    assert.strictEqual(ids.length, count)
                  )
                )
              return [yield* claim(4, 4), yield* claim(500, 6)]
            })
            yield* measured("first")
            const before = yield* measured("second")
            assert.isAbove(before[0]?.["zrangebyscore"] ?? 0, 0)
            yield* others(store, 350)
            assert.deepStrictEqual(yield* measured("third"), before)
            sent = 0
            yield* claimOn(store)
            assert.strictEqual(sent, 1)
          }),
        counting
      )
    }).pipe(Effect.scoped)
  )
})

describeShared("claims in Redis", (server) => {
  const test = testing(server)

  test("what cannot be read keeps none behind it from being taken", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const log = logged()
      const key = (id: string) => `{${prefix}:0}:run:${id}`
      const newer = named("newer", 150)
      const corrupt = named("corrupt", 150)
      yield* fill(store, newer)
      yield* fill(store, corrupt)
      yield* fill(store, named("run", 20))
      for (const id of newer) yield* send("HSET", key(id), "version", "3")
      for (const id of corrupt.slice(0, 100)) yield* send("HSET", key(id), "length", "7")
      for (const id of corrupt.slice(100)) yield* send("HSET", key(id), "position", "{")
      const work = `{${prefix}:0}:work:analyst`
      const before = yield* send<unknown>("ZRANGEBYSCORE", work, "-inf", "+inf", "WITHSCORES", "LIMIT", "0", "150")
      let claims = 0
      const claim = Effect.suspend(() => claimOn(store, { limit: 10, owner: `worker ${claims++}` })).pipe(
        Effect.provide(log.layer)
      )
      const first = yield* claim
      assert.deepStrictEqual(first.ids, [])
      // Those whose JSON is broken are only known to be so once they were taken, ten at a time.
      const taken: Array<string> = []
      while (taken.length < 20) taken.push(...(yield* claim).ids)
      assert.deepStrictEqual(new Set(taken), new Set(named("run", 20)))
      for (const id of corrupt) {
        assert.strictEqual(log.lines.filter((line) => line.includes(`'${key(id)}'`)).length, 1, id)
      }
      assert.isTrue(
        log.lines.every((line) => line.includes("Warn") || line.includes("WARN")),
        log.lines[0]
      )
      // What a later version wrote is where it was; what is corrupt is looked at again, but not at once.
      assert.deepStrictEqual(
        yield* send<unknown>("ZRANGEBYSCORE", work, "-inf", "+inf", "WITHSCORES", "LIMIT", "0", "150"),
        before
      )
      assert.strictEqual(yield* send("HGET", key("corrupt-0000"), "length"), "7")
      const rest = yield* claimOn(store, { owner: "other" })
      assert.deepStrictEqual(rest.ids, [])
      assert.isAbove(Duration.toMillis(rest.next[0] ?? Duration.zero), 1000)
    })
  )

  test(
    "a run that cannot be read is given back, and found when it can be read again",
    { shards: 1 },
    (store, send, prefix) =>
      Effect.gen(function* () {
        for (const [id, field, broken] of [
          ["r-1", "position", "{"],
          ["r-2", "length", "7"]
        ] as const) {
          const key = `{${prefix}:0}:run:${id}`
          yield* store.create(newRun(id))
          const sound = yield* send<string>("HGET", key, field)
          yield* send("HSET", key, field, broken)
          assert.deepStrictEqual((yield* claimOn(store, { owner: "ghost" })).ids, [])
          yield* send("HSET", key, field, sound)
          const { attempts, lease } = Option.getOrThrow(yield* store.read(idOf(id)))
          assert.deepStrictEqual({ attempts, lease }, { attempts: [], lease: null })
          assert.deepStrictEqual((yield* claimOn(store, { owner: id })).ids, [])
          yield* advance(Duration.seconds(61))
          const { taken } = yield* claimOn(store, { owner: id, ttl: Duration.minutes(10) })
          assert.deepStrictEqual(
            taken.map(({ record }) => [record.runId, record.attempts.length]),
            [[idOf(id), 1]]
          )
        }
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None")),
    hastened
  )

  test("a claim whose answer is lost is repeated, and answers the same runs", { shards: 2 }, (store, _, prefix) =>
    Effect.gen(function* () {
      yield* fill(store, named("run", 12))
      let isLost = true
      const losing = changingSend(
        client,
        (send) => (command, args) =>
          Effect.flatMap(send(command, ...args), (reply) =>
            isLost && Array.isArray(reply) && reply[0] === "claimed"
              ? Effect.fail(new Redis.RedisError({ cause: new Error("Socket closed unexpectedly") }))
              : Effect.succeed(reply)
          )
      )
      yield* beside(
        server,
        { prefix, shards: 2 },
        (second) =>
          Effect.gen(function* () {
            const claim = claimOn(second, { limit: 3 })
            const error = yield* Effect.flip(claim)
            assert.strictEqual(error.kind, "unavailable")
            isLost = false
            const { taken } = yield* claim
            // In the shard whose answer was lost no more than were taken then.
            assert.strictEqual(taken.length, 6)
            for (const { lease, record } of taken) assert.deepStrictEqual(record.attempts, [lease.fence])
            const again = yield* claim
            const byRun = (all: typeof taken) => new Map(all.map(({ lease }) => [lease.runId, lease.fence]))
            assert.deepStrictEqual(byRun(again.taken), byRun(taken))
            assert.strictEqual((yield* claimOn(second, { limit: 20, owner: "other" })).ids.length, 6)
          }),
        losing
      )
    })
  )

  test("a name that claims for long keeps no list of what it had", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      for (let i = 0; i < 5; i++) {
        yield* fill(store, named(`run-${i}`, 10))
        for (const { lease } of (yield* claimOn(store)).taken) yield* store.release(lease, forGood)
      }
      // What it had is looked at once more.
      yield* claimOn(store)
      assert.strictEqual(yield* send<number>("ZCARD", `{${prefix}:0}:held`), 0)
    })
  )

  test(
    "runs whose holders died are claimed in the order in which they were due, however many they are",
    { shards: 1 },
    (store) =>
      Effect.gen(function* () {
        const ids = named("run", 1200)
        for (const id of ids) yield* store.create(newRun(id))
        for (const id of ids.slice(0, 1100)) yield* store.acquire(idOf(id), { owner: "a", ttl })
        const free = yield* claimOn(store, { limit: 2000 })
        assert.deepStrictEqual(free.ids, ids.slice(1100))
        for (const { lease } of free.taken) yield* store.release(lease, leave)
        yield* advance(Duration.seconds(31))
        const expected = [...ids.slice(1100), ...ids.slice(0, 1100)]
        const found: Array<string> = []
        for (const [i, size] of [500, 500, 200].entries()) {
          const claimed = yield* claimOn(store, { limit: 500, owner: `worker-${i}` })
          assert.strictEqual(claimed.ids.length, size)
          assert.strictEqual(
            claimed.next[0] === undefined ? -1 : Duration.toMillis(claimed.next[0]) === 0,
            size === 500
          )
          found.push(...claimed.ids)
        }
        assert.deepStrictEqual(new Set(found), new Set(ids))
        // Within a millisecond any may come first.
        assert.deepStrictEqual(new Set(found.slice(0, 100)), new Set(expected.slice(0, 100)))
      }),
    hastened
  )

  test("of eight clients that claim at once each run goes to one", { shards: 4 }, (store, _, prefix) =>
    Effect.gen(function* () {
      const ids = named("run", 400)
      yield* fill(store, ids)
      const found = yield* Effect.forEach(
        named("worker", 8),
        (owner) =>
          beside(server, { prefix, shards: 4 }, (one) =>
            Effect.gen(function* () {
              const mine: Array<string> = []
              for (let round = 0; round < 20; round++) {
                const { taken } = yield* claimOn(one, { owner: `${owner} ${round}`, limit: 3 })
                for (const { lease } of taken) {
                  assert.strictEqual((yield* one.commit(lease, commitOf(lease.runId, 1))).outcome, "written")
                }
                mine.push(...taken.map(({ lease }) => String(lease.runId)))
              }
              return mine
            })
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(found.flat().toSorted(), ids)
      assert.isAbove(found.filter((mine) => mine.length > 0).length, 1)
    })
  )

  test(
    "runs whose time is over keep none behind them from being taken",
    { shards: 1, abandonedAfter: "1 hour" },
    (store) =>
      Effect.gen(function* () {
        yield* fill(store, named("old", 300))
        yield* advance(Duration.hours(2))
        yield* store.create(newRun("young"))
        assert.deepStrictEqual((yield* claimOn(store, { limit: 1 })).ids, ["young"])
      }),
    hastened
  )
})

describeRedis("a claim in a Redis that takes no writes", () => {
  it.live("tells so, and does not answer that there is no work", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const given = Effect.succeed(server)
      yield* beside(given, { shards: 1 }, (store) =>
        Effect.gen(function* () {
          yield* fill(store, named("run", 3))
          // Also to who holds some already.
          yield* claimOn(store, { owner: "holder", limit: 1 })
          for (const [setting, value, usual, kind] of [
            ["maxmemory", "1", "0", "full"],
            ["min-replicas-to-write", "1", "0", "unavailable"]
          ] as const) {
            yield* server.send("CONFIG", "SET", setting, value)
            for (const [owner, limit] of [
              ["worker", 2],
              ["holder", 0]
            ] as const) {
              assert.strictEqual((yield* Effect.flip(claimOn(store, { owner, limit }))).kind, kind, owner)
            }
            yield* server.send("CONFIG", "SET", setting, usual)
          }
          assert.strictEqual((yield* claimOn(store)).ids.length, 2)
        })
      )
    }).pipe(Effect.scoped)
  )
})
