import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { describeShared } from "../support/redisServer.ts"
import { advance, forgetting, hastened, storeOn } from "./store.ts"

const kept = { retention: "1 hour", abandonedAfter: "3 hours" } as const
const options = { live: true, ttl: "30 seconds", advance } as const

describeShared("on one server", (server) => {
  TokenStoreContract.suite({ describe, it }, "Redis", storeOn(server, {}, hastened), {
    ...options,
    reopen: Effect.sync(() => storeOn(server, { prefix: `test-${crypto.randomUUID()}` }, hastened)),
    retention: {
      ...kept,
      layer: Effect.sync(() => storeOn(server, { prefix: `test-${crypto.randomUUID()}`, ...kept }, hastened))
    }
  })
})

// A server that nobody shares: others would miss their scripts.
describeShared(
  "in a cluster",
  (server) => {
    TokenStoreContract.suite({ describe, it }, "Redis in a cluster", storeOn(server, {}, hastened), {
      ...options,
      runs: 1000
    })
    TokenStoreContract.suite(
      { describe, it },
      "Redis that forgets its scripts",
      storeOn(server, {}, forgetting(hastened)),
      { ...options, runs: 1000 }
    )
  },
  { cluster: true }
)
