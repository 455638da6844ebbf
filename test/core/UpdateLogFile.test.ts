import { NodeServices } from "@effect/platform-node"
import { UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"

const retention = "10 minutes"

/** Logs in a new directory. */
const layerOf = (options: UpdateLog.RetentionOptions) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
    return Layer.provide(UpdateLog.layerFile({ directory, ...options }), NodeServices.layer)
  }).pipe(Effect.provide(NodeServices.layer))

UpdateLogContract.suite({ describe, it }, "file", Layer.unwrap(layerOf({})), {
  reopen: layerOf({}),
  retention: { retention, layer: layerOf({ retention }) }
})
