// What becomes of runs that this version cannot read, or of which Redis lost a part.
import { assert } from "@effect/vitest"
import { Agent, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel, TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect, Layer, Option, References, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { describeShared } from "../support/redisServer.ts"
import { analyst } from "../support/runs.ts"
import {
  begin,
  claimOn,
  factsOf,
  fill,
  idOf,
  idsOf,
  leave,
  named,
  placesOf,
  type Service,
  testing,
  ttl
} from "./store.ts"

const { commitOf, newRun } = TokenStoreContract
const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)
type Failing = Effect.Effect<unknown, { readonly _tag: string; readonly kind?: string }>

describeShared("what Redis lost, or this version cannot read", (server) => {
  const test = testing(server)

  test("a run of a later version is left alone", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("old"))
      const { facts, lease } = yield* begin(store, "new")
      yield* store.commit(lease, { seen: 0, facts: [facts.accepted("response-1")] })
      const key = `{${prefix}:0}:run:new`
      yield* send("HSET", key, "version", "3", "position", "of another form", "novel", "field")
      yield* send("HDEL", key, "until", "run", "length")
      const before = yield* send<unknown>("HGETALL", key)
      const places = yield* placesOf(send, prefix, "new")
      const operations: ReadonlyArray<Failing> = [
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
      for (const filter of [{}, { agent: "analyst" }, { parked: false }]) {
        assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10, ...filter })), ["old"])
      }
      assert.deepStrictEqual((yield* claimOn(store)).ids, ["old"])
      assert.deepStrictEqual(yield* send<unknown>("HGETALL", key), before)
      assert.deepStrictEqual(yield* placesOf(send, prefix, "new"), places)
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
        for (const filter of [{}, { agent: "analyst" }, { parked: false }]) {
          assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10, ...filter })), ["sound"])
        }
      }
      assert.deepStrictEqual((yield* claimOn(store)).ids, ["sound"])
      yield* send("SET", `{${prefix}:0}:run:a-text`, "a text")
      assert.strictEqual((yield* failure(store.read(idOf("a-text")))).kind, "corrupt")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  test("nobody holds a run that could not be read when it was taken", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const key = `{${prefix}:0}:run:r-1`
      yield* store.create(newRun("r-1"))
      yield* send("HSET", key, "position", "{")
      const error = yield* failure(store.acquire(idOf("r-1"), { owner: "ghost", ttl }))
      assert.strictEqual(error._tag === "TokenStoreError" && error.kind, "corrupt")
      yield* send("HSET", key, "position", "")
      const { lease, record } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl })
      assert.strictEqual(record.lease?.owner, "b")
      assert.strictEqual(record.lease?.fence, lease.fence)
    })
  )

  test(
    "a run of which Redis lost a part is not what Baton wrote, and is not changed, nor bought again",
    { shards: 1 },
    (store, send, prefix) =>
      Effect.gen(function* () {
        for (const part of ["run", "journal", "keys"]) {
          const id = `without-${part}`
          const { facts, lease } = yield* begin(store, id)
          yield* store.commit(lease, { seen: 0, facts: [facts.requested(), facts.accepted(`response of ${id}`)] })
          yield* send("DEL", `{${prefix}:0}:${part}:${id}`)
          const key = `{${prefix}:0}:run:${id}`
          const before = yield* send<unknown>("HGETALL", key)
          const operations: ReadonlyArray<Failing> = [
            store.create(newRun(id)),
            store.read(idOf(id)),
            store.read({ responseId: `response of ${id}` }),
            store.acquire(idOf(id), { owner: "a", ttl }),
            store.acquire(idOf(id), { owner: "b", ttl, steal: true }),
            store.commit(lease, { seen: 2, guard: true, facts: [facts.requested("2")] }),
            store.record(idOf(id), facts.cancelRequested, 0),
            store.conclude(idOf(id), { seen: 2, facts: [facts.ended], due: Duration.zero }),
            store.remove(lease)
          ]
          for (const [i, operation] of operations.entries()) {
            assert.strictEqual((yield* failure(operation)).kind, "corrupt", `${part} ${i}`)
          }
          assert.deepStrictEqual(yield* send<unknown>("HGETALL", key), before)
        }
        assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10 })), [])
        assert.deepStrictEqual((yield* claimOn(store)).ids, [])
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )

  test("a run of which nothing was bought, and that Redis lost, is not there", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"), { input: { text: "Hello", until: "ended" } })
      yield* store.create(newRun("r-2"))
      yield* send("DEL", `{${prefix}:0}:run:r-1`)
      assert.isTrue(Option.isNone(yield* store.read(idOf("r-1"))))
      assert.strictEqual((yield* failure(store.acquire(idOf("r-1"), { owner: "a", ttl })))._tag, "RunNotFound")
      assert.deepStrictEqual((yield* claimOn(store)).ids, ["r-2"])
      assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10 })), ["r-2"])
      const { created, record } = yield* store.create(newRun("r-1"))
      assert.isTrue(created)
      // Nothing of the one before is taken for this one's.
      assert.isUndefined(record.input)
      assert.isUndefined((yield* store.acquire(idOf("r-1"), { owner: "a", ttl })).input)
    })
  )

  const incarnationOf = (store: Service) =>
    Effect.map(store.read(idOf("r-1")), (found) => Option.getOrThrow(found).incarnation)
  const requested = (store: Service) =>
    Effect.map(incarnationOf(store), (incarnation) => factsOf(incarnation).requested())

  // None of them leaves it where it is not queued and due.
  const touches: Readonly<Record<string, (store: Service) => Effect.Effect<unknown, unknown>>> = {
    read: (store) => store.read(idOf("r-1")),
    // The store gives up an answer that takes longer than a third of this.
    taken: (store) => store.acquire(idOf("r-1"), { owner: "b", ttl: Duration.millis(300) }),
    recorded: (store) => Effect.flatMap(requested(store), (fact) => store.record(idOf("r-1"), fact, 0)),
    concluded: (store) =>
      Effect.flatMap(requested(store), (fact) =>
        store.conclude(idOf("r-1"), { seen: 0, facts: [fact], due: Duration.zero })
      )
  }
  for (const [touched, touch] of Object.entries(touches)) {
    test(
      `a run that Redis lost from its indexes is in them again once it is ${touched}`,
      { shards: 1 },
      (store, send, prefix) =>
        Effect.gen(function* () {
          const all = ["runs", "work:analyst", "status:queued:analyst", "idle", "agents"]
          // A reading does not look for all of them.
          const noticed = touched === "read" ? all.slice(0, 3) : all
          for (const lost of [...noticed.map((index) => [index]), all]) {
            yield* store.create(newRun("r-1"))
            const found = Effect.all({
              places: Effect.map(placesOf(send, prefix, "r-1"), (names) => names.filter((name) => name !== "held")),
              agents: send("SMEMBERS", `{${prefix}:0}:agents`),
              listed: Effect.map(store.list({ limit: 10 }), idsOf),
              queued: Effect.map(store.list({ status: ["queued"], limit: 10 }), idsOf),
              counted: Effect.map(store.count({}), ({ queued }) => queued)
            })
            const before = yield* found
            yield* send("DEL", ...lost.map((index) => `{${prefix}:0}:${index}`))
            assert.notDeepEqual(yield* found, before)
            yield* touch(store)
            assert.deepStrictEqual(yield* found, before, lost.join())
            const { taken } = yield* Effect.repeat(claimOn(store), { until: ({ ids }) => ids.length > 0 })
            yield* store.remove(taken[0]!.lease, { force: true })
          }
        })
    )
  }

  test(
    "a parked run that Redis lost from its index is listed again once it is read",
    { shards: 1 },
    (store, send, prefix) =>
      Effect.gen(function* () {
        const { lease } = yield* begin(store, "r-1")
        yield* store.release(lease, { ...leave, parked: "broken" })
        const listed = Effect.map(store.list({ parked: true, limit: 10 }), idsOf)
        assert.deepStrictEqual(yield* listed, ["r-1"])
        yield* send("DEL", `{${prefix}:0}:parked:analyst`)
        assert.deepStrictEqual(yield* listed, [])
        yield* store.read(idOf("r-1"))
        assert.deepStrictEqual(yield* listed, ["r-1"])
        assert.deepStrictEqual((yield* claimOn(store)).ids, [])
      })
  )

  test(
    "a reading changes nothing if nothing was lost, or if Redis takes no writes",
    { shards: 1 },
    (store, send, prefix) =>
      Effect.gen(function* () {
        yield* fill(store, named("run", 3))
        const dump = Effect.flatMap(send<ReadonlyArray<string>>("KEYS", `{${prefix}:*`), (keys) =>
          Effect.forEach(keys.toSorted(), (key) => send("DUMP", key))
        )
        const before = yield* dump
        yield* store.read(idOf("run-0000"))
        assert.deepStrictEqual(yield* dump, before)
      })
  )

  test("a run whose input Redis lost is not opened, and that is told", { shards: 1 }, (store, send, prefix) =>
    Effect.gen(function* () {
      const log = logged()
      const hello = { input: "Hello", runId: "r-1" }
      yield* Agent.enqueue(analyst, hello)
      yield* send("DEL", `{${prefix}:0}:input:r-1`)
      const worker = Runs.worker([analyst], {
        concurrency: 1,
        claimEvery: "10 millis",
        startJitter: 0,
        handle: ({ updates }) => Stream.runDrain(updates)
      })
      const read = Effect.map(store.read(idOf("r-1")), Option.getOrThrow)
      yield* Effect.repeat(read, { until: ({ parked }) => parked !== null }).pipe(
        Effect.provide(Layer.provide(worker, log.layer))
      )
      const { input, journal, parked } = yield* read
      assert.deepStrictEqual(journal, [])
      assert.isUndefined(input)
      assert.include(parked?.reason, "never opened")
      assert.isTrue(log.lines.some((line) => line.includes("this worker cannot open it") && line.includes("r-1")))
      // With its input it is opened after all.
      const updates = yield* Stream.runCollect(Agent.stream(analyst, hello))
      assert.strictEqual(updates.at(-1)?.status, "completed")
    }).pipe(
      Effect.provideService(TokenStore.TokenStore, store),
      Effect.provide(ScriptedModel.layer([ScriptedModel.text("Hi"), ScriptedModel.completed]))
    )
  )
})
