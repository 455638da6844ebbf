import { accessSync, constants } from "node:fs"
import { createServer } from "node:net"
import { delimiter, join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { NodeRedis, NodeServices } from "@effect/platform-node"
import { Deferred, Effect, Exit, FileSystem, Layer, Scope, Stream } from "effect"
import { Redis } from "effect/persistence"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

/** A Redis server of a test: what it is called, and what can be done to it. */
export interface RedisServer {
  readonly url: string
  /** Sends a command over a connection of its own. */
  readonly send: <A = unknown>(...command: ReadonlyArray<string>) => Effect.Effect<A>
  /** SIGKILL. */
  readonly kill: Effect.Effect<void>
  /** Starts it again after `kill`, at the same port and in the same folder. */
  readonly restart: Effect.Effect<void>
  /** SIGSTOP and SIGCONT. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

export interface RedisServerOptions {
  /** A cluster of this one node. */
  readonly cluster?: boolean
  /** Every write is on the disk before it is answered; otherwise nothing outlives the server. */
  readonly durable?: boolean
  /** More of redis-server's settings: `["--maxmemory", "10mb"]`. */
  readonly settings?: ReadonlyArray<string>
}

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const program = (process.env.PATH ?? "")
  .split(delimiter)
  .flatMap((folder) => ["redis-server", "valkey-server"].map((name) => join(folder, name)))
  .find(isProgram)

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Sends one command to a server that answers. */
const sendTo = <A>(url: string, command: ReadonlyArray<string>): Effect.Effect<A> =>
  Redis.Redis.use((redis) => redis.send<A>(command[0] ?? "PING", ...command.slice(1))).pipe(
    Effect.provide(NodeRedis.layer({ url })),
    Effect.orDie
  )

/** A client as the documentation has it. */
export const client = (url: string): Layer.Layer<Redis.Redis> =>
  NodeRedis.layer({ url, disableOfflineQueue: true }).pipe(Layer.orDie)

/** Starts a server of one's own, which ends with the scope. */
export const start = (options: RedisServerOptions = {}): Effect.Effect<RedisServer, never, Scope.Scope> =>
  Effect.provide(Effect.orDie(make(options)), NodeServices.layer)

const make = Effect.fnUntraced(function* (options: RedisServerOptions) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const scope = yield* Scope.Scope
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-redis-" })

  const spawn = Effect.fnUntraced(function* (port: number) {
    const child = yield* spawner.spawn(
      ChildProcess.make(program ?? "redis-server", [
        ...["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""],
        ...(options.durable === true ? ["--appendonly", "yes", "--appendfsync", "always"] : []),
        ...(options.cluster === true ? ["--cluster-enabled", "yes"] : []),
        ...(options.settings ?? [])
      ])
    )
    const ready = yield* Deferred.make<boolean>()
    const said: Array<string> = []
    yield* child.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => {
        said.push(line)
        return line.includes("Ready to accept connections") ? Deferred.succeed(ready, true) : Effect.void
      }),
      Effect.ensuring(Deferred.succeed(ready, false)),
      Effect.forkIn(scope)
    )
    return (yield* Deferred.await(ready)) ? child : yield* Effect.fail(said.join("\n"))
  }, Scope.provide(scope))

  // Somebody else may have taken the port meanwhile.
  let port = yield* freePort
  let child = yield* Effect.suspend(() => spawn(port)).pipe(
    Effect.tapError(() => Effect.tap(freePort, (free) => Effect.sync(() => (port = free)))),
    Effect.retry({ times: 5 }),
    Effect.orDie
  )
  const url = `redis://127.0.0.1:${port}`
  const signal = (name: NodeJS.Signals) => Effect.sync(() => process.kill(Number(child.pid), name))
  // One that is paused would not hear that it shall end.
  yield* Effect.addFinalizer(() => Effect.ignoreCause(child.kill({ killSignal: "SIGKILL" })))

  const server: RedisServer = {
    url,
    send: (...command) => sendTo(url, command),
    kill: Effect.orDie(Effect.suspend(() => child.kill({ killSignal: "SIGKILL" }))),
    restart: Effect.gen(function* () {
      child = yield* spawn(port)
    }).pipe(Effect.orDie),
    pause: signal("SIGSTOP"),
    resume: signal("SIGCONT")
  }
  if (options.cluster === true) {
    yield* server.send("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    yield* server
      .send<string>("CLUSTER", "INFO")
      .pipe(Effect.repeat({ until: (info) => info.includes("cluster_state:ok") }))
  }
  return server
})

const missing =
  "There is no Redis: put redis-server or valkey-server on the PATH, or give REDIS_URL. What needs one is not tested."

/** Tests that need a server: skipped, and loudly so, where there is none, but in CI. */
export const describeRedis = (name: string, tests: () => void, has: boolean = program !== undefined): void => {
  if (has) {
    describe(name, tests)
  } else if (process.env.CI === "true") {
    describe(name, () => {
      it("has a server", () => assert.fail(missing))
    })
  } else {
    console.warn(`${name}: ${missing}`)
    describe.skip(name, tests)
  }
}

/** Tests that share one server, and do it no harm: that of REDIS_URL, or one that ends with them. */
export const describeShared = (
  name: string,
  tests: (server: Effect.Effect<Pick<RedisServer, "url" | "send">>) => void,
  options: RedisServerOptions = {}
): void => {
  const given = options.cluster === true ? undefined : process.env.REDIS_URL
  const has = given !== undefined || program !== undefined
  describeRedis(
    name,
    () => {
      const scope = Scope.makeUnsafe()
      let server: Promise<Pick<RedisServer, "url" | "send">> | undefined
      afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
      tests(
        Effect.promise(
          () =>
            (server ??=
              given === undefined
                ? Effect.runPromise(Scope.provide(start(options), scope))
                : Promise.resolve({ url: given, send: (...command) => sendTo(given, command) }))
        )
      )
    },
    has
  )
}
