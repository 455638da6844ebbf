import { NodeServices } from "@effect/platform-node"
import { UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"

const reopen = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  return Layer.provide(UpdateLog.layerFile({ directory }), NodeServices.layer)
}).pipe(Effect.provide(NodeServices.layer))

UpdateLogContract.suite({ describe, it }, "file", Layer.unwrap(reopen), { reopen })
