import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"

const reopen = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  return Layer.provide(TokenStore.layerFile({ directory }), NodeServices.layer)
}).pipe(Effect.provide(NodeServices.layer))

TokenStoreContract.suite({ describe, it }, "file", Layer.unwrap(reopen), { reopen })
