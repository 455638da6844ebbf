import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"

const placeOf = (options: TokenStore.RetentionOptions) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
    return Layer.provide(TokenStore.layerFile({ directory, ...options }), NodeServices.layer)
  }).pipe(Effect.provide(NodeServices.layer))

const reopen = placeOf({})
const times = { retention: "10 minutes", abandonedAfter: "30 minutes" } as const

TokenStoreContract.suite({ describe, it }, "file", Layer.unwrap(reopen), {
  reopen,
  retention: { ...times, layer: placeOf(times) }
})
