/**
 * Starts real `redis-server` processes for tests and examples.
 *
 * @since 0.1.0
 */
import { NodeRedis, NodeServices } from "@effect/platform-node"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Redis from "effect/persistence/Redis"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import { createServer } from "node:net"

/**
 * A server could not be started: there is no `redis-server` or `valkey-server` on the PATH, or it ended at once.
 *
 * @since 0.1.0
 * @category errors
 */
export class RedisServerError extends Schema.TaggedError<RedisServerError>()("RedisServerError", {
  message: Schema.String
}) {}

/**
 * How a server is set up.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether the server is a cluster with this one node. */
  readonly cluster?: boolean
  /** Whether every write is on the disk before it is answered. Otherwise all data is lost when the server ends. */
  readonly durable?: boolean
  /** More arguments of redis-server, such as `["--maxmemory", "10mb"]`. */
  readonly settings?: ReadonlyArray<string>
}

/**
 * How the nodes of a cluster are set up: their number, three by default, and the settings of each node.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClusterOptions extends Omit<Options, "cluster"> {
  readonly nodes?: number
}

/**
 * A running server.
 *
 * **Details**
 *
 * It listens on a free port of 127.0.0.1, keeps its files in a temporary folder of its own, and ends with the scope that
 * started it. `send` opens a connection for one command. `kill` sends SIGKILL; `restart` then starts the server again with
 * the same port and folder. `pause` and `resume` send SIGSTOP and SIGCONT.
 *
 * @since 0.1.0
 * @category services
 */
export class RedisServer extends Context.Service<
  RedisServer,
  {
    readonly url: string
    readonly send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => Effect.Effect<A, Redis.RedisError>
    readonly kill: Effect.Effect<void>
    readonly restart: Effect.Effect<void, RedisServerError>
    readonly pause: Effect.Effect<void>
    readonly resume: Effect.Effect<void>
  }
>()("@effect-baton/sandbox/RedisServer") {}

/**
 * The path of the program that is started: the first `redis-server` or `valkey-server` on the PATH.
 *
 * **Details**
 *
 * Fails with `RedisServerError` if there is none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const program: Effect.Effect<string, RedisServerError> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folders = (yield* Effect.orDie(Config.String("PATH").pipe(Config.withDefault("")))).split(":")
  for (const folder of folders) {
    for (const name of ["redis-server", "valkey-server"]) {
      const file = path.join(folder, name)
      if (yield* Effect.isSuccess(fs.access(file, { readable: true }))) return file
    }
  }
  return yield* new RedisServerError({
    message:
      "No Redis was found: put redis-server or valkey-server on the PATH (for example: apt-get install redis-server)."
  })
}).pipe(Effect.provide(NodeServices.layer))

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Sends one command over a connection of its own. */
const sendTo =
  (url: string): RedisServer["Service"]["send"] =>
  <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
    Effect.provide(
      Redis.Redis.use((redis) => redis.send<A>(command, ...args)),
      NodeRedis.layer({ url })
    )

/**
 * Starts a server that ends with the scope. Fails with `RedisServerError`.
 *
 * **Example** (A cluster with one node)
 *
 * ```ts
 * import { RedisServer } from "@effect-baton/sandbox"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function* () {
 *   const server = yield* RedisServer.start({ cluster: true })
 *   return yield* server.send<string>("CLUSTER", "INFO")
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (options: Options = {}): Effect.Effect<RedisServer["Service"], RedisServerError, Scope.Scope> =>
  Effect.map(
    Effect.tap(launched(options), (node) => (options.cluster === true ? join([node]) : Effect.void)),
    ({ server }) => server
  )

/**
 * Starts the nodes of a cluster, which share the slots evenly and end with the scope. Fails with `RedisServerError`.
 *
 * **Details**
 *
 * The first node has the first slots. Needs Redis 7 or Valkey.
 *
 * **Example** (The ids of the nodes)
 *
 * ```ts
 * import { RedisServer } from "@effect-baton/sandbox"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function* () {
 *   const nodes = yield* RedisServer.startCluster({ nodes: 3 })
 *   return yield* Effect.forEach(nodes, (node) => node.send<string>("CLUSTER", "MYID"))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const startCluster = ({ nodes = 3, ...options }: ClusterOptions = {}): Effect.Effect<
  ReadonlyArray<RedisServer["Service"]>,
  RedisServerError,
  Scope.Scope
> =>
  Effect.replicateEffect(launched({ ...options, cluster: true }), nodes).pipe(
    Effect.tap(join),
    Effect.map((all) => all.map(({ server }) => server))
  )

/**
 * A server that copies the data of another server until `promote` makes it a primary.
 *
 * @since 0.1.0
 * @category models
 */
export type Replica = RedisServer["Service"] & {
  readonly promote: Effect.Effect<void, Redis.RedisError>
}

/**
 * Starts a replica of a server, and waits until it has the data and the link is up. The replica ends with the scope.
 *
 * **Gotchas**
 *
 * After a `restart` it is no longer a replica.
 *
 * **Example** (A failover)
 *
 * ```ts
 * import { RedisServer } from "@effect-baton/sandbox"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function* () {
 *   const primary = yield* RedisServer.start()
 *   const replica = yield* RedisServer.startReplica(primary)
 *   yield* primary.kill
 *   yield* replica.promote
 *   return replica.url
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const startReplica = (
  primary: Pick<RedisServer["Service"], "url" | "send">,
  options: Omit<Options, "cluster"> = {}
): Effect.Effect<Replica, RedisServerError, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* start(options)
    const { hostname, port } = new URL(primary.url)
    // By default the primary waits five seconds for other replicas, to send all of them one snapshot.
    yield* primary.send("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    yield* server.send("REPLICAOF", hostname, port)
    yield* awaited(server, ["INFO", "replication"], "master_link_status:up")
    return { ...server, promote: Effect.asVoid(server.send("REPLICAOF", "NO", "ONE")) }
  }).pipe(refused)

/**
 * A layer of a server that is started when the layer is built. Fails with `RedisServerError`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<RedisServer, RedisServerError> =>
  Layer.effect(RedisServer, start(options))

/** A server, its port, and its cluster bus port for other nodes. */
interface Launched {
  readonly server: RedisServer["Service"]
  readonly port: number
  readonly bus: number
}

const launched = (options: Options) =>
  Effect.flatMap(Scope.Scope, (scope) => Effect.provide(make(options, scope), NodeServices.layer))

const refused = Effect.mapError((error: Redis.RedisError | RedisServerError) =>
  error instanceof RedisServerError ? error : new RedisServerError({ message: String(error.cause) })
)

/** Repeats a command until its answer contains a text. It uses the real clock, as the server does. */
const awaited = (server: RedisServer["Service"], [name, ...args]: readonly [string, ...Array<string>], sign: string) =>
  server
    .send<string>(name, ...args)
    .pipe(
      Effect.repeat({ until: (answer) => answer.includes(sign), schedule: Schedule.spaced("20 millis") }),
      Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
    )

const slots = 16_384

/** Joins fresh nodes into one cluster. */
const join = (nodes: ReadonlyArray<Launched>) =>
  Effect.gen(function* () {
    const from = (node: number) => Math.ceil((slots / nodes.length) * node)
    for (const [i, { bus, port, server }] of nodes.entries()) {
      // With the same epoch, the nodes would have to agree on new ones before they serve.
      yield* server.send("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1))
      yield* server.send("CLUSTER", "ADDSLOTSRANGE", String(from(i)), String(from(i + 1) - 1))
      for (const known of nodes.slice(0, Math.min(i, 1))) {
        yield* known.server.send("CLUSTER", "MEET", "127.0.0.1", String(port), String(bus))
      }
    }
    yield* Effect.forEach(nodes, ({ server }) => awaited(server, ["CLUSTER", "INFO"], "cluster_state:ok"))
  }).pipe(refused)

const make = Effect.fnUntraced(function* (options: Options, scope: Scope.Scope) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const file = yield* program
  const ended = (message: string) => new RedisServerError({ message })
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-redis-" }).pipe(
    Scope.provide(scope),
    Effect.mapError(({ message }) => ended(message))
  )

  const spawn = Effect.fnUntraced(function* (port: number, bus: number) {
    const child = yield* spawner
      .spawn(
        ChildProcess.make(file, [
          "--port",
          String(port),
          "--bind",
          "127.0.0.1",
          "--dir",
          directory,
          "--save",
          "",
          ...(options.durable === true ? ["--appendonly", "yes", "--appendfsync", "always"] : []),
          ...(options.cluster === true ? ["--cluster-enabled", "yes", "--cluster-port", String(bus)] : []),
          ...(options.settings ?? [])
        ])
      )
      .pipe(Effect.mapError(({ message }) => ended(message)))
    const ready = yield* Deferred.make<void, RedisServerError>()
    const said: Array<string> = []
    yield* child.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => {
        said.push(line)
        return line.includes("Ready to accept connections") ? Deferred.succeed(ready, undefined) : Effect.void
      }),
      Effect.ensuring(
        Effect.suspend(() =>
          Deferred.fail(ready, ended(`redis-server ended before it was ready. Its output:\n${said.join("\n")}`))
        )
      ),
      Effect.forkIn(scope)
    )
    yield* Deferred.await(ready)
    return child
  }, Scope.provide(scope))

  // Another process may take a port before the server does. The default bus port (port + 10,000) may not exist, so it is set.
  const [port, bus, first] = yield* Effect.all([freePort, freePort]).pipe(
    Effect.flatMap(([free, other]) => Effect.map(spawn(free, other), (child) => [free, other, child] as const)),
    Effect.retry({ times: 5 })
  )
  const current = yield* Ref.make(first)
  const signal = (name: "SIGKILL" | "SIGSTOP" | "SIGCONT") =>
    Effect.flatMap(Ref.get(current), (child) => Effect.sync(() => process.kill(Number(child.pid), name)))
  const kill = Effect.flatMap(Ref.get(current), (child) => Effect.ignoreCause(child.kill({ killSignal: "SIGKILL" })))
  // A paused server would not react to any signal but SIGKILL.
  yield* Scope.addFinalizer(scope, kill)

  const url = `redis://127.0.0.1:${port}`
  const server = RedisServer.of({
    url,
    send: sendTo(url),
    kill,
    restart: Effect.flatMap(spawn(port, bus), (child) => Ref.set(current, child)),
    pause: signal("SIGSTOP"),
    resume: signal("SIGCONT")
  })
  return { server, port, bus }
})
