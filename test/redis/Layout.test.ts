import { assert, it } from "@effect/vitest"
import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { Effect, Option } from "effect"
import { describeShared } from "../support/redisServer.ts"
import { begin, claimOn, factsOf, frozen, idOf, leave, storeOn, testing, ttl } from "./store.ts"

const { commitOf, newRun } = TokenStoreContract

describeShared("the layout of runs in Redis", (server) => {
  const test = testing(server)

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
      const kinds = keys.map((key) =>
        key
          .replace(/^\{.*?:/, "")
          .replace(/\{.*/, "")
          .replace(/^\d\}:/, "")
      )
      const ofShard = [
        "agents",
        "fence",
        "held",
        "idle",
        "parked:analyst",
        "responses",
        "runs",
        "status:failed:analyst"
      ]
      assert.deepStrictEqual(
        kinds.toSorted(),
        [
          ...["run:", "journal:", "keys:"].flatMap((kind) => Array.from({ length: 30 }, () => kind)),
          ...[0, 1, 2].flatMap(() => ofShard),
          "shards}"
        ].toSorted()
      )
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

  test("who looks for runs in other shards starts none, and is told how many there are", {}, (store, _, prefix) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const other = yield* TokenStore.TokenStore.pipe(
        Effect.flatMap((second) => Effect.flip(second.create(newRun("r-1")))),
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
          yield* store.create(newRun("r-2", { agent: "{}" }))
          assert.deepStrictEqual((yield* claimOn(store, { owner: "{}", agents: ["{}"] })).ids, ["r-2"])
        }).pipe(Effect.provide(storeOn(server, { prefix })))
      }
    })
  )
})
