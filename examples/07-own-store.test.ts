// Test a store of your own: one call runs the whole contract.
import { NodeServices } from "@effect/platform-node"
import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer } from "effect"
import { KeyValueStore } from "effect/persistence"
import { layer, storeOf } from "./07-own-store.ts"

// In memory a write is done at once. The yield lets other fibers run before it, as with every other store.
const inMemory = Effect.gen(function* () {
  const context = yield* Layer.build(Layer.fresh(KeyValueStore.layerMemory))
  const values = Context.get(context, KeyValueStore.KeyValueStore)
  return Layer.succeed(KeyValueStore.KeyValueStore, {
    ...values,
    set: (key, value) => Effect.andThen(Effect.yieldNow, values.set(key, value))
  })
})

const inFiles = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  return Layer.provide(KeyValueStore.layerFileSystem(directory), NodeServices.layer)
}).pipe(Effect.provide(NodeServices.layer))

const times = { retention: "10 minutes", abandonedAfter: "30 minutes" } as const

for (const [name, values, runs] of [
  ["in memory", inMemory, 300],
  ["in files", inFiles, 100]
] as const) {
  const reopen = Effect.map(values, (kept) => Layer.provide(layer, kept))
  TokenStoreContract.suite({ describe, it }, `over key and value, ${name}`, Layer.unwrap(reopen), {
    reopen,
    runs,
    retention: { ...times, layer: Effect.map(values, (kept) => Layer.provide(storeOf(times), kept)) }
  })
}
