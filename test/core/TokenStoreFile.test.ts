import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Effect, FileSystem, Layer } from "effect"
import { tokenStoreContract } from "../contract/tokenStore.ts"

const fresh = Layer.unwrap(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    return TokenStore.layerFile({ directory: yield* fs.makeTempDirectoryScoped({ prefix: "baton-" }) })
  })
).pipe(Layer.provide(NodeServices.layer))

tokenStoreContract("file", fresh)
