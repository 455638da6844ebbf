/**
 * The log of what runs said, in Redis or Valkey, for readers in many processes.
 *
 * @since 0.1.0
 */
import { Retention, UpdateLog } from "@effect-baton/core"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Digest from "effect/crypto/Digest"
import * as Redis from "effect/persistence/Redis"
import * as Connection from "./internal/connection.ts"
import * as RedisLog from "./internal/log/redisLog.ts"
import type { Client } from "./RedisTokenStore.ts"

/**
 * The settings of the log.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `prefix` | the namespace: logs of another one know nothing of these runs | `"baton"` |
 * | `shards` | into how many slots of a cluster the runs are spread, 1 to 1024 | 16 |
 * | `retention` | how long a log is kept after it was opened or appended to last; `Duration.infinity` for ever | 30 days |
 * | `timeout` | how long an operation waits for Redis | 3 s |
 *
 * The prefix may be that of a `RedisTokenStore`: their keys do not clash, and a run and its log lie in the same shard.
 *
 * **Gotchas**
 *
 * All processes must have the same `prefix` and the same `shards`, for as long as there are logs, and as a token store with
 * the same prefix has. With another number of shards opening a log is refused with kind `denied`.
 *
 * A log does not know whether its run is over. `retention` must be longer than a run can wait between two updates, or the
 * beginning of its log is gone before the run goes on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: string | undefined
  readonly shards?: number | undefined
  readonly retention?: Duration.Input | undefined
  readonly timeout?: Duration.Input | undefined
}

const make = (redis: Redis.Redis["Service"], connection: Connection.Connection, options: Options = {}) =>
  RedisLog.make({
    connection,
    subscribe: redis.subscribe,
    prefix: options.prefix ?? "baton",
    shards: Math.min(1024, Math.max(1, Math.trunc(options.shards ?? 16) || 1)),
    retention: Duration.fromInputUnsafe(options.retention ?? Retention.defaults.retention),
    timeout: Duration.clamp(Duration.fromInputUnsafe(options.timeout ?? Duration.seconds(3)), {
      minimum: Duration.millis(10),
      maximum: Duration.minutes(1)
    })
  }).pipe(Effect.provide(Digest.layerWebCrypto))

const overRedis = (options?: Options) =>
  Effect.flatMap(Redis.Redis, (redis) =>
    Effect.flatMap(Connection.make(Connection.sendBy(redis), true), (connection) => make(redis, connection, options))
  )

/**
 * A log on a Redis server or cluster, 6.2 or newer, or Valkey: for runs that are read in other processes than the one that
 * writes them.
 *
 * **Details**
 *
 * Any client's layer of `effect/persistence/Redis` serves, and the settings of the client that `RedisTokenStore.layer` names
 * are right here too. Each operation is one script. An operation that is not answered in time fails with kind `unavailable`,
 * and can be repeated. The user needs `EVAL`, `EVALSHA`, and the commands below for the keys `{prefix:*` and the channel
 * `prefix:log`: `+eval +evalsha +get +set +setnx +del +xadd +xrange +xrevrange +xtrim +pexpire +persist +publish +subscribe
 * ~{prefix:* &prefix:log`.
 *
 * A log is one stream, with an entry for each chunk, and a short text beside it. Readers that listen to `changes` share one
 * subscription for each layer. A reader hears at once what the same layer appended.
 *
 * **Gotchas**
 *
 * Set `maxmemory-policy noeviction`, or logs vanish if memory is short. A log that vanished begins again at offset 0: its
 * writer gets `LogGap`. If memory is short under `noeviction`, `append` fails with kind `full`; `truncate`, `remove` and
 * `read` still work.
 *
 * Replicas take writes over late. After a failover the newest chunks may be lost, though they were confirmed and read. The
 * writer gets `LogGap`, and writes those updates again. Readers see that by the epoch of the chunks.
 * `min-replicas-to-write` bounds how much that is.
 *
 * Each entry of a stream takes memory beside its body. Chunks of many updates take less than chunks of few.
 *
 * **Example** (Runs and their logs on one server)
 *
 * ```ts
 * import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * const client = RedisTokenStore.connecting(
 *   NodeRedis.layer({
 *     url: "redis://localhost:6379",
 *     disableOfflineQueue: true,
 *     commandOptions: { timeout: 0 }
 *   })
 * )
 *
 * export const Live = Layer.merge(
 *   RedisTokenStore.layer({ prefix: "reports" }),
 *   RedisUpdateLog.layer({ prefix: "reports" })
 * ).pipe(Layer.provide(client))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<UpdateLog.UpdateLog, never, Redis.Redis> =>
  Layer.effect(UpdateLog.UpdateLog, overRedis(options))

/**
 * The log of `layer`, over a client itself.
 *
 * **When to use**
 *
 * With `NodeRedis`, if many runs are written: see `RedisTokenStore.layerClient`. Commands go past the service `Redis`; only
 * hints are heard by it.
 *
 * **Example** (A log, over node-redis)
 *
 * ```ts
 * import { RedisUpdateLog } from "@effect-baton/redis"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 *
 * const client = Effect.map(NodeRedis.NodeRedis, ({ client }) => client)
 *
 * export const log = RedisUpdateLog.layerClient(client, { prefix: "reports" }).pipe(
 *   Layer.provide(
 *     NodeRedis.layer({
 *       url: "redis://localhost:6379",
 *       disableOfflineQueue: true,
 *       commandOptions: { timeout: 0 }
 *     })
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = <E, R>(
  client: Effect.Effect<Client, E, R>,
  options?: Options
): Layer.Layer<UpdateLog.UpdateLog, E, Exclude<R, Scope.Scope> | Redis.Redis> =>
  Layer.effect(
    UpdateLog.UpdateLog,
    Effect.gen(function* () {
      const connection = yield* Connection.make(Connection.sendDirectly(yield* client), false)
      return yield* make(yield* Redis.Redis, connection, options)
    })
  )

/**
 * The log of `layer`, with settings from the configuration.
 *
 * **Example** (A namespace for each deployment)
 *
 * ```ts
 * import { RedisUpdateLog } from "@effect-baton/redis"
 * import { Config } from "effect"
 *
 * export const log = RedisUpdateLog.layerConfig({ prefix: Config.String("BATON_PREFIX") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<UpdateLog.UpdateLog, Config.ConfigError, Redis.Redis> =>
  Layer.effect(UpdateLog.UpdateLog, Effect.flatMap(Config.unwrap(options), overRedis))
