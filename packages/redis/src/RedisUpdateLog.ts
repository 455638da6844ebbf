/**
 * The update log on Redis or Valkey, for readers in many processes.
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
import * as ServerCheck from "./internal/serverCheck.ts"
import type { Client } from "./RedisTokenStore.ts"

/**
 * The settings of the log.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `prefix` | the namespace: logs with another prefix do not see these runs | `"baton"` |
 * | `shards` | the number of cluster slots that the runs are spread over, 1 to 1024 | 16 |
 * | `retention` | how long a log is kept after it was last opened or appended to; `Duration.infinity` keeps it for ever | 30 days |
 * | `timeout` | how long an operation waits for Redis | 3 s |
 *
 * The log can have the same prefix as a `RedisTokenStore`. Their keys do not clash, and a run and its log are in the same
 * shard.
 *
 * **Gotchas**
 *
 * As long as there are logs, all processes must use the same `prefix` and the same `shards`. A token store with the same
 * prefix must use the same `shards` too. With another number of shards `open` and `append` fail with kind `denied`.
 *
 * A log does not know whether its run is over. Set `retention` longer than any run waits between two updates. Otherwise the log
 * of a waiting run is removed, and begins again at offset 0. A retention below one second counts as one second.
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

const make = (redis: Redis.Redis["Service"], connection: Connection.Connection, options: Options = {}) => {
  const timeout = Duration.clamp(Duration.fromInputUnsafe(options.timeout ?? Duration.seconds(3)), {
    minimum: Duration.millis(10),
    maximum: Duration.minutes(1)
  })
  return RedisLog.make({
    connection,
    subscribe: redis.subscribe,
    prefix: options.prefix ?? "baton",
    shards: Math.min(1024, Math.max(1, Math.trunc(options.shards ?? 16) || 1)),
    retention: Duration.fromInputUnsafe(options.retention ?? Retention.defaults.retention),
    timeout
  }).pipe(
    Effect.provide(Digest.layerWebCrypto),
    Effect.tap(() =>
      ServerCheck.warnIfEvicting(redis.send, "log").pipe(Effect.timeoutOption(timeout), Effect.forkScoped)
    )
  )
}

const overRedis = (options?: Options) =>
  Effect.flatMap(Redis.Redis, (redis) =>
    Effect.flatMap(Connection.make(Connection.sendBy(redis), true), (connection) => make(redis, connection, options))
  )

/**
 * A layer of an update log on a Redis server or cluster, 6.2 or newer, or Valkey.
 *
 * **When to use**
 *
 * Use it if other processes read the updates than the one that writes them.
 *
 * **Details**
 *
 * Any layer of the service `Redis` (`effect/persistence/Redis`) works. `RedisTokenStore.layer` explains the options of the
 * client. Each operation is one script. An operation that Redis does not answer in time fails with kind `unavailable`, and can
 * be repeated.
 *
 * The Redis user needs these permissions: `+eval +evalsha +get +set +setnx +del +xadd +xrange +xrevrange +xtrim +pexpire
 * +persist +publish +subscribe ~{prefix:* &prefix:log`.
 *
 * The log of a run is a stream with one entry for each chunk, and a short string. An entry takes some memory in addition to its
 * body, so large chunks take less memory for each update. All listeners to `changes` of a layer share one subscription.
 *
 * **Gotchas**
 *
 * Set `maxmemory-policy noeviction`, or the server deletes logs if memory is short. A deleted log begins again at offset 0, and
 * its writer gets `LogGap`. The layer logs a warning if the server has another policy and lets this user read it with
 * `CONFIG GET` or `INFO`. With `noeviction`, `append` fails with kind `full` if memory is short, and `read`, `truncate` and
 * `remove` still work.
 *
 * Replication is asynchronous. A failover may lose the newest chunks, even if they were read. The writer gets `LogGap` and
 * writes their updates again under a new epoch, by which readers notice it. `min-replicas-to-write` limits how much can be lost.
 *
 * `remove` and the end of the retention delete the log from the memory of the server. Its content stays in an append-only file
 * until the server rewrites that file, and in earlier snapshots and backups.
 *
 * If the server lost a part of a log, the log is `corrupt` for readers of that part. If it lost the newest chunks only, or the
 * whole log, nothing remains that shows it, and the writer gets `LogGap`.
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
 * The log of `layer`, with commands sent by the client itself.
 *
 * **When to use**
 *
 * Use it with `NodeRedis` if many runs are written, because it uses less CPU time: see `RedisTokenStore.layerClient`. The
 * service `Redis` is only used for hints.
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
 * The log of `layer`, with settings from `Config`.
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
