import { UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"

UpdateLogContract.suite({ describe, it }, "memory", UpdateLog.layerMemory, {
  retention: { retention: "10 minutes", layer: Effect.sync(() => UpdateLog.memory({ retention: "10 minutes" })) }
})
