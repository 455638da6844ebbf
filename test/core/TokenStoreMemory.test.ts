import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"

const times = { retention: "10 minutes", abandonedAfter: "30 minutes" } as const

TokenStoreContract.suite({ describe, it }, "memory", TokenStore.layerMemory, {
  retention: { ...times, layer: Effect.sync(() => TokenStore.memory(times)) }
})
