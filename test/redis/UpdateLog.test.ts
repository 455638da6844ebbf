import { TokenStore, UpdateLog } from "@effect-baton/core"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { client, describeShared } from "../support/redisServer.ts"
import { besideLog, chunkOf, idOf, keysOf, type Log, rowOf, testingLog } from "./logs.ts"

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)
const id = idOf("r-1")

describeShared("the update log of Redis", (server) => {
  const test = testingLog(server)

  test("a chunk is an entry of the run's stream, and its id is the offset after it", (log, send, prefix) =>
    Effect.gen(function* () {
      const keys = keysOf(prefix, "r-1")
      yield* log.open(id, 7)
      yield* log.append(id, chunkOf(0, { count: 0, epoch: 7, body: "none yet" }))
      yield* log.append(id, chunkOf(0, { count: 3, epoch: 7, body: "é" }))
      yield* log.append(id, chunkOf(3, { count: 0, epoch: 7, ended: true, body: "over" }))
      yield* log.append(id, chunkOf(3, { count: 0, epoch: 8, body: "not over" }))
      yield* log.append(id, chunkOf(3, { count: 2, epoch: 8, body: "two" }))
      const entry = (at: string, count: string, epoch: string, ended: string, total: string, body: string) => [
        at,
        ["count", count, "epoch", epoch, "ended", ended, "total", total, "body", body]
      ]
      assert.deepStrictEqual(yield* send<unknown>("XRANGE", keys.log, "-", "+"), [
        entry("0-1", "0", "7", "0", "8", "none yet"),
        entry("3-0", "3", "7", "0", "10", "é"),
        entry("3-1", "0", "7", "1", "14", "over"),
        entry("3-2", "0", "8", "0", "22", "not over"),
        entry("5-0", "2", "8", "0", "25", "two")
      ])
      assert.strictEqual(yield* send("GET", keys.head), "1:8:0")
      yield* log.truncate(id, 3)
      assert.strictEqual(yield* send("GET", keys.head), "1:8:22")
      assert.strictEqual(yield* send("XLEN", keys.log), 1)
    }))

  test("two processes get hints for each other's chunks, and read them", (log, _, prefix) =>
    besideLog(server, { prefix, shards: 1 }, (other) =>
      Effect.gen(function* () {
        yield* log.open(id, 1)
        for (const [writer, reader, from] of [
          [log, other, 0],
          [other, log, 10],
          [log, log, 20]
        ] as const) {
          for (const chunk of rowOf(10, 1, from)) {
            const found = yield* Effect.forkChild(
              Stream.runHead(
                reader.changes(id).pipe(
                  Stream.mapEffect(() => reader.read(id, { from: chunk.from, limit: 10 })),
                  Stream.filter(({ length }) => length > chunk.from)
                )
              ),
              { startImmediately: true }
            )
            yield* writer.append(id, chunk)
            const page = Option.getOrThrow(yield* Effect.timeout(Fiber.join(found), "20 seconds"))
            assert.deepStrictEqual(page.chunks, [chunk])
          }
        }
      })
    ))

  test("a process that opens the log fences another that is writing", (log, _, prefix) =>
    besideLog(server, { prefix, shards: 1 }, (other) =>
      Effect.gen(function* () {
        const writing = Effect.gen(function* () {
          yield* log.open(id, 1)
          for (let from = 0; ; from++) yield* log.append(id, chunkOf(from))
        })
        const first = yield* Effect.forkChild(failure(writing))
        const enough = Effect.repeat(Effect.option(other.read(id, { from: 0, limit: 1 })), {
          until: (page) => Option.exists(page, ({ length }) => length > 20)
        })
        yield* enough
        const { length } = yield* other.open(id, 2)
        yield* Effect.forEach(rowOf(20, 2, length), (chunk) => other.append(id, chunk), { discard: true })
        const lost = yield* Fiber.join(first)
        assert.strictEqual(lost._tag, "LogFenced")
        const { chunks } = yield* log.read(id, { from: 0, limit: 10_000 })
        assert.deepStrictEqual(chunks, [...rowOf(length), ...rowOf(20, 2, length)])
      })
    ))

  test("if many processes append the same chunks, each is stored once", (log, _, prefix) =>
    Effect.gen(function* () {
      const chunks = rowOf(200)
      const writing = (writer: Log) => Effect.forEach(chunks, (chunk) => writer.append(id, chunk), { discard: true })
      yield* besideLog(server, { prefix, shards: 1 }, (other) =>
        Effect.all([writing(log), writing(log), writing(other)], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual((yield* log.read(id, { from: 0, limit: 1000 })).chunks, chunks)
    }))

  const month = Duration.toMillis("30 days")
  for (const [retention, least, most] of [
    [undefined, month - 60_000, month],
    ["2 hours", 7_140_000, 7_200_000],
    ["0 millis", 1, 1000],
    ["Infinity", -1, -1],
    [Duration.days(1e8), -1, -1]
  ] as const) {
    test(
      `a log is kept for ${String(retention)} after the last append`,
      (log, send, prefix) =>
        Effect.gen(function* () {
          const keys = keysOf(prefix, "r-1")
          const kept = (all: ReadonlyArray<string>) =>
            Effect.forEach(all, (key) =>
              Effect.map(send<number>("PTTL", key), (left) => assert.isTrue(left >= least && left <= most, `${left}`))
            )
          yield* log.open(id, 1)
          yield* kept([keys.head])
          yield* log.append(id, chunkOf(0))
          yield* kept([keys.log, keys.head])
          for (const renew of [log.append(id, chunkOf(1)), log.open(id, 1), log.open(id, 2)]) {
            yield* send("PEXPIRE", keys.log, "600000")
            yield* send("PEXPIRE", keys.head, "600000")
            yield* renew
            yield* kept([keys.log, keys.head])
          }
          // Reads and truncations do not extend the retention.
          yield* send("PEXPIRE", keys.log, "600000")
          yield* send("PEXPIRE", keys.head, "600000")
          yield* log.read(id, { from: 0, limit: 1 })
          yield* log.truncate(id, 1)
          for (const key of [keys.log, keys.head]) {
            const left = yield* send<number>("PTTL", key)
            assert.isTrue(left > 0 && left <= 600_000, `${key}: ${left}`)
          }
        }),
      retention === undefined ? {} : { retention }
    )
  }

  test(
    "after the retention of a log no key is left",
    (log, send, prefix) =>
      Effect.gen(function* () {
        yield* log.open(id, 5)
        yield* log.append(id, chunkOf(0, { epoch: 5 }))
        const gone = failure(log.read(id, { from: 0, limit: 1 })).pipe(
          Effect.as(true),
          Effect.orElseSucceed(() => false)
        )
        yield* Effect.repeat(gone, { until: (is) => is, schedule: Schedule.spaced("20 millis") })
        assert.deepStrictEqual(yield* send<unknown>("KEYS", `{${prefix}:0}*`), [])
        assert.deepStrictEqual(yield* log.open(id, 1), { length: 0, bytes: 0 })
      }),
    { retention: "1 second" }
  )

  test("a log can share its prefix with a token store, and a run and its log are in the same shard", (_, send, prefix) =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const log = yield* UpdateLog.UpdateLog
      const ids = Array.from({ length: 50 }, (__, i) => `run-${i}`)
      for (const each of ids) {
        yield* store.create(TokenStoreContract.newRun(each))
        yield* log.open(idOf(each), 1)
        yield* log.append(idOf(each), chunkOf(0))
      }
      const keys = yield* send<ReadonlyArray<string>>("KEYS", `{${prefix}-both:*`)
      const shardOf = (part: string) =>
        keys
          .find((key) => key.endsWith(part))
          ?.split(":run:")[0]
          ?.split(":log:")[0]
      const spread = ids.map((each) => {
        assert.strictEqual(shardOf(`:log:${each}`), shardOf(`:run:${each}`))
        return shardOf(`:log:${each}`)
      })
      assert.strictEqual(new Set(spread).size, 4)
      for (const each of ids) yield* log.remove(idOf(each))
      const rest = yield* send<ReadonlyArray<string>>("KEYS", `{${prefix}-both:*`)
      assert.isEmpty(rest.filter((key) => /:(log|head):/.test(key)))
      assert.strictEqual((yield* store.count({})).queued, 50)
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(server, ({ url }) =>
            Layer.mergeAll(
              RedisTokenStore.layer({ prefix: `${prefix}-both`, shards: 4, timeout: "20 seconds" }),
              RedisUpdateLog.layer({ prefix: `${prefix}-both`, shards: 4, timeout: "20 seconds" })
            ).pipe(Layer.provide(client(url)))
          )
        ),
        { local: true }
      )
    ))

  test("a process with another number of shards is refused", (log, _, prefix) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      for (const operation of ["open", "append"] as const) {
        const refused = yield* besideLog(server, { prefix, shards: 2 }, (other) =>
          failure<unknown, unknown>(operation === "open" ? other.open(id, 1) : other.append(id, chunkOf(0)))
        )
        assert.propertyVal(refused, "_tag", "UpdateLogError")
        assert.propertyVal(refused, "kind", "denied")
        assert.include(String(refused), "shards: 1,")
      }
    }))

  test("settings can come from Config", (log, _, prefix) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      yield* log.append(id, chunkOf(0))
      const { url } = yield* server
      const configured = RedisUpdateLog.layerConfig({
        prefix: Config.String("PREFIX"),
        shards: Config.Int("SHARDS")
      }).pipe(
        Layer.provide(client(url)),
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ PREFIX: prefix, SHARDS: 1 })))
      )
      const page = yield* Effect.provide(
        UpdateLog.UpdateLog.use((other) => other.read(id, { from: 0, limit: 1 })),
        configured,
        { local: true }
      )
      assert.deepStrictEqual(page.chunks, [chunkOf(0)])
    }))

  test("ten thousand chunks are read page by page, and truncated in one step", (log) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const chunks = rowOf(10_000).map((chunk) => ({ ...chunk, body: `${chunk.from}`.repeat(20) }))
      yield* Effect.forEach(chunks, (chunk) => log.append(id, chunk), { discard: true })
      const found: Array<UpdateLog.Chunk> = []
      while (found.length < chunks.length) {
        const page = yield* log.read(id, { from: found.length, limit: 64 })
        assert.isTrue(page.chunks.length === 64 || found.length + page.chunks.length === 10_000)
        found.push(...page.chunks)
      }
      assert.deepStrictEqual(found, chunks)
      yield* log.truncate(id, 9990)
      const { bytes, length } = yield* log.open(id, 1)
      assert.deepStrictEqual({ bytes, length }, { bytes: 10 * 80, length: 10_000 })
      assert.deepStrictEqual((yield* log.read(id, { from: 9990, limit: 64 })).chunks, chunks.slice(9990))
    }))

  test("pages are full although chunks without updates are left out", (log) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      const chunks = rowOf(20)
      for (const chunk of chunks) {
        for (const ended of [true, false, true]) {
          yield* log.append(id, chunkOf(chunk.from, { count: 0, ended }))
        }
        yield* log.append(id, chunk)
      }
      for (const limit of [1, 2, 3, 7, 20, 100]) {
        for (const from of [0, 5, 19, 20]) {
          const page = yield* log.read(id, { from, limit })
          assert.deepStrictEqual(page.chunks, chunks.slice(from, from + limit))
        }
      }
    }))
})
