import { assert, it } from "@effect/vitest"
import { NodeRedis, NodeServices } from "@effect/platform-node"
import { RunState, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import {
  Config,
  ConfigProvider,
  Duration,
  Effect,
  Fiber,
  FileSystem,
  Layer,
  Option,
  References,
  Result,
  Schedule,
  Stream
} from "effect"
import { Redis } from "effect/persistence"
import { TokenStoreContract } from "@effect-baton/testing"
import { client, describeRedis, describeShared, start } from "../support/redisServer.ts"
import { begin, claimOn, idOf, leave, storeOn, testing, ttl } from "./store.ts"

const { commitOf, newRun } = TokenStoreContract
const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)
const source = new URL("../../packages/redis/src/RedisTokenStore.ts", import.meta.url).pathname
const never = { seen: 100, due: Duration.infinity, attempt: "keep" } as const

describeShared("Redis store", (server) => {
  const test = testing(server)

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
        const fs = yield* FileSystem.FileSystem
        // What the documentation lists, and what the client itself sends when it connects.
        const documented = (yield* fs.readFileString(source)).replaceAll(/\n \* /g, " ").match(/`(\+eval [^`]*)`/)?.[1]
        assert.isDefined(documented)
        const rules = documented!.replaceAll("prefix:", "reports:").split(" ")
        yield* server.send(
          "ACL",
          "SETUSER",
          "baton",
          "reset",
          "on",
          ">secret",
          "resetchannels",
          "+@connection",
          ...rules
        )
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          const heard = yield* Effect.forkChild(
            store.wakeups.pipe(
              Stream.filter((hint) => hint._tag === "Run"),
              Stream.runHead
            )
          )
          const { facts, lease } = yield* begin(store, "r-1")
          yield* store.renew(lease, ttl, 0)
          yield* store.commit(lease, { seen: 0, facts: [facts.accepted("response-1"), facts.ended] })
          yield* store.release(lease, { ...leave, parked: "it is broken" })
          yield* store.record(idOf("r-1"), facts.cancelRequested, 0)
          yield* store.conclude(idOf("r-1"), { seen: 3, facts: [facts.requested()], due: Duration.zero })
          assert.isTrue(Option.isSome(yield* store.read({ responseId: "response-1" })))
          for (const filter of [{}, { status: ["failed"] as const }, { agent: "analyst" }, { parked: true }]) {
            yield* store.list({ limit: 1, ...filter })
          }
          assert.strictEqual((yield* store.count({})).failed, 1)
          yield* store.create(newRun("r-2"), { input: { text: "Hello", until: "ended" } })
          assert.strictEqual((yield* claimOn(store)).ids.length, 2)
          const again = yield* store.acquire(idOf("r-1"), { owner: "a", ttl, steal: true })
          assert.isFalse(yield* store.remove(again.lease))
          assert.isTrue(yield* store.remove(again.lease, { force: true }))
          // Until it is heard: the subscription may only begin now.
          const wake = Effect.repeat(store.wake(idOf("r-2")), Schedule.spaced("10 millis"))
          yield* Effect.raceFirst(Fiber.join(heard), wake)
        }).pipe(
          Effect.provide(
            RedisTokenStore.layer({ prefix: "reports" }).pipe(
              Layer.provide(client(server.url.replace("//", "//baton:secret@")))
            )
          )
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
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
