// What a limit of time counts: how long Redis takes, not how late the process is.
import { NodeRedis } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Result } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { client, describeRedis, start } from "../support/redisServer.ts"

const { newRun } = TokenStoreContract

const overClient = (url: string, options: RedisTokenStore.Options) =>
  RedisTokenStore.layerClient(
    Effect.map(NodeRedis.NodeRedis, (redis) => redis.client),
    options
  ).pipe(
    Layer.provide(
      NodeRedis.layer({
        url,
        disableOfflineQueue: true,
        socket: { connectTimeout: 120_000 },
        commandOptions: { timeout: 0 }
      }).pipe(Layer.orDie)
    )
  )
const overService = (url: string, options: RedisTokenStore.Options) =>
  RedisTokenStore.layer(options).pipe(Layer.provide(client(url)))

/** Nothing else of this process runs meanwhile: no timer, and no answer is read. */
const standStill = (millis: number) =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end);
  })

const createAll = (store: TokenStore.TokenStore["Service"], count: number, from = 0) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => newRun(`run-${from + i}`)),
    (run) => Effect.result(store.create(run)),
    { concurrency: "unbounded" }
  )

const failures = <A, E>(results: ReadonlyArray<Result.Result<A, E>>) =>
  results.flatMap((result) => (Result.isFailure(result) ? [result.failure] : []))

for (const [name, storeOf] of [
  ["its service", overService],
  ["its client", overClient]
] as const) {
  describeRedis(`Redis over ${name}`, () => {
    it.live("a process that is late for longer than the limit does not take that for Redis", () =>
      Effect.gen(function* () {
        const server = yield* start()
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          yield* store.create(newRun("first"))
          const all = yield* Effect.forkChild(createAll(store, 5000))
          // They are asked for, and not yet written; then written, and not yet read.
          yield* Effect.yieldNow
          yield* standStill(1000)
          yield* Effect.yieldNow
          yield* standStill(1000)
          assert.deepStrictEqual(failures(yield* Fiber.join(all)), [])
        }).pipe(Effect.provide(storeOf(server.url, { timeout: "500 millis" })))
      }).pipe(Effect.scoped)
    )

    it.live("of a Redis that does not answer, every operation of thousands is told within the limit", () =>
      Effect.gen(function* () {
        const server = yield* start()
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          yield* store.create(newRun("first"))
          yield* server.pause
          const before = performance.now()
          const results = yield* createAll(store, 3000)
          // In one limit, not in one for each thousand.
          assert.isBelow(performance.now() - before, 20_000)
          const told = failures(results)
          assert.strictEqual(told.length, 3000)
          for (const error of told) {
            assert.strictEqual(error.kind, "unavailable")
            assert.include(error.message, "within 10000 ms")
          }
          yield* server.resume
          assert.deepStrictEqual(failures(yield* createAll(store, 3000, 3000)), [])
        }).pipe(Effect.provide(storeOf(server.url, { timeout: "10 seconds" })))
      }).pipe(Effect.scoped)
    )
  })
}

/** A client that answers when it is told to. */
const mute = () => {
  const sent: Array<{ readonly command: ReadonlyArray<string>; readonly answer: (reply: unknown) => void }> = []
  const sendCommand = (command: Array<string>) =>
    new Promise<unknown>((answer) => {
      sent.push({ command, answer })
    })
  return { sent, sendCommand }
}

const storeOver = (made: RedisTokenStore.Client, options?: RedisTokenStore.Options) =>
  RedisTokenStore.layerClient(Effect.succeed(made), options).pipe(
    // Only hints are heard by it.
    Layer.provide(Layer.mock(Redis.Redis, { subscribe: () => Effect.never, eval: () => () => Effect.never })),
    Layer.build,
    Effect.flatMap((context) => Effect.provide(TokenStore.TokenStore, context))
  )

const turns = Effect.forEach(Array.from({ length: 5 }), () => Effect.yieldNow, { discard: true })
const none = ["none"]

describe("limits of time of operations over Redis", () => {
  it.effect("each operation has its own, from its sending on, however many are under way", () =>
    Effect.gen(function* () {
      const redis = mute()
      const store = yield* storeOver(redis)
      const read = yield* Effect.forkChild(store.read(newRun("r-1").runId))
      yield* turns
      yield* TestClock.adjust("1 second")
      const acquire = store.acquire(newRun("r-1").runId, { owner: "a", ttl: Duration.seconds(1) })
      const short = yield* Effect.forkChild(acquire)
      yield* turns
      yield* TestClock.adjust("299 millis")
      assert.isUndefined(short.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.include(String(yield* Effect.flip(Fiber.join(short))), "within 300 ms")
      yield* TestClock.adjust("1699 millis")
      assert.isUndefined(read.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.include(String(yield* Effect.flip(Fiber.join(read))), "within 3000 ms")
      // An answer that comes after all changes nothing, and the next operation has a whole limit.
      redis.sent[0]?.answer(none)
      const again = yield* Effect.forkChild(store.read(newRun("r-1").runId))
      yield* turns
      yield* TestClock.adjust("2999 millis")
      redis.sent[2]?.answer(none)
      assert.isTrue(Option.isNone(yield* Fiber.join(again)))
    }).pipe(Effect.scoped)
  )

  it.effect("no more than a thousand are sent at once, and an interrupted one that waits is never sent", () =>
    Effect.gen(function* () {
      const redis = mute()
      const store = yield* storeOver(redis)
      const fibers = yield* Effect.forEach(Array.from({ length: 1003 }), (_, i) =>
        Effect.forkChild(store.read(newRun(`r-${i}`).runId))
      )
      yield* turns
      assert.strictEqual(redis.sent.length, 1000)
      yield* Fiber.interrupt(fibers[1000]!)
      // As long as Redis answers, to wait for one's turn counts towards no limit.
      for (let i = 0; i < 1002; i++) {
        yield* TestClock.adjust("2 millis")
        redis.sent[i]?.answer(none)
        yield* Effect.yieldNow
      }
      assert.deepStrictEqual(
        redis.sent.slice(1000).map(({ command }) => command[8]),
        ["r-1001", "r-1002"]
      )
      for (const [i, fiber] of fibers.entries()) {
        assert.strictEqual(Exit.isSuccess(yield* Fiber.await(fiber)), i !== 1000)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("an operation over the service is interrupted with who asked for it, and when it is late", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const send = (command: string) =>
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (command === "EVALSHA" && interrupted++)))
      const store = yield* Layer.build(
        Layer.provide(
          RedisTokenStore.layer(),
          Layer.mock(Redis.Redis, { send, subscribe: () => Effect.never, eval: () => () => Effect.never })
        )
      ).pipe(Effect.flatMap((context) => Effect.provide(TokenStore.TokenStore, context)))
      const first = yield* Effect.forkChild(store.read(newRun("r-1").runId))
      yield* turns
      yield* Fiber.interrupt(first)
      assert.strictEqual(interrupted, 1)
      const second = yield* Effect.forkChild(store.read(newRun("r-1").runId))
      yield* turns
      yield* TestClock.adjust("3 seconds")
      assert.include(String(yield* Effect.flip(Fiber.join(second))), "within 3000 ms")
      assert.strictEqual(interrupted, 2)
    }).pipe(Effect.scoped)
  )
})
