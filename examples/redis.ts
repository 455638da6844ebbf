import { NodeRedis } from "@effect/platform-node"
import { RedisTokenStore } from "@effect-baton/redis"
import { RedisServer } from "@effect-baton/sandbox"
import { Config, Context, Data, Effect, Layer, Option, Random } from "effect"

class NoRedis extends Data.TaggedError("NoRedis")<{ readonly message: string }> {}

/**
 * Where the examples keep their runs: in a namespace of the Redis at REDIS_URL, or of a redis-server that the
 * example starts and stops. It hands both to its worker processes.
 */
export class RedisPlace extends Context.Service<RedisPlace, { readonly url: string; readonly prefix: string }>()(
  "examples/RedisPlace"
) {
  static readonly layer = Layer.effect(
    RedisPlace,
    Effect.gen(function* () {
      const given = yield* Config.option(Config.String("REDIS_URL"))
      const name = (yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)
      const prefix = yield* Config.String("REDIS_PREFIX").pipe(Config.withDefault(`baton-example-${name}`))
      if (Option.isSome(given)) return { prefix, url: given.value }
      const { url } = yield* RedisServer.start().pipe(
        Effect.mapError(({ message }) => new NoRedis({ message: `${message} Or say in REDIS_URL where one is.` }))
      )
      return { prefix, url }
    })
  )
}

/** The client of the store. */
export const Client = Layer.effectContext(
  Effect.flatMap(RedisPlace, ({ url }) =>
    Layer.build(NodeRedis.layer({ url, disableOfflineQueue: true })).pipe(
      Effect.mapError(({ cause }) => new NoRedis({ message: `There is no Redis at REDIS_URL, ${url}: ${cause}` }))
    )
  )
).pipe(Layer.provide(RedisPlace.layer))

/** The store that the Redis examples use. It forgets finished runs after an hour. */
export const Store = Layer.unwrap(
  Effect.map(RedisPlace, ({ prefix }) => RedisTokenStore.layer({ prefix, retention: "1 hour" }))
).pipe(Layer.provide([Client, RedisPlace.layer]))
