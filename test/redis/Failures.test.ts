// What many runs see when the Redis that keeps their positions fails under them.
import { Agent, type AgentError, RunPolicy, TokenStore, type TokenStoreError } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { type RedisServer as Redis } from "@effect-baton/sandbox"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Latch, Layer, Option, References, Result, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { client, describeRedis, type RedisServer, start } from "../support/redisServer.ts"
import { analyst, claimOf, counter, plain, type Update } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel

const script = [
  ...Array.from({ length: 40 }, (_, i) => [
    pause("130 millis"),
    text(i % 3 === 0 ? [`${i}, `, "and "] : `${i}, `)
  ]).flat(),
  completed
]
const runs = Array.from({ length: 16 }, (_, i) => `run-${i}`)
const policy = RunPolicy.layer({
  leaseTime: Duration.seconds(3),
  checkpointEvery: Duration.millis(50),
  closeTimeout: Duration.millis(500)
})

/** One attempt to follow a run: what it delivered, and how far the store was known to be when it began. */
interface Attempt {
  readonly committed: number
  readonly updates: Array<Update>
}

/** All runs at once, tried again while that can help, and a trouble when all of them are under way. */
const underWay = Effect.fnUntraced(function* (
  server: RedisServer,
  whole: ReadonlyArray<Update>,
  trouble: (failedTwice: Effect.Effect<void>) => Effect.Effect<unknown>
) {
  const countOf = counter(whole)
  const committed = new Map<string, number>()
  const backwards: Array<string> = []
  const redis = RedisTokenStore.layer({ timeout: "1 second" }).pipe(Layer.provide(client(server.url)))
  const store = changing(redis, (inner) => ({
    commit: (lease, commit) =>
      Effect.tap(inner.commit(lease, commit), () =>
        Effect.sync(() => {
          const claim = claimOf(commit)
          if (claim === undefined) return
          const count = countOf(claim)
          if (count < (committed.get(lease.runId) ?? 0)) backwards.push(lease.runId)
          committed.set(lease.runId, Math.max(count, committed.get(lease.runId) ?? 0))
        })
      )
  }))
  const going = new Set(runs)
  const sound = new Set(runs)
  const started = yield* Deferred.make<void>()
  const failed = Latch.makeUnsafe()
  let isTroubled = false

  const follow = Effect.fnUntraced(function* (runId: string) {
    const attempts: Array<Attempt> = []
    const errors: Array<AgentError.AgentError> = []
    let troubles = 0
    // Opened with a lease that does not end while a busy machine opens the others: what is tried is what comes then.
    const opening: Array<Update> = []
    attempts.push({ committed: 0, updates: opening })
    yield* Stream.take(Agent.stream(analyst, { input: "Hello", runId }), 1).pipe(
      Stream.runForEach((update) => Effect.sync(() => void opening.push(update))),
      Effect.provide(RunPolicy.layer({})),
      Effect.orDie
    )
    const attempt = Effect.suspend(() => {
      const updates: Array<Update> = []
      attempts.push({ committed: committed.get(runId) ?? 0, updates })
      return Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId }), (update) =>
        Effect.suspend(() => {
          updates.push(update)
          if (updates.length === 8 || attempts.length > 2) going.delete(runId)
          return going.size === 0 ? Deferred.succeed(started, undefined) : Effect.void
        })
      )
    }).pipe(
      Effect.tapError((error) =>
        Effect.suspend(() => {
          errors.push(error)
          // A machine that is busy has troubles of its own, and before.
          if (isTroubled && error.reason._tag === "StoreFailed" && ++troubles === 2) sound.delete(runId)
          return sound.size === 0 ? failed.open : Effect.void
        })
      )
    )
    const end = yield* Effect.result(
      Effect.retry(attempt, {
        while: (error) => error.isRetryable,
        schedule: Schedule.spaced("100 millis"),
        times: 1000
      })
    )
    // On a busy machine a run may be over before the others are under way, or the trouble comes.
    going.delete(runId)
    sound.delete(runId)
    if (going.size === 0) yield* Deferred.succeed(started, undefined)
    if (isTroubled && sound.size === 0) yield* failed.open
    return { runId, attempts, errors, end }
  })

  const courses = yield* Effect.gen(function* () {
    const all = yield* Effect.forkChild(Effect.forEach(runs, follow, { concurrency: "unbounded" }))
    yield* Deferred.await(started)
    isTroubled = true
    yield* trouble(failed.await)
    return yield* Fiber.join(all)
  }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), store)), Effect.provide(policy))
  return { courses, backwards }
})

/** Every run came to its end, and what its attempts delivered is the whole stream: nothing left out, nothing else. */
const judge = (
  whole: ReadonlyArray<Update>,
  { backwards, courses }: Effect.Success<ReturnType<typeof underWay>>,
  survives: boolean
) => {
  const countOf = counter(whole)
  const expected = plain(whole)
  for (const { attempts, end, runId } of courses) {
    assert.isTrue(Result.isSuccess(end), `${runId} ends: ${Result.isFailure(end) ? end.failure.message : ""}`)
    let reached = 0
    for (const [i, { committed, updates }] of attempts.entries()) {
      const counts = updates.map(({ continuationToken }) => countOf(Option.getOrNull(continuationToken)))
      const [first] = counts
      if (first === undefined) continue
      const what = `attempt ${i} of ${runId}, which begins at ${first} where ${committed} of ${reached} were committed`
      assert.isAtMost(first, reached + 1, what)
      if (survives) assert.isAbove(first, committed, what)
      assert.deepStrictEqual(
        counts,
        counts.map((_, nth) => first + nth),
        what
      )
      assert.deepStrictEqual(plain(updates), expected.slice(first - 1, first - 1 + counts.length), what)
      reached = Math.max(reached, ...counts)
    }
    assert.strictEqual(reached, whole.length, runId)
  }
  if (survives) assert.deepStrictEqual(backwards, [])
}

const kindsOf = ({ courses }: Effect.Success<ReturnType<typeof underWay>>): ReadonlySet<string> =>
  new Set(
    courses.flatMap(({ errors }) =>
      errors.map(({ reason }) => (reason._tag === "StoreFailed" ? reason.error.kind : reason._tag))
    )
  )

/** What a run delivers that nothing happens to: the same for all tests. */
const uninterrupted = Effect.runSync(
  Effect.cached(
    passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "whole" }))).pipe(
      Effect.provide([ScriptedModel.layer(script), TokenStore.layerMemory]),
      Effect.provide(TestClock.layer())
    )
  )
)

const test = (
  title: string,
  options: {
    readonly server?: Redis.Options
    /** Whether the store keeps what it has. */
    readonly survives: boolean
    /** What the runs are told, among other things. */
    readonly tells?: TokenStoreError.TokenStoreError["kind"]
    readonly trouble: (server: RedisServer, failedTwice: Effect.Effect<void>) => Effect.Effect<unknown>
  }
) =>
  it.live(
    title,
    () =>
      Effect.gen(function* () {
        const whole = yield* uninterrupted
        const server = yield* start(options.server)
        const found = yield* underWay(server, whole, (failedTwice) => options.trouble(server, failedTwice))
        judge(whole, found, options.survives)
        if (options.tells !== undefined) assert.isTrue(kindsOf(found).has(options.tells), [...kindsOf(found)].join())
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")),
    // They wait most of the time; but those that have lost everything open their runs again under a short lease.
    { concurrent: options.survives }
  )

describeRedis("runs under way while Redis", () => {
  test("is killed and started again, and has everything on its disk", {
    server: { durable: true },
    survives: true,
    trouble: ({ kill, restart }) => Effect.andThen(kill, restart)
  })

  test("is gone for longer than a lease, and has everything on its disk", {
    server: { durable: true },
    survives: true,
    tells: "unavailable",
    trouble: ({ kill, restart }, failedTwice) => Effect.andThen(Effect.andThen(kill, failedTwice), restart)
  })

  test("is killed and started again, and has lost everything", {
    survives: false,
    trouble: ({ kill, restart }) => Effect.andThen(kill, restart)
  })

  test("stands still for longer than a lease", {
    survives: true,
    tells: "unavailable",
    trouble: (server, failedTwice) => Effect.andThen(Effect.andThen(server.pause, failedTwice), server.resume)
  })

  test("has no memory left for a while", {
    survives: true,
    tells: "full",
    trouble: ({ send }, failedTwice) =>
      send("CONFIG", "SET", "maxmemory-policy", "noeviction").pipe(
        Effect.andThen(send("CONFIG", "SET", "maxmemory", "1")),
        Effect.andThen(failedTwice),
        Effect.andThen(send("CONFIG", "SET", "maxmemory", "0"))
      )
  })

  test("is a replica for a while, which takes no writes", {
    survives: true,
    tells: "unavailable",
    trouble: ({ send }, failedTwice) =>
      send("REPLICAOF", "127.0.0.1", "1").pipe(
        Effect.andThen(failedTwice),
        Effect.andThen(send("REPLICAOF", "NO", "ONE"))
      )
  })

  test("has too few replicas for a while", {
    survives: true,
    tells: "unavailable",
    trouble: ({ send }, failedTwice) =>
      send("CONFIG", "SET", "min-replicas-to-write", "1").pipe(
        Effect.andThen(failedTwice),
        Effect.andThen(send("CONFIG", "SET", "min-replicas-to-write", "0"))
      )
  })

  test("is emptied", { survives: false, trouble: ({ send }) => send("FLUSHALL") })
})
