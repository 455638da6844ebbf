/**
 * A `redis-server` of one's own, for tests and examples that need a real one.
 *
 * @since 0.1.0
 */
import { NodeRedis, NodeServices } from "@effect/platform-node"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Redis from "effect/persistence/Redis"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import { createServer } from "node:net"

/**
 * No server could be started: there is no `redis-server` or `valkey-server` on the PATH, or it ended at once.
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
  /** A cluster of this one node. */
  readonly cluster?: boolean
  /** Every write is on the disk before it is answered; otherwise nothing outlives the server. */
  readonly durable?: boolean
  /** More of redis-server's settings: `["--maxmemory", "10mb"]`. */
  readonly settings?: ReadonlyArray<string>
}

/**
 * A running server.
 *
 * **Details**
 *
 * It listens on a free port of 127.0.0.1, keeps its files in a temporary folder of its own, and ends with the scope that
 * started it. `send` opens a connection for one command. `kill` is SIGKILL, after which `restart` starts it again at the
 * same port and in the same folder; `pause` and `resume` are SIGSTOP and SIGCONT.
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
>()("@effect-baton/testing/RedisServer") {}

/**
 * The program that would be started, where there is one.
 *
 * @since 0.1.0
 * @category getters
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
    message: "There is no Redis here: put redis-server or valkey-server on the PATH (apt-get install redis-server)."
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
 * Starts a server that ends with the scope.
 *
 * **Example** (A server that is a cluster)
 *
 * ```ts
 * import { RedisServer } from "@effect-baton/testing"
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
  Effect.flatMap(Scope.Scope, (scope) => Effect.provide(make(options, scope), NodeServices.layer))

/**
 * `start` as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<RedisServer, RedisServerError> =>
  Layer.effect(RedisServer, start(options))

const make = Effect.fnUntraced(function* (options: Options, scope: Scope.Scope) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const file = yield* program
  const ended = (message: string) => new RedisServerError({ message })
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-redis-" }).pipe(
    Scope.provide(scope),
    Effect.mapError(({ message }) => ended(message))
  )

  const spawn = Effect.fnUntraced(function* (port: number) {
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
          ...(options.cluster === true ? ["--cluster-enabled", "yes"] : []),
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
      Effect.ensuring(Effect.suspend(() => Deferred.fail(ready, ended(`redis-server ended:\n${said.join("\n")}`)))),
      Effect.forkIn(scope)
    )
    yield* Deferred.await(ready)
    return child
  }, Scope.provide(scope))

  // Somebody else may have taken a port before the server has it.
  const [port, first] = yield* Effect.flatMap(freePort, (free) =>
    Effect.map(spawn(free), (child) => [free, child] as const)
  ).pipe(Effect.retry({ times: 5 }))
  const current = yield* Ref.make(first)
  const signal = (name: "SIGKILL" | "SIGSTOP" | "SIGCONT") =>
    Effect.flatMap(Ref.get(current), (child) => Effect.sync(() => process.kill(Number(child.pid), name)))
  const kill = Effect.flatMap(Ref.get(current), (child) => Effect.ignoreCause(child.kill({ killSignal: "SIGKILL" })))
  // One that is paused would not hear that it must end.
  yield* Scope.addFinalizer(scope, kill)

  const url = `redis://127.0.0.1:${port}`
  const send = sendTo(url)
  if (options.cluster === true) {
    yield* send("CLUSTER", "ADDSLOTS", ...Array.from({ length: 16_384 }, (_, slot) => String(slot))).pipe(
      Effect.andThen(
        Effect.repeat(send<string>("CLUSTER", "INFO"), { until: (info) => info.includes("cluster_state:ok") })
      ),
      Effect.mapError(({ cause }) => ended(String(cause)))
    )
  }
  return RedisServer.of({
    url,
    send,
    kill,
    restart: Effect.flatMap(spawn(port), (child) => Ref.set(current, child)),
    pause: signal("SIGSTOP"),
    resume: signal("SIGCONT")
  })
})
