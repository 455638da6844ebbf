import { tokenStoreContract } from "../contract/tokenStore.ts"
import { client, describeShared } from "../support/redisServer.ts"
import { advanceOn, forgetting, storeOn } from "./store.ts"

describeShared("Redis", (server) => {
  tokenStoreContract("Redis", storeOn(server), { live: true, advance: advanceOn(server) })
})

// A server that is not shared: others would miss their scripts.
describeShared(
  "Redis, in a cluster",
  (server) => {
    tokenStoreContract("Redis, in a cluster", storeOn(server, {}, client), { live: true, advance: advanceOn(server) })
    tokenStoreContract("Redis, its scripts forgotten before each operation", storeOn(server, {}, forgetting), {
      live: true,
      advance: advanceOn(server)
    })
  },
  { cluster: true }
)
