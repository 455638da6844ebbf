// Logs of which Redis lost a part, logs that this version cannot read, and a Redis that refuses operations.
import type { UpdateLogError } from "@effect-baton/core"
import { assert, it } from "@effect/vitest"
import { Effect, Option, References, Stream } from "effect"
import { describeRedis, describeShared, type RedisServer, start } from "../support/redisServer.ts"
import { besideLog, chunkOf, idOf, keysOf, type Log, rowOf, testingLog } from "./logs.ts"

type Failing = Effect.Effect<unknown, { readonly _tag: string; readonly kind?: string }>

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)
const id = idOf("r-1")

/** Fills a log with chunks of two epochs. */
const filled = (log: Log) =>
  Effect.gen(function* () {
    yield* log.open(id, 3)
    const first = rowOf(4, 3)
    yield* Effect.forEach(first, (chunk) => log.append(id, chunk))
    yield* log.open(id, 7)
    const chunks = [...first, ...rowOf(4, 7, 4)]
    yield* Effect.forEach(chunks.slice(4), (chunk) => log.append(id, chunk))
    return chunks
  })

/** Every operation except `changes`, which does not read the log. */
const operations = (log: Log): ReadonlyArray<readonly [name: string, operation: Failing]> => [
  ["open", log.open(id, 9)],
  ["append", log.append(id, chunkOf(8, { epoch: 9 }))],
  ["append", log.append(id, chunkOf(5, { epoch: 7 }))],
  ["append", log.append(id, chunkOf(8, { epoch: 7, count: 0, ended: true }))],
  ["read", log.read(id, { from: 0, limit: 100 })],
  ["truncate", log.truncate(id, 3)],
  ["remove", log.remove(id)]
]

const dumpOf = (send: RedisServer["send"], prefix: string) => {
  const keys = keysOf(prefix, "r-1")
  const tell = (key: string) =>
    Effect.flatMap(send<string>("TYPE", key), (type) =>
      type === "stream" ? send("XRANGE", key, "-", "+") : type === "string" ? send("GET", key) : Effect.succeed(type)
    )
  return Effect.all([tell(keys.log), tell(keys.head)])
}

describeShared("an update log that Redis lost or this version cannot read", (server) => {
  const test = testingLog(server)

  test("without its head, a log refuses epochs below that of its newest chunk, and has the same size", (log, send, prefix) =>
    Effect.gen(function* () {
      const chunks = yield* filled(log)
      yield* log.truncate(id, 2)
      const before = yield* log.open(id, 7)
      const { head } = keysOf(prefix, "r-1")
      const lose = send("DEL", head)
      yield* lose
      for (const refused of [log.append(id, chunkOf(8, { epoch: 6 })), log.open(id, 6)]) {
        const fenced = yield* failure<unknown, UpdateLogError.UpdateLogError | { readonly _tag: string }>(refused)
        assert.strictEqual(fenced._tag, "LogFenced")
        assert.propertyVal(fenced, "epoch", 7)
      }
      assert.isNull(yield* send("GET", head), "a refused operation writes nothing")
      assert.deepStrictEqual((yield* log.read(id, { from: 2, limit: 9 })).chunks, chunks.slice(2))
      assert.deepStrictEqual(yield* log.open(id, 7), before)
      yield* lose
      const grown = yield* log.append(id, chunkOf(8, { epoch: 7, body: "12345" }))
      assert.deepStrictEqual(grown, { length: 9, bytes: before.bytes + 5 })
      const written = yield* send("GET", head)
      yield* lose
      // Only the chunks remain to find the epoch.
      yield* log.truncate(id, 4)
      yield* log.open(id, 7)
      assert.notStrictEqual(written, yield* send("GET", head))
      yield* lose
      yield* log.remove(id)
      assert.strictEqual((yield* failure(log.read(id, { from: 0, limit: 1 })))._tag, "LogNotFound")
    }))

  test("without its chunks, a log is empty, and its writer gets a gap", (log, send, prefix) =>
    Effect.gen(function* () {
      yield* filled(log)
      yield* log.truncate(id, 3)
      yield* send("DEL", keysOf(prefix, "r-1").log)
      const page = { chunks: [], first: 0, length: 0, ended: false }
      assert.deepStrictEqual(yield* log.read(id, { from: 0, limit: 9 }), page)
      const gap = yield* failure(log.append(id, chunkOf(8, { epoch: 7 })))
      assert.propertyVal(gap, "_tag", "LogGap")
      assert.propertyVal(gap, "length", 0)
      assert.strictEqual((yield* failure(log.append(id, chunkOf(0, { epoch: 6 }))))._tag, "LogFenced")
      assert.deepStrictEqual(yield* log.open(id, 7), { length: 0, bytes: 0 })
      const again = rowOf(3, 7)
      yield* Effect.forEach(again, (chunk) => log.append(id, chunk))
      assert.deepStrictEqual((yield* log.read(id, { from: 0, limit: 9 })).chunks, again)
      const { bytes } = yield* log.open(id, 7)
      assert.strictEqual(
        bytes,
        again.reduce((sum, { body }) => sum + body.length, 0)
      )
    }))

  test("without its newest chunks, a log ends before them, and its writer gets a gap", (log, send, prefix) =>
    Effect.gen(function* () {
      const chunks = yield* filled(log)
      yield* send("XDEL", keysOf(prefix, "r-1").log, "7-0", "8-0")
      const gap = yield* failure(log.append(id, chunkOf(8, { epoch: 7 })))
      assert.propertyVal(gap, "_tag", "LogGap")
      assert.propertyVal(gap, "length", 6)
      assert.deepStrictEqual((yield* log.read(id, { from: 0, limit: 9 })).chunks, chunks.slice(0, 6))
    }))

  test("a log with a missing chunk is corrupt for readers of that part", (log, send, prefix) =>
    Effect.gen(function* () {
      const chunks = yield* filled(log)
      yield* send("XDEL", keysOf(prefix, "r-1").log, "5-0")
      for (const from of [0, 4]) {
        const error = yield* failure(log.read(id, { from, limit: 9 }))
        assert.propertyVal(error, "kind", "corrupt")
      }
      assert.deepStrictEqual((yield* log.read(id, { from: 0, limit: 4 })).chunks, chunks.slice(0, 4))
      assert.deepStrictEqual((yield* log.read(id, { from: 5, limit: 9 })).chunks, chunks.slice(5))
    }))

  test("a log of a later version is not changed", (log, send, prefix) =>
    Effect.gen(function* () {
      yield* filled(log)
      yield* send("SET", keysOf(prefix, "r-1").head, "2:of another form")
      const before = yield* dumpOf(send, prefix)
      for (const [name, operation] of operations(log)) {
        const error = yield* failure(operation)
        assert.strictEqual(error.kind, "newer", name)
        assert.include(String(error), "to use this log")
      }
      assert.deepStrictEqual(yield* dumpOf(send, prefix), before)
    }))

  const damages: ReadonlyArray<readonly [what: string, key: "log" | "head", command: ReadonlyArray<string>]> = [
    ["a list in place of the chunks", "log", ["RPUSH", "x"]],
    ["a text in place of the chunks", "log", ["SET", "x"]],
    ["a hash in place of the epoch", "head", ["HSET", "x", "y"]],
    ["an epoch without a version", "head", ["SET", "7"]],
    ["an epoch without digits", "head", ["SET", "1:x:0"]],
    ["an epoch without bytes", "head", ["SET", "1:7"]],
    ["a chunk without fields of Baton", "log", ["XADD", "9-0", "a", "b"]],
    ["a chunk with other fields", "log", ["XADD", "9-0", "count", "1", "a", "b", "c", "d", "e", "f", "g", "h"]],
    [
      "a chunk without a count",
      "log",
      ["XADD", "9-0", "count", "x", "epoch", "7", "ended", "0", "total", "9", "body", ""]
    ],
    [
      "a chunk without an epoch",
      "log",
      ["XADD", "9-0", "count", "1", "epoch", "", "ended", "0", "total", "9", "body", ""]
    ],
    [
      "a chunk without a size",
      "log",
      ["XADD", "9-0", "count", "1", "epoch", "7", "ended", "0", "total", "?", "body", ""]
    ]
  ]
  for (const [what, where, [command = "", ...args]] of damages) {
    test(`${what} is corrupt, and is not changed`, (log, send, prefix) =>
      Effect.gen(function* () {
        yield* filled(log)
        const keys = keysOf(prefix, "r-1")
        if (command !== "XADD") yield* send("DEL", keys[where])
        yield* send(command, keys[where], ...args)
        const before = yield* dumpOf(send, prefix)
        for (const [name, operation] of operations(log)) {
          const error = yield* failure(operation)
          assert.strictEqual(error._tag, "UpdateLogError", name)
          assert.strictEqual(error.kind, "corrupt", name)
          assert.include(String(error), keys.log)
          assert.include(String(error), "delete both")
        }
        assert.deepStrictEqual(yield* dumpOf(send, prefix), before)
        // The log of another run still works.
        yield* log.append(idOf("r-2"), chunkOf(0))
      }))
  }

  test("other messages on the channel do not end the hints", (log, send, prefix) =>
    Effect.gen(function* () {
      const pull = yield* Stream.toPull(log.changes(id))
      yield* pull
      for (const message of ["", "\n", "r-2", "r-1/\nx", "\n\n\n", "?\0"]) {
        yield* send("PUBLISH", `${prefix}:log`, message)
      }
      yield* send("PUBLISH", `${prefix}:log`, "r-1\nanother")
      yield* pull
    }).pipe(Effect.scoped))
})

describeRedis("an update log while Redis", () => {
  const test = (title: string, effect: (log: Log, server: RedisServer) => Effect.Effect<unknown, unknown>) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const server = yield* start()
        yield* besideLog(Effect.succeed(server), { prefix: "own", shards: 1, timeout: "10 seconds" }, (log) =>
          effect(log, server)
        )
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))
    )

  const fails = (kind: string, all: ReadonlyArray<Failing>) =>
    Effect.forEach(all, (operation) =>
      Effect.map(failure(operation), (error) => {
        assert.strictEqual(error._tag, "UpdateLogError")
        assert.strictEqual(error.kind, kind)
        assert.notMatch(String(error), /\bruns\b|store/i)
        return String(error)
      })
    )

  test("is full: an append changes nothing, and operations that make room work", (log, { send }) =>
    Effect.gen(function* () {
      const chunks = yield* filled(log)
      yield* send("CONFIG", "SET", "maxmemory-policy", "noeviction")
      yield* send("CONFIG", "SET", "maxmemory", "1")
      const before = yield* dumpOf(send, "own")
      const [full] = yield* fails("full", [
        log.append(id, chunkOf(8, { epoch: 7 })),
        log.append(id, chunkOf(8, { epoch: 9 })),
        log.open(id, 9),
        log.open(idOf("r-2"), 1)
      ])
      assert.include(full, "remove logs")
      assert.deepStrictEqual(yield* dumpOf(send, "own"), before)
      assert.deepStrictEqual((yield* log.read(id, { from: 0, limit: 9 })).chunks, chunks)
      // Repetitions need no room.
      yield* log.append(id, chunkOf(7, { epoch: 7 }))
      yield* log.open(id, 7)
      yield* log.truncate(id, 4)
      assert.strictEqual((yield* log.read(id, { from: 4, limit: 9 })).first, 4)
      yield* log.remove(id)
      assert.isEmpty(yield* send<ReadonlyArray<string>>("KEYS", "*r-1"))
      yield* send("CONFIG", "SET", "maxmemory", "0")
      yield* log.append(id, chunkOf(0))
    }))

  test("refuses the user: operations are denied", (log, { send }) =>
    Effect.gen(function* () {
      yield* filled(log)
      yield* send("ACL", "SETUSER", "default", "-xadd", "-set")
      const [denied] = yield* fails("denied", [log.append(id, chunkOf(8, { epoch: 7 })), log.open(id, 9)])
      assert.include(denied, "RedisUpdateLog.layer")
      yield* send("ACL", "SETUSER", "default", "resetkeys", "~other:*")
      yield* fails("denied", [log.read(id, { from: 0, limit: 1 }), log.remove(id)])
    }))

  test("does not answer in time: operations are unavailable, and can be repeated", (_, server) =>
    besideLog(Effect.succeed(server), { prefix: "own", shards: 1, timeout: "300 millis" }, (log) =>
      Effect.gen(function* () {
        yield* log.open(id, 1)
        yield* log.append(id, chunkOf(0))
        const pull = yield* Stream.toPull(log.changes(id))
        yield* pull
        yield* server.pause
        yield* Effect.all(
          [log.append(id, chunkOf(1)), log.open(id, 1), log.read(id, { from: 0, limit: 1 })].map((operation) =>
            fails("unavailable", [operation])
          ),
          { concurrency: "unbounded" }
        )
        // The chunk may be stored, so listeners get a hint.
        const hint = yield* Effect.timeoutOption(pull, "10 seconds")
        yield* server.resume
        assert.isTrue(Option.isSome(hint))
        // If the chunk was stored, it is there once.
        assert.strictEqual((yield* log.append(id, chunkOf(1))).length, 2)
        assert.deepStrictEqual((yield* log.read(id, { from: 0, limit: 9 })).chunks, rowOf(2))
      }).pipe(Effect.scoped)
    ))

  test("is a replica: operations are unavailable", (log, { send }) =>
    Effect.gen(function* () {
      yield* filled(log)
      yield* send("REPLICAOF", "127.0.0.1", "1")
      yield* fails("unavailable", [log.append(id, chunkOf(8, { epoch: 7 })), log.open(id, 9), log.truncate(id, 3)])
      yield* send("REPLICAOF", "NO", "ONE")
      yield* log.append(id, chunkOf(8, { epoch: 7 }))
    }))
})
