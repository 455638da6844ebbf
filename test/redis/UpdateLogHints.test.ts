// Hints between processes, the commands that a log sends to Redis, and the permissions that it needs.
import { NodeServices } from "@effect/platform-node"
import { UpdateLog } from "@effect-baton/core"
import type { RedisUpdateLog } from "@effect-baton/redis"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, FileSystem, Layer, References, Schedule, Scope, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { describeRedis, type RedisServer, start, until } from "../support/redisServer.ts"
import { besideLog, chunkOf, idOf, type Log, logOn, patiently, rowOf } from "./logs.ts"
import { commandsOf } from "./store.ts"

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)
const source = new URL("../../packages/redis/src/RedisUpdateLog.ts", import.meta.url).pathname
const id = idOf("r-1")

describeRedis("an update log on its own server", () => {
  const onOwn = (
    title: string,
    effect: (log: Log, server: RedisServer) => Effect.Effect<unknown, unknown, Scope.Scope>,
    options: RedisUpdateLog.Options = {}
  ) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const server = yield* start()
        yield* besideLog(Effect.succeed(server), { prefix: "own", shards: 1, ...options }, (log) => effect(log, server))
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))
    )

  onOwn("an operation is one script, which uses only the commands that it needs", (log, { send }) =>
    Effect.gen(function* () {
      const counting = (effect: Effect.Effect<unknown, unknown>) => commandsOf(send, effect)
      yield* log.open(id, 1)
      yield* log.append(id, chunkOf(0))
      yield* log.read(id, { from: 0, limit: 1 })
      const append = { get: 1, pexpire: 2, publish: 1, xadd: 1, xrevrange: 1 }
      assert.deepStrictEqual(yield* counting(log.append(id, chunkOf(1))), append)
      assert.deepStrictEqual(yield* counting(log.append(id, chunkOf(1))), { get: 1, xrange: 1, xrevrange: 1 })
      assert.deepStrictEqual(yield* counting(log.append(id, chunkOf(2, { epoch: 2 }))), { ...append, set: 1 })
      assert.deepStrictEqual(yield* counting(log.read(id, { from: 1, limit: 64 })), { get: 1, xrange: 2, xrevrange: 1 })
      assert.deepStrictEqual(yield* counting(log.open(id, 2)), { get: 1, pexpire: 2, xrevrange: 1 })
    })
  )

  const subscribers = (send: RedisServer["send"]) =>
    Effect.map(send<string>("CLIENT", "LIST", "TYPE", "pubsub"), (list) => list.split("\n").filter(Boolean).length)

  onOwn("all listeners share one subscription, which starts with the first", (log, { send }) =>
    Effect.gen(function* () {
      yield* log.open(id, 1)
      yield* log.append(id, chunkOf(0))
      assert.strictEqual(yield* subscribers(send), 0)
      const pulls = yield* Effect.forEach(["r-1", "r-1", "r-2", "r-3"], (each) =>
        Stream.toPull(log.changes(idOf(each)))
      )
      yield* Effect.forEach(pulls, (pull) => pull, { concurrency: "unbounded" })
      assert.strictEqual(yield* subscribers(send), 1)
    })
  )

  onOwn("a subscription works again after it was killed, or after the server was down", (log, server) =>
    besideLog(Effect.succeed(server), { prefix: "own", shards: 1 }, (other) =>
      Effect.gen(function* () {
        let hints = 0
        const listening = Stream.runForEach(log.changes(id), () => Effect.sync(() => void hints++))
        yield* Effect.forkScoped(listening)
        let from = 0
        /** Lets another process append until a hint comes. */
        const heard = Effect.suspend(() => {
          const before = hints
          return Effect.suspend(() => patiently(other.append(id, chunkOf(from++)))).pipe(
            Effect.catchTag("LogGap", ({ length }) => Effect.sync(() => void (from = length))),
            Effect.repeat({ until: () => hints > before, schedule: Schedule.spaced("20 millis") })
          )
        })
        yield* heard
        assert.strictEqual(yield* server.send<number>("CLIENT", "KILL", "TYPE", "pubsub"), 1)
        yield* heard
        yield* server.kill
        yield* server.restart
        yield* heard
      })
    )
  )

  onOwn("without the permission to subscribe, one warning is logged, and hints for own chunks come", (_, server) =>
    Effect.gen(function* () {
      const log = logged()
      yield* server.send("ACL", "SETUSER", "mute", "on", ">secret", "~*", "&*", "+@all", "-subscribe")
      const refused = Effect.map(server.send<string>("INFO", "errorstats"), (info) =>
        Number(/errorstat_NOPERM:count=(\d+)/.exec(info)?.[1] ?? 0)
      )
      yield* Effect.gen(function* () {
        const mute = yield* UpdateLog.UpdateLog
        const pull = yield* Stream.toPull(mute.changes(id))
        yield* pull
        yield* mute.append(id, chunkOf(0))
        yield* pull
        // The layer tries to subscribe again.
        yield* Effect.repeat(refused, { until: (count) => count >= 2, schedule: Schedule.spaced("20 millis") }).pipe(
          Effect.timeout("20 seconds")
        )
      }).pipe(
        Effect.provide(logOn(Effect.succeed({ ...server, url: server.url.replace("//", "//mute:secret@") }))),
        Effect.provideService(References.MinimumLogLevel, "Warn"),
        Effect.provide(log.layer)
      )
      assert.strictEqual(
        log.lines.filter((line) => line.includes("of the update log in Redis failed")).length,
        1,
        log.lines.join()
      )
    })
  )

  onOwn("a listener gets an error when the layer is closed", (_, server) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const layer = Layer.fresh(logOn(Effect.succeed(server)))
      const log = Context.get(yield* Layer.buildWithScope(layer, scope), UpdateLog.UpdateLog)
      const pull = yield* Stream.toPull(log.changes(id))
      yield* pull
      const ending = yield* Effect.forkChild(failure(Stream.runDrain(log.changes(id))))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(ending)).kind, "closed")
      assert.strictEqual((yield* failure(Stream.runDrain(log.changes(id)))).kind, "closed")
    })
  )

  onOwn("the user needs only the permissions in the documentation", (_, server) =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const documented = (yield* fs.readFileString(source)).replaceAll(/\n \* /g, " ").match(/`(\+eval [^`]*)`/)?.[1]
      assert.isDefined(documented)
      const rules = documented!.replaceAll("prefix:", "reports:").split(" ")
      yield* server.send("ACL", "SETUSER", "baton", "reset", "on", ">secret", "resetchannels", "+@connection", ...rules)
      yield* besideLog(
        Effect.succeed({ ...server, url: server.url.replace("//", "//baton:secret@") }),
        { prefix: "reports" },
        (log) =>
          Effect.gen(function* () {
            const pull = yield* Stream.toPull(log.changes(id))
            yield* pull
            assert.strictEqual(yield* subscribers(server.send), 1)
            yield* log.open(id, 1)
            yield* Effect.forEach(rowOf(5), (chunk) => log.append(id, chunk))
            yield* log.truncate(id, 3)
            assert.strictEqual((yield* log.read(id, { from: 3, limit: 9 })).chunks.length, 2)
            yield* log.remove(id)
          })
      )
      const forever = logOn(Effect.succeed({ ...server, url: server.url.replace("//", "//baton:secret@") }), {
        prefix: "reports",
        retention: "Infinity"
      })
      yield* Effect.provide(
        UpdateLog.UpdateLog.use((log) => log.append(id, chunkOf(0))),
        forever,
        { local: true }
      )
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("a layer warns of a server that may delete logs", () =>
    Effect.gen(function* () {
      const server = yield* start({ settings: ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"] })
      const { layer, lines } = logged()
      yield* until(() => lines.length > 0).pipe(
        Effect.timeout("20 seconds"),
        Effect.provide(logOn(Effect.succeed(server)), { local: true }),
        Effect.provide(layer)
      )
      assert.match(
        lines[0] ?? "",
        /^Warn baton: Redis may delete logs,.* allkeys-lru: .* Set maxmemory-policy to noeviction/
      )
      assert.notMatch(lines[0] ?? "", /\bruns?\b|store/)
    }).pipe(Effect.scoped)
  )
})
