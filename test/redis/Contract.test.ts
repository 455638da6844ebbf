import { TokenStoreContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { describeShared } from "../support/redisServer.ts"
import { advanceOn, forgetting, storeOn } from "./store.ts"

describeShared("on one server", (server) => {
  TokenStoreContract.suite({ describe, it }, "Redis", storeOn(server), {
    live: true,
    ttl: "30 seconds",
    advance: advanceOn(server),
    reopen: Effect.sync(() => storeOn(server, { prefix: `test-${crypto.randomUUID()}` }))
  })
})

// A server that nobody shares: others would miss their scripts.
describeShared(
  "in a cluster",
  (server) => {
    const options = { live: true, ttl: "30 seconds", advance: advanceOn(server), runs: 1000 } as const
    TokenStoreContract.suite({ describe, it }, "Redis in a cluster", storeOn(server), options)
    TokenStoreContract.suite(
      { describe, it },
      "Redis that forgets its scripts",
      storeOn(server, {}, forgetting),
      options
    )
  },
  { cluster: true }
)
