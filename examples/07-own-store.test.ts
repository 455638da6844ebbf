// Trying a store of your own: one call for what it promises, `except` for what it does not.
import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, FileSystem, Layer, Option } from "effect"
import { KeyValueStore } from "effect/persistence"
import { layer } from "./07-own-store.ts"

// In memory every write is done at once. Here others have their turn before it, as they have everywhere else.
const shared = Effect.gen(function* () {
  const context = yield* Layer.build(Layer.fresh(KeyValueStore.layerMemory))
  const values = Context.get(context, KeyValueStore.KeyValueStore)
  return Layer.succeed(KeyValueStore.KeyValueStore, {
    ...values,
    set: (key, value) => Effect.andThen(Effect.yieldNow, values.set(key, value))
  })
})

const files = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  return Layer.provide(KeyValueStore.layerFileSystem(directory), NodeServices.layer)
}).pipe(Effect.provide(NodeServices.layer))

const inMemory = Effect.map(shared, (values) => Layer.provide(layer, values))
const inFiles = Effect.map(files, (values) => Layer.provide(layer, values))

TokenStoreContract.suite({ describe, it }, "over key and value, in memory", Layer.unwrap(inMemory), {
  reopen: inMemory,
  runs: 500,
  except: ["of two who open the place at once, one gets a run"]
})

TokenStoreContract.suite({ describe, it }, "over key and value, in files", Layer.unwrap(inFiles), {
  reopen: inFiles,
  runs: 500,
  except: [
    "of two who open the place at once, one gets a run",
    // Each byte of it becomes three letters in the name of a file, which has 255 at most.
    "ids may be as long as they are allowed to be"
  ]
})

// What the first exception means.
it.effect("two workers that open the same place both get the run, and one writes over the other", () =>
  Effect.gen(function* () {
    const values = yield* shared
    const open = Effect.map(Layer.build(Layer.fresh(Layer.provide(layer, values))), (context) =>
      Context.get(context, TokenStore.TokenStore)
    )
    const [first, second] = yield* Effect.all([open, open])
    const { runId } = TokenStoreContract.newRun("october")
    yield* first.create(TokenStoreContract.newRun("october"))

    const ttl = Duration.seconds(30)
    const [a, b] = yield* Effect.all(
      [first.acquire(runId, { owner: "first", ttl }), second.acquire(runId, { owner: "second", ttl })],
      { concurrency: "unbounded" }
    )
    assert.strictEqual(a.record.lease?.owner, "first")
    assert.strictEqual(b.record.lease?.owner, "second")

    // Even the fence, which is to keep the first from writing, is the same for both: what one of them wrote is lost.
    assert.strictEqual(a.lease.fence, b.lease.fence)
    const commit = (turn: number) => {
      const { incarnation } = a.record
      return { seen: 0, facts: [{ _tag: "Requested" as const, incarnation, by: "a", turn, try: "1" }] }
    }
    yield* Effect.all([first.commit(a.lease, commit(0)), second.commit(b.lease, commit(1))], {
      concurrency: "unbounded"
    })
    const record = Option.getOrThrow(yield* first.read(runId))
    assert.deepStrictEqual(
      record.journal.map((fact) => (fact._tag === "Requested" ? fact.turn : -1)),
      [1]
    )
  })
)
