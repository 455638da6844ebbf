import { NodeRedis, NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { Config, Effect, Layer, Option } from "effect"

/** The store that children use: a directory, or a namespace of a Redis server. */
export const Store = Layer.unwrap(
  Effect.gen(function* () {
    const place = yield* Config.String("STORE_DIRECTORY")
    const url = yield* Config.option(Config.String("STORE_REDIS"))
    return Option.match(url, {
      onNone: () => TokenStore.layerFile({ directory: place }).pipe(Layer.provide(NodeServices.layer), Layer.orDie),
      onSome: (at) =>
        RedisTokenStore.layer({ prefix: place }).pipe(
          Layer.provide(NodeRedis.layer({ url: at, disableOfflineQueue: true })),
          Layer.orDie
        )
    })
  })
)
