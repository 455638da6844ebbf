/** Where Baton keeps its runs, by name. Only what is needed is imported. */
import type { TokenStore } from "@effect-baton/core"
import type { Layer } from "effect"

export const setting = (name: string): string => process.env[name] ?? ""

/** A namespace of Redis, and the client that leads there. */
export const redisStore = async (prefix: string) => {
  const { NodeRedis } = await import("@effect/platform-node")
  const { RedisTokenStore } = await import("@effect-baton/redis")
  const { Effect, Layer } = await import("effect")
  const client = Effect.map(NodeRedis.NodeRedis, (redis) => redis.client)
  return RedisTokenStore.layerClient(client, { prefix }).pipe(
    Layer.provideMerge(
      Layer.orDie(
        NodeRedis.layer({ url: setting("BENCH_REDIS"), disableOfflineQueue: true, commandOptions: { timeout: 0 } })
      )
    )
  )
}

export const storeOf = async (kind: string): Promise<Layer.Layer<TokenStore.TokenStore>> => {
  const { TokenStore } = await import("@effect-baton/core")
  const { Effect, Layer } = await import("effect")
  switch (kind) {
    case "memory":
      return TokenStore.layerMemory
    case "nothing":
      // What a run costs if its checkpoints cost nothing.
      return Layer.effect(
        TokenStore.TokenStore,
        Effect.map(TokenStore.TokenStore, (store) => ({
          ...store,
          renew: () => Effect.succeed([]),
          release: () => Effect.void,
          commit: (lease: TokenStore.Lease, commit: TokenStore.Commit) =>
            commit.facts === undefined || commit.facts.length === 0
              ? Effect.succeed<TokenStore.Answer>({ outcome: "written", facts: [] })
              : store.commit(lease, commit)
        }))
      ).pipe(Layer.provide(TokenStore.layerMemory))
    case "file": {
      const { NodeServices } = await import("@effect/platform-node")
      return Layer.provide(Layer.orDie(TokenStore.layerFile({ directory: setting("BENCH_FILES") })), NodeServices.layer)
    }
    default:
      return redisStore(setting("BENCH_PREFIX"))
  }
}
