// Another process lists and watches the runs of a directory while its owner goes on writing.
import { NodeServices } from "@effect/platform-node"
import { Agent, type RunRecord, Runs, TokenStore, type TokenStoreError } from "@effect-baton/core"
import { ScriptedModel, TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, FileSystem, Layer, Option, type Path, Stream } from "effect"
import { analyst } from "../support/runs.ts"

const { completed, text } = ScriptedModel
const ttl = Duration.minutes(1)

const idsOfRuns = (runs: ReadonlyArray<RunRecord.RunRecord>) => runs.map(({ runId }) => String(runId))

/** A directory, its owner, and a reader of it. */
const both = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  const build = <E>(layer: Layer.Layer<TokenStore.TokenStore, E, FileSystem.FileSystem | Path.Path>) =>
    Effect.map(Layer.build(Layer.fresh(layer)), Context.get(TokenStore.TokenStore))
  const reader = yield* build(TokenStore.layerFileReadOnly({ directory }))
  const empty = yield* reader.list({ limit: 10 })
  const owner = yield* build(TokenStore.layerFile({ directory }))
  return { directory, empty, fs, owner, reader }
})

describe("a file store that is open to read only", () => {
  it.live("is empty where nobody wrote, and shows what its owner wrote since, at each look", () =>
    Effect.gen(function* () {
      const { empty, owner, reader } = yield* both
      assert.deepStrictEqual(empty.items, [])
      const { record } = yield* owner.create(TokenStoreContract.newRun("r-1", { labels: { of: "us" } }))
      assert.deepStrictEqual(yield* reader.read(record.runId), Option.some(record))
      const { lease } = yield* owner.acquire(record.runId, { owner: "a", ttl })
      yield* owner.commit(lease, TokenStoreContract.commitOf("r-1", 7))
      const seen = Option.getOrThrow(yield* reader.read(record.runId))
      assert.deepStrictEqual([seen.ordinal, seen.lease], [7, null])
      yield* owner.create(TokenStoreContract.newRun("r-2"))
      assert.deepStrictEqual(idsOfRuns((yield* reader.list({ limit: 10 })).items), ["r-1", "r-2"])
      assert.deepStrictEqual(idsOfRuns((yield* reader.list({ limit: 10, labels: { of: "us" } })).items), ["r-1"])
      assert.strictEqual((yield* reader.count({})).queued, 2)
      yield* owner.remove(lease)
      assert.deepStrictEqual(idsOfRuns((yield* reader.list({ limit: 10 })).items), ["r-2"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live(
    "follows its owner through a rewrite of the log",
    () =>
      Effect.gen(function* () {
        const { directory, fs, owner, reader } = yield* both
        const { record } = yield* owner.create(TokenStoreContract.newRun("r-1"))
        const { lease } = yield* owner.acquire(record.runId, { owner: "a", ttl })
        const { ino } = yield* fs.stat(`${directory}/runs.log`)
        let ordinal = 0
        const grow = Effect.suspend(() =>
          Effect.forEach(
            Array.from({ length: 2000 }, () => ++ordinal),
            (next) => owner.commit(lease, TokenStoreContract.commitOf("r-1", next)),
            { concurrency: "unbounded", discard: true }
          )
        )
        const look = Effect.map(reader.read(record.runId), (found) => Option.getOrThrow(found).ordinal)
        yield* Effect.repeat(
          Effect.gen(function* () {
            yield* grow
            assert.strictEqual(yield* look, ordinal)
            return (yield* fs.stat(`${directory}/runs.log`)).ino
          }),
          { until: (now) => Option.getOrUndefined(now) !== Option.getOrUndefined(ino) }
        )
        yield* owner.commit(lease, TokenStoreContract.commitOf("r-1", ++ordinal))
        assert.strictEqual(yield* look, ordinal)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    120_000
  )

  it.live("refuses what would change a run, and leaves the place to its owner", () =>
    Effect.gen(function* () {
      const { owner, reader } = yield* both
      const { record } = yield* owner.create(TokenStoreContract.newRun("r-1"))
      const { lease } = yield* owner.acquire(record.runId, { owner: "a", ttl })
      const { incarnation } = record
      const operations = [
        reader.create(TokenStoreContract.newRun("r-2")),
        reader.acquire(record.runId, { owner: "b", ttl, steal: true }),
        reader.claim({ agents: ["analyst"], owner: "b", ttl, limit: 1, shard: reader.shards[0]! }),
        reader.renew(lease, ttl, 0),
        reader.release(lease, { seen: 0, due: Duration.zero, attempt: "back" }),
        reader.commit(lease, TokenStoreContract.commitOf("r-1", 1)),
        reader.record(record.runId, { _tag: "CancelRequested", incarnation, by: "b" }, 0),
        reader.conclude(record.runId, { seen: 0, facts: [], due: Duration.zero }),
        reader.remove(lease, { force: true })
      ]
      yield* owner.release(lease, { seen: 0, due: Duration.zero, attempt: "back" })
      for (const operation of operations) {
        const error = yield* Effect.flip(operation as Effect.Effect<unknown, TokenStoreError.TokenStoreError>)
        assert.deepInclude(error, { _tag: "TokenStoreError", kind: "denied" })
        assert.include(String(error), "read-only")
      }
      assert.isNull(Option.getOrThrow(yield* owner.read(record.runId)).lease)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("is enough to watch a run, and to look at it once it is over", () =>
    Effect.gen(function* () {
      const { owner, reader } = yield* both
      const as = (store: typeof owner) => Effect.provideService(TokenStore.TokenStore, store)
      yield* Agent.start(analyst, { input: "Hello", runId: "r-1" }).pipe(as(owner))
      const updates = yield* Stream.runCollect(Agent.watch(analyst, { runId: "r-1" })).pipe(as(reader))
      assert.strictEqual(updates.map((update) => update.text).join(""), "Hello")
      const polled = yield* Agent.poll(analyst, { runId: "r-1" }).pipe(as(reader))
      assert.deepStrictEqual([polled.status, polled.text], ["completed", "Hello"])
      yield* Agent.run(analyst, { input: "Hello", runId: "r-1" }).pipe(as(owner))
      assert.strictEqual((yield* Runs.get("r-1").pipe(as(reader))).journal.at(-1)?._tag, "Delivered")
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(NodeServices.layer, ScriptedModel.layer([text("Hello"), completed])))
    )
  )
})
