/**
 * Runs' positions in Redis or Valkey, for many workers.
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
 * | `prefix` | the namespace: stores of another one know nothing of these runs | `"baton"` |
 * | `shards` | into how many slots of a cluster the runs are spread, 1 to 1024 | 16 |
 * | `retention` | how long a run is kept after it is over; `Duration.infinity` for ever | 30 days |
 * | `abandonedAfter` | how long any other run is kept after the last fact came for it, or it was held or due last | 30 days |
 * | `timeout` | how long an operation waits for Redis; those on a lease wait at most 0.3 of its time | 3 s |
 *
 * A run is over if it has ended, and its consumer is done with the last update; or if it has ended, and no worker's consumer
 * was promised it.
 *
 * **Gotchas**
 *
 * All workers must have the same `prefix` and the same `shards`, for as long as there are runs: with another number of
 * shards runs are looked for elsewhere, and not found, and starting one is refused with kind `denied`.
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
 * A store on a Redis server or cluster, 6.2 or newer, or Valkey: for runs that many processes share.
 *
 * **Details**
 *
 * Any client's layer of `effect/persistence/Redis` serves. Each operation is one script, and time is the server's. An
 * operation that is not answered in time fails with kind `unavailable`, and can be repeated, as after every failure of
 * that kind: what of it reached the server does no harm. The user needs `EVAL`, `EVALSHA`, and the commands `TIME`,
 * `EXISTS`, `DEL`, `GET`, `SET`, `SETNX`, those on hashes, lists, sets and sorted sets, for the keys `{prefix:*`,
 * and `PUBLISH` and `SUBSCRIBE` for the channel `prefix:hints`: `+eval +evalsha +time +exists +del +get +set +setnx
 * +publish +subscribe +@hash +@list +@set +@sortedset ~{prefix:* &prefix:hints`.
 *
 * A position costs one short script. What was bought for a run is found by the id of its response: `read` asks all shards
 * for that.
 *
 * A limit of time counts from when a command is written, and begins again, five times at most, if the process stood still. A
 * thousand operations are sent at once; the others wait for their turn, which counts towards their limit only if Redis
 * does not answer those before them.
 *
 * With `NodeRedis.layer` set `commandOptions: { timeout: 0 }`: otherwise the client sets a timer of five seconds for each
 * command, which only bounds the time until it is written, and costs as much as the command. The limit of the store bounds
 * that time too. If positions are written often, `layerClient` takes less of the process.
 *
 * With `NodeRedis.layer` set `disableOfflineQueue`, or operations wait in the client while the server is down, and are
 * sent long after they were given up. That layer is not built while the server is down, unless
 * `socket.reconnectStrategy` says to wait, as below; once connected it comes back by itself. It waits for ever for a
 * server that does not answer: `connecting` gives it a limit. Set no `socketTimeout` without a `reconnectStrategy`: after
 * such a timeout it does not come back. On a cluster, give the layer of a client that knows clusters.
 *
 * **Gotchas**
 *
 * Runs are as safe as the server keeps its data. Set `maxmemory-policy noeviction`, or runs vanish if memory is short:
 * the layer warns if the server has another, and tells this user so, by `CONFIG GET` or `INFO`. `appendonly yes` with
 * `appendfsync always` keeps what was answered, `everysec` loses up to a second of it, and nothing of either loses
 * everything. If a position is lost its updates come again, and are never left out; a run that is lost is not found by
 * `Agent.resume`, and `Agent.stream` with its id starts, and buys, it again.
 *
 * Replicas take writes over late. After a failover the last commits may be lost: positions come again, and two workers
 * may hold one run until the lease of the first ends, if the lease was lost with them. Fences go on rising by the new
 * server's clock, as long as that is not behind the old one's by more than the failover took. `min-replicas-to-write`
 * bounds how much that is.
 *
 * A run of which the server lost a part, as one that evicts keys does, is `corrupt`: it is left alone, and is not bought
 * again. If its input is lost, it is parked rather than opened without it. An index that the server lost is not noticed by
 * `claim`, `list` and `count`, which look nowhere else: a run is in its indexes again once it is read, taken or written to.
 *
 * A client of node-redis that is closed while a command waits for its answer waits too, also if the server then dies:
 * bound the time in which your process has to stop, as a supervisor's SIGKILL does.
 *
 * **Example** (A server)
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
    description: `there is no connection to Redis after ${Duration.format(within)}: the server could not be reached, or accepted the connection and did not answer. Check its address and port, that redis-cli PING is answered there, that both sides agree on TLS, and what stands between them, such as a proxy or a firewall.`
  })

/**
 * The layer of a client, with a limit of time until it is connected.
 *
 * **When to use**
 *
 * Around `NodeRedis.layer`, which waits for ever for a server that accepts the connection and never answers, and, with a
 * `reconnectStrategy`, for one that is not there.
 *
 * **Details**
 *
 * After `within`, 10 seconds by default, the layer fails with kind `unavailable`, and says what to check. It also turns
 * the `RedisError` of a client that was refused into a `TokenStoreError` that says why. Once the client is connected the
 * limit is of no effect. If a program is to wait until its Redis is there, give it that long.
 *
 * **Gotchas**
 *
 * What was not connected in time is closed in the background. A client of node-redis waits there for the answer that did
 * not come, and keeps its process alive until the server ends the connection, unless the process ends itself.
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
        // Clients that never connected may never end closing.
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
 * A client of Redis whose commands are answered by promises, in the order in which they were sent: node-redis, for one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly sendCommand: (command: Array<string>) => Promise<unknown>
}

/**
 * The store of `layer`, over a client itself.
 *
 * **When to use**
 *
 * With `NodeRedis`, if positions are written often: a command over the service `Redis` takes a fiber of its own, so that it
 * has a limit of time, and `pnpm bench --row redis` shows what that costs. Commands go past the service `Redis`, and past
 * whatever was put around it; only hints are heard by it.
 *
 * **Example** (A server, over node-redis)
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
