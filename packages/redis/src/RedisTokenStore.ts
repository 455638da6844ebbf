/**
 * A token store on Redis or Valkey, for many workers.
 *
 * @since 0.1.0
 */
import { Retention, TokenStore, TokenStoreError } from "@effect-baton/core"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Digest from "effect/crypto/Digest"
import * as Redis from "effect/persistence/Redis"
import * as Connection from "./internal/connection.ts"
import * as RedisFailure from "./internal/redisFailure.ts"
import * as RedisStore from "./internal/redisStore.ts"
import * as ServerCheck from "./internal/serverCheck.ts"

/**
 * The settings of the store.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `prefix` | the namespace: stores with another prefix do not see these runs | `"baton"` |
 * | `shards` | the number of cluster slots that the runs are spread over, 1 to 1024 | 16 |
 * | `retention` | how long a run is kept after it is over; `Duration.infinity` keeps it for ever | 30 days |
 * | `abandonedAfter` | how long any other run is kept after its last fact, lease or due time | 30 days |
 * | `timeout` | how long an operation waits for Redis; an operation on a lease waits at most 0.3 of the lease | 3 s |
 *
 * A run is over if it has ended and its consumer has acknowledged the last update. If the run was never promised to the
 * consumer of a worker, its end is enough.
 *
 * **Gotchas**
 *
 * As long as there are runs, all workers must use the same `prefix` and the same `shards`. With another number of shards the
 * store looks for runs in the wrong place and does not find them. `create` then fails with kind `denied`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: string | undefined
  readonly shards?: number | undefined
  readonly retention?: Duration.Input | undefined
  readonly abandonedAfter?: Duration.Input | undefined
  readonly timeout?: Duration.Input | undefined
}

const make = (redis: Redis.Redis["Service"], connection: Connection.Connection, options: Options = {}) => {
  const timeout = Duration.clamp(Duration.fromInputUnsafe(options.timeout ?? Duration.seconds(3)), {
    minimum: Duration.millis(10),
    maximum: Duration.minutes(1)
  })
  return RedisStore.make({
    connection,
    subscribe: redis.subscribe,
    prefix: options.prefix ?? "baton",
    shards: Math.min(1024, Math.max(1, Math.trunc(options.shards ?? 16) || 1)),
    retention: Duration.fromInputUnsafe(options.retention ?? Retention.defaults.retention),
    abandonedAfter: Duration.fromInputUnsafe(options.abandonedAfter ?? Retention.defaults.abandonedAfter),
    timeout
  }).pipe(
    Effect.provide(Digest.layerWebCrypto),
    Effect.tap(() => ServerCheck.warnIfEvicting(redis.send).pipe(Effect.timeoutOption(timeout), Effect.forkScoped))
  )
}

const overRedis = (options?: Options) =>
  Effect.flatMap(Redis.Redis, (redis) =>
    Effect.flatMap(Connection.make(Connection.sendBy(redis), true), (connection) => make(redis, connection, options))
  )

/**
 * A layer of a token store on a Redis server or cluster, 6.2 or newer, or Valkey.
 *
 * **When to use**
 *
 * Use it if many processes share runs.
 *
 * **Details**
 *
 * Any layer of the service `Redis` (`effect/persistence/Redis`) works. Each operation is one script, and uses the time of the
 * server. Committing a position is one short script. To find a run by the id of a response, `read` asks all shards.
 *
 * An operation that Redis does not answer in time fails with kind `unavailable`. After every failure of that kind the
 * operation can be repeated, even if it reached the server.
 *
 * The time limit of an operation starts when its command is written. If the process was blocked, it starts again, at most
 * five times. At most 1000 operations are sent at once and the others wait. While Redis answers, this wait does not count
 * towards the limit.
 *
 * The Redis user needs these permissions: `+eval +evalsha +time +exists +del +get +set +setnx +publish +subscribe +@hash
 * +@list +@set +@sortedset ~{prefix:* &prefix:hints`.
 *
 * Options for `NodeRedis.layer`:
 *
 * - `commandOptions: { timeout: 0 }`: otherwise the client starts a timer of five seconds for each command. The timer only
 *   limits the time until the command is written, which the store limits too, and it costs as much as the command.
 * - `disableOfflineQueue: true`: otherwise commands wait in the client while the server is down, and are sent long after
 *   their operations failed.
 * - `socket.reconnectStrategy`, as below: otherwise the layer cannot be built while the server is down. Once connected, the
 *   client reconnects by itself. Do not set `socketTimeout` without a `reconnectStrategy`: after such a timeout the client
 *   does not reconnect.
 * - The layer waits for ever for a server that does not answer. `connecting` sets a limit.
 * - On a cluster, use the layer of a client that supports clusters.
 *
 * If positions are written often, `layerClient` uses less CPU time.
 *
 * **Gotchas**
 *
 * Runs are only as safe as the data of the server. Set `maxmemory-policy noeviction`, or the server deletes runs if memory is
 * short. The layer logs a warning if the server has another policy and lets this user read it with `CONFIG GET` or `INFO`.
 * With `appendonly yes` and `appendfsync always` a crash of the server loses nothing that was answered; with `everysec` it
 * loses up to one second; without either it loses everything. If a position is lost, its updates come again, and none is
 * left out. If a run is lost, `Agent.resume` does not find it, and `Agent.stream` with its id starts it and buys it again.
 *
 * Replication is asynchronous. A failover may lose the last commits: their updates come again. If it loses a lease, two
 * workers may hold the run until the lease of the first ends. Fences continue to rise with the clock of the new server, unless
 * that clock is behind the old one by more than the failover took. `min-replicas-to-write` limits how much can be lost.
 *
 * If the server lost a part of a run, for example by eviction, the run is `corrupt`: the store leaves it alone, and it is not
 * bought again. If the input of a run is lost, the run is parked. `claim`, `list` and `count` only use indexes, so they do not
 * notice if the server lost one. A run is in its indexes again after it is read, acquired or written to.
 *
 * If a client of node-redis is closed while a command waits for its answer, closing waits too, even if the server then dies.
 * Limit the time in which your process must stop, for example with a supervisor that sends SIGKILL.
 *
 * **Example** (A single server)
 *
 * ```ts
 * import { RedisTokenStore } from "@effect-baton/redis"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * export const store = RedisTokenStore.layer({ prefix: "reports" }).pipe(
 *   Layer.provide(
 *     RedisTokenStore.connecting(
 *       NodeRedis.layer({
 *         url: "redis://localhost:6379",
 *         disableOfflineQueue: true,
 *         commandOptions: { timeout: 0 },
 *         socket: { reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 2000) }
 *       }),
 *       { within: "1 minute" }
 *     )
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<TokenStore.TokenStore, never, Redis.Redis> =>
  Layer.effect(TokenStore.TokenStore, overRedis(options))

const notConnected = (within: Duration.Duration) =>
  new TokenStoreError.TokenStoreError({
    operation: "connect",
    kind: "unavailable",
    description: `there is no connection to Redis after ${Duration.format(within)}: the server could not be reached, or accepted the connection and did not answer. Check its address and port, that it answers redis-cli PING, that client and server agree on TLS, and any proxy or firewall between them.`
  })

/**
 * Limits how long the layer of a Redis client may take to connect.
 *
 * **When to use**
 *
 * Use it around `NodeRedis.layer`, which waits for ever for a server that accepts the connection and never answers, and, if it
 * has a `reconnectStrategy`, for a server that is down.
 *
 * **Details**
 *
 * After `within`, 10 seconds by default, the layer fails with a `TokenStoreError` of kind `unavailable` that says what to
 * check. If the server refused the client, it also turns the `RedisError` into a `TokenStoreError` that says why. Once the
 * client is connected, the limit has no effect. If a program must wait for its Redis to start, set a longer limit.
 *
 * **Gotchas**
 *
 * A client that did not connect in time is closed in the background. A client of node-redis then still waits for the missing
 * answer, and keeps the process alive until the server ends the connection or the process exits explicitly.
 *
 * **Example** (A server that must answer soon)
 *
 * ```ts
 * import { RedisTokenStore } from "@effect-baton/redis"
 * import { NodeRedis } from "@effect/platform-node"
 *
 * export const client = RedisTokenStore.connecting(
 *   NodeRedis.layer({ url: "redis://localhost:6379", disableOfflineQueue: true }),
 *   { within: "5 seconds" }
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const connecting = <A, E, R>(
  client: Layer.Layer<A, E, R>,
  options: { readonly within?: Duration.Input | undefined } = {}
): Layer.Layer<A, Exclude<E, Redis.RedisError> | TokenStoreError.TokenStoreError, R> => {
  const within = Duration.fromInputUnsafe(options.within ?? Duration.seconds(10))
  return Layer.fromBuildMemo((memoMap, scope) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const own = yield* Scope.make()
        const building = yield* Effect.forkDetach(Layer.buildWithMemoMap(client, memoMap, own))
        // Closing a client that never connected may never end.
        const abandon = Effect.forkDetach(Effect.andThen(Fiber.interrupt(building), Scope.close(own, Exit.void)))
        const built = yield* restore(Effect.timeoutOption(Fiber.await(building), within)).pipe(
          Effect.onInterrupt(() => abandon)
        )
        if (Option.isNone(built)) {
          yield* abandon
          return yield* Effect.fail(notConnected(within))
        }
        if (Exit.isFailure(built.value)) yield* abandon
        else yield* Scope.addFinalizerExit(scope, (exit) => Scope.close(own, exit))
        return yield* Effect.mapError(built.value, (error) =>
          error instanceof Redis.RedisError
            ? RedisFailure.fromRedis("connect", "", error)
            : (error as Exclude<E, Redis.RedisError>)
        )
      })
    )
  )
}

/**
 * A Redis client whose `sendCommand` returns a promise. Answers must come in the order of the commands. node-redis fits.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly sendCommand: (command: Array<string>) => Promise<unknown>
}

/**
 * The store of `layer`, with commands sent directly by a client.
 *
 * **When to use**
 *
 * Use it with `NodeRedis` if positions are written often. Each command of the service `Redis` runs in a fiber of its own to
 * have a time limit; `pnpm bench --row redis` measures the cost.
 *
 * **Gotchas**
 *
 * Commands bypass the service `Redis` and anything that wraps it. Only the subscription to hints uses that service.
 *
 * **Example** (A single server with node-redis)
 *
 * ```ts
 * import { RedisTokenStore } from "@effect-baton/redis"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 *
 * const client = Effect.map(NodeRedis.NodeRedis, ({ client }) => client)
 *
 * export const store = RedisTokenStore.layerClient(client, { prefix: "reports" }).pipe(
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
): Layer.Layer<TokenStore.TokenStore, E, Exclude<R, Scope.Scope> | Redis.Redis> =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.gen(function* () {
      const connection = yield* Connection.make(Connection.sendDirectly(yield* client), false)
      return yield* make(yield* Redis.Redis, connection, options)
    })
  )

/**
 * The store of `layer`, with settings from the configuration.
 *
 * **Details**
 *
 * Fails with a `ConfigError` if a setting is missing or invalid.
 *
 * **Example** (A namespace for each deployment)
 *
 * ```ts
 * import { RedisTokenStore } from "@effect-baton/redis"
 * import { Config } from "effect"
 *
 * export const store = RedisTokenStore.layerConfig({ prefix: Config.String("BATON_PREFIX") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<TokenStore.TokenStore, Config.ConfigError, Redis.Redis> =>
  Layer.effect(TokenStore.TokenStore, Effect.flatMap(Config.unwrap(options), overRedis))
