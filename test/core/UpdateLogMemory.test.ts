import { UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"

UpdateLogContract.suite({ describe, it }, "memory", UpdateLog.layerMemory)
