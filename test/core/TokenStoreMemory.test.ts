import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"

TokenStoreContract.suite({ describe, it }, "memory", TokenStore.layerMemory)
