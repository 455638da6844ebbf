import { assert, it } from "@effect/vitest"
import { Agent, Runs, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { ScriptedModel, TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect, Exit, Fiber, Layer, Option, Queue, References, Schedule, Scope, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { client, describeRedis, describeShared, type RedisServer, start } from "../support/redisServer.ts"
import { analyst } from "../support/runs.ts"
import { beside, claimOn, factsOf, idOf, leave, type Service, storeOn, testing, ttl } from "./store.ts"

const { commitOf, newRun } = TokenStoreContract
const forGood = { ...leave, due: Duration.infinity }

/** The hints of a store from here on: a marker comes back when it is heard. */
const listening = Effect.fnUntraced(function* (store: Service, teller: Service) {
  const queue = yield* Queue.unbounded<TokenStore.Wakeup>()
  yield* Effect.forkScoped(Stream.runForEach(store.wakeups, (hint) => Queue.offer(queue, hint)))
  let markers = 0
  /** What was heard until now. */
  const heard = Effect.gen(function* () {
    const name = idOf(`marker-${crypto.randomUUID()}-${markers++}`)
    const found: Array<TokenStore.Wakeup> = []
    // Again, as long as the subscription is not there.
    const waking = yield* Effect.forkScoped(
      Effect.repeat(Effect.ignore(teller.wake(name)), Schedule.spaced("20 millis"))
    )
    while (true) {
      const hint = yield* Queue.take(queue)
      if (hint._tag === "Run" && hint.runId === name) break
      found.push(hint)
    }
    yield* Fiber.interrupt(waking)
    return found.filter((hint) => hint._tag === "Work" || !hint.runId.startsWith("marker-"))
  })
  yield* heard
  return heard
})

const subscribers = (send: RedisServer["send"]) =>
  Effect.map(
    send<string>("CLIENT", "LIST", "TYPE", "pubsub"),
    (list) => list.split("\n").filter((line) => line !== "").length
  )

describeShared("hints of Redis", (server) => {
  const test = testing(server)

  test(
    "what changes for others is told to another client, and in no other namespace",
    { shards: 2 },
    (store, _, prefix) =>
      beside(server, { prefix, shards: 2 }, (other) =>
        beside(server, { prefix: `${prefix}-other`, shards: 2 }, (stranger) =>
          Effect.gen(function* () {
            const heard = yield* listening(other, store)
            const unheard = yield* listening(stranger, stranger)
            const shard = store.shards.find((name) => name.includes(":1"))!
            const work = (after: number, agent = "analyst") => [
              { _tag: "Work", shard, agent, after: Duration.millis(after) }
            ]
            const run = (by?: string) => ({ _tag: "Run", runId: idOf("r-1"), ...(by === undefined ? {} : { by }) })
            const tells = (what: string, effect: Effect.Effect<unknown, unknown>, expected: ReadonlyArray<unknown>) =>
              Effect.andThen(
                effect,
                Effect.map(heard, (hints) => assert.deepStrictEqual<unknown>(hints, expected, what))
              )
            yield* tells("create", store.create(newRun("r-1")), work(0))
            yield* tells("create, again", store.create(newRun("r-1")), [])
            const { incarnation } = Option.getOrThrow(yield* store.read(idOf("r-1")))
            const facts = factsOf(incarnation)
            const [claimed] = (yield* claimOn(store)).taken
            yield* tells("renew", store.renew(claimed!.lease, ttl, 0), [])
            yield* tells("a position", store.commit(claimed!.lease, commitOf("r-1", 1)), [])
            yield* tells(
              "a fact under a lease",
              store.commit(claimed!.lease, { seen: 0, facts: [facts.requested()] }),
              []
            )
            yield* tells("release", store.release(claimed!.lease, { ...leave, due: Duration.seconds(5) }), work(5000))
            yield* tells("record", store.record(idOf("r-1"), facts.cancelRequested, 0), [...work(0), run("a")])
            yield* tells("record, again", store.record(idOf("r-1"), facts.cancelRequested, 0), [])
            const held = store.acquire(idOf("r-1"), { owner: "a", ttl })
            const { lease } = yield* held
            yield* tells("record, while it is held", store.record(idOf("r-1"), facts.accepted("response-1"), 0), [
              run("a")
            ])
            yield* tells("an end", store.commit(lease, { seen: 3, facts: [facts.ended] }), [run("a")])
            yield* tells("parking", store.release(lease, { ...leave, seen: 9, parked: "broken" }), [])
            const conclude = store.conclude(idOf("r-1"), { seen: 4, facts: [facts.delivered], due: Duration.infinity })
            // It was promised to a consumer.
            yield* tells("conclude", conclude, [...work(0), run("a")])
            yield* tells("wake", store.wake(idOf("r-1")), [run()])
            yield* tells("an agent with lines", store.create(newRun("r-3", { agent: "a\nb\n" })), work(0, "a\nb\n"))
            yield* tells(
              "leaving for good",
              Effect.flatMap(held, (taken) => store.release(taken.lease, { ...forGood, seen: 9 })),
              []
            )
            yield* tells(
              "reading",
              Effect.all([store.read(idOf("r-1")), store.list({ limit: 9 }), store.count({})]),
              []
            )
            assert.deepStrictEqual(yield* unheard, [])
          }).pipe(Effect.scoped)
        )
      )
  )

  test("what nobody of Baton wrote to the channel ends no hearing", {}, (store, send, prefix) =>
    Effect.gen(function* () {
      const heard = yield* listening(store, store)
      for (const message of ["", "run", "run\n", "run\na/b\n", "work\n99\n0\nx", "work\nx\ny\nz", "?", "\n\n\n"]) {
        yield* send("PUBLISH", `${prefix}:hints`, message)
      }
      assert.deepStrictEqual(yield* heard, [])
      yield* store.wake(idOf("r-1"))
      assert.deepStrictEqual(yield* heard, [{ _tag: "Run", runId: idOf("r-1") }])
    }).pipe(Effect.scoped)
  )
})

describeRedis("the subscription of a store", () => {
  it.live("is one connection however many listen, begins with the first, and goes with the layer", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const until = (count: number) =>
        Effect.repeat(subscribers(server.send), {
          until: (found) => found === count,
          schedule: Schedule.spaced("20 millis")
        })
      const scope = yield* Scope.make()
      const store = yield* Layer.buildWithScope(storeOn(Effect.succeed(server)), scope).pipe(
        Effect.flatMap((context) => Effect.provide(TokenStore.TokenStore, context))
      )
      yield* store.create(newRun("r-1"))
      assert.strictEqual(yield* subscribers(server.send), 0)
      yield* Effect.gen(function* () {
        const all = yield* Effect.forEach([1, 2, 3, 4, 5], () => listening(store, store))
        assert.strictEqual(yield* subscribers(server.send), 1)
        yield* store.wake(idOf("r-1"))
        for (const heard of all) assert.deepStrictEqual(yield* heard, [{ _tag: "Run", runId: idOf("r-1") }])
      }).pipe(Effect.scoped)
      // Who listens again does not begin again.
      yield* Effect.scoped(listening(store, store))
      yield* until(1)
      yield* Scope.close(scope, Exit.void)
      yield* until(0)
    }).pipe(Effect.scoped)
  )

  it.live("comes back if it is killed, or if the server was away", () =>
    Effect.gen(function* () {
      const server = yield* start()
      yield* beside(Effect.succeed(server), {}, (store) =>
        Effect.gen(function* () {
          const heard = yield* listening(store, store)
          assert.strictEqual(yield* server.send<number>("CLIENT", "KILL", "TYPE", "pubsub"), 1)
          const marked = yield* heard
          assert.isTrue(marked.every(({ _tag }) => _tag === "Work"))
          yield* server.kill
          yield* server.restart
          yield* Effect.retry(store.create(newRun("r-1")), { schedule: Schedule.spaced("20 millis") })
          yield* heard
        }).pipe(Effect.scoped)
      )
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.live("begins with all shards as work, for each who listens", () =>
    Effect.gen(function* () {
      const server = yield* start()
      yield* beside(Effect.succeed(server), { shards: 3 }, (store) =>
        Effect.forEach([1, 2], () =>
          Effect.gen(function* () {
            const first = yield* Stream.runCollect(Stream.take(store.wakeups, 3))
            assert.deepStrictEqual<unknown>(
              first,
              store.shards.map((shard) => ({ _tag: "Work", shard, after: Duration.zero }))
            )
          })
        )
      )
    }).pipe(Effect.scoped)
  )

  it.live("is not needed: who may not subscribe is told once, and workers find work all the same", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const log = logged()
      yield* server.send("ACL", "SETUSER", "mute", "on", ">secret", "~*", "&*", "+@all", "-subscribe")
      const store = RedisTokenStore.layer({ prefix: "reports" }).pipe(
        Layer.provide(client(server.url.replace("//", "//mute:secret@")))
      )
      const done: Array<string> = []
      const worker = Runs.worker([analyst], {
        concurrency: 4,
        claimEvery: "20 millis",
        startJitter: 0,
        handle: ({ runId, updates }) =>
          Effect.andThen(
            Stream.runDrain(updates),
            Effect.sync(() => void done.push(runId))
          )
      })
      const refused = Effect.map(server.send<string>("INFO", "errorstats"), (info) =>
        Number(/errorstat_NOPERM:count=(\d+)/.exec(info)?.[1] ?? 0)
      )
      const told = () => log.lines.filter((line) => line.includes("subscription to hints in Redis failed")).length
      yield* Effect.gen(function* () {
        // It is tried again.
        yield* Effect.repeat(refused, { until: (count) => count >= 3, schedule: Schedule.spaced("20 millis") })
        yield* Agent.enqueue(analyst, { input: "Hello", runId: "r-1" })
      }).pipe(
        Effect.andThen(Effect.repeat(Effect.sleep("20 millis"), { until: () => done.length > 0 })),
        Effect.provide(Layer.provideMerge(worker, store)),
        Effect.provide(ScriptedModel.layer([ScriptedModel.text("Hi"), ScriptedModel.completed])),
        Effect.provide(log.layer)
      )
      assert.deepStrictEqual(done, ["r-1"])
      assert.strictEqual(told(), 1, log.lines.join("\n"))
    }).pipe(Effect.scoped)
  )
})
