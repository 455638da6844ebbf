/**
 * Baton's token store on Redis or Valkey, for many workers.
 *
 * @since 0.1.0
 */
export * as RedisTokenStore from "./RedisTokenStore.ts"
export * as RedisUpdateLog from "./RedisUpdateLog.ts"
