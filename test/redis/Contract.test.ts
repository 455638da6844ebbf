import { tokenStoreContract } from "../contract/tokenStore.ts"
import { describeShared } from "../support/redisServer.ts"
import { advanceOn, storeOn } from "./store.ts"

describeShared("Redis", (server) => {
  tokenStoreContract("Redis", storeOn(server), { live: true, advance: advanceOn(server) })
})
