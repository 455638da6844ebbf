import { NodeRedis, NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { Failpoint } from "@effect-baton/testing"
import { Config, Effect, Layer, Option } from "effect"
import * as Places from "./places.ts"

/** The store that children use: a directory, or a namespace of a Redis server. They tell at which place they are. */
export const layer = (reach: (place: string) => Effect.Effect<void> = () => Effect.void) =>
  Failpoint.layerTokenStore((place) => reach(Places.ofTokenStore(place))).pipe(Layer.provide(inner(reach)))

const inner = (reach: (place: string) => Effect.Effect<void>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const place = yield* Config.String("STORE_DIRECTORY")
      const url = yield* Config.option(Config.String("STORE_REDIS"))
      return Option.match(url, {
        onNone: () =>
          TokenStore.layerFile({ directory: place }).pipe(
            Layer.provide(Failpoint.layerFileSystem((at) => reach(Places.ofFiles(at)))),
            Layer.provide(NodeServices.layer),
            Layer.orDie
          ),
        onSome: (at) =>
          RedisTokenStore.layer({ prefix: place }).pipe(
            Layer.provide(NodeRedis.layer({ url: at, disableOfflineQueue: true })),
            Layer.orDie
          )
      })
    })
  )
