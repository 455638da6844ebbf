import { NodeRedis } from "@effect/platform-node"
import { RedisServer as Redis } from "@effect-baton/sandbox"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { Redis as Client } from "effect/persistence"
import { connect, createServer, type Socket } from "node:net"
import { createCluster } from "redis"

/** Asks a store again as long as it cannot be reached. */
export const patiently = <A, E extends { readonly _tag: string; readonly isRetryable: boolean }>(
  effect: Effect.Effect<A, E>
) =>
  Effect.retry(effect, {
    while: ({ _tag, isRetryable }) => _tag === "TokenStoreError" && isRetryable,
    schedule: Schedule.spaced("5 millis")
  })

/** Waits, by the real clock, until something is so. */
export const until = (isSo: () => boolean): Effect.Effect<unknown> =>
  Effect.sync(isSo).pipe(
    Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("1 millis") }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )

/** What a test needs of a server, or of a cluster, that is not its own. */
type Shared = Pick<RedisServer, "url" | "send">

/** A Redis server of a test. */
export interface RedisServer extends Omit<Redis.RedisServer["Service"], "send" | "restart"> {
  readonly send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => Effect.Effect<A>
  readonly restart: Effect.Effect<void>
}

// A busy machine asks for patience.
const settings = { disableOfflineQueue: true, socket: { connectTimeout: 120_000 } } as const

/** The address of a cluster: those of its nodes. */
const separator = ","

/** A client as the documentation has it. */
export const client = (url: string): Layer.Layer<Client.Redis> =>
  Layer.orDie(url.includes(separator) ? clusterClient(url.split(separator)) : NodeRedis.layer({ url, ...settings }))

const failing = <A>(run: () => Promise<A>): Effect.Effect<A, Client.RedisError> =>
  Effect.tryPromise({ try: run, catch: (cause) => new Client.RedisError({ cause }) })

/** The key that says which node has to do it. */
const routing = (command: string, args: ReadonlyArray<string>): string | undefined =>
  ["EVAL", "EVALSHA"].includes(command) ? args[2] : ["CONFIG", "INFO", "SCRIPT"].includes(command) ? undefined : args[0]

/** A client that knows clusters, over that of node-redis. */
const clusterClient = (urls: ReadonlyArray<string>): Layer.Layer<Client.Redis, Client.RedisError> =>
  Layer.effect(
    Client.Redis,
    Effect.gen(function* () {
      const cluster = yield* Effect.acquireRelease(
        Effect.sync(() =>
          createCluster({
            rootNodes: urls.map((url) => ({ url })),
            defaults: settings,
            commandOptions: { timeout: 0 }
          }).on("error", () => undefined)
        ),
        (made) => Effect.sync(() => made.destroy())
      )
      yield* failing(() => cluster.connect())
      return yield* Client.make({
        send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
          failing(() => cluster.sendCommand<A>(routing(command, args), false, [command, ...args])),
        subscribe: (channel, onMessage) =>
          Effect.acquireRelease(
            failing(() => cluster.subscribe(channel, (message) => onMessage({ channel, message }))),
            () => Effect.ignoreCause(failing(() => cluster.unsubscribe(channel)))
          ).pipe(Effect.as(Effect.never)),
        connect: Effect.die("nobody reserves a connection")
      })
    })
  )

/** Sends a command over a connection of its own; in a cluster, to whichever node has the key. */
const sendTo =
  (url: string): RedisServer["send"] =>
  <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
    Effect.orDie(
      Effect.provide(
        Client.Redis.use((redis) => redis.send<A>(command, ...args)),
        client(url)
      )
    )

const ofTest = (server: Redis.RedisServer["Service"]): RedisServer => ({
  ...server,
  send: sendTo(server.url),
  restart: Effect.orDie(server.restart)
})

/** A server of a test's own, which it may kill, pause and empty. */
export const start = (options?: Redis.Options): Effect.Effect<RedisServer, never, Scope.Scope> =>
  Effect.map(Effect.orDie(Redis.start(options)), ofTest)

/** A cluster of a test's own: its nodes, and what stands for all of them. */
export const startCluster = (
  options?: Redis.ClusterOptions
): Effect.Effect<Shared & { readonly nodes: ReadonlyArray<RedisServer> }, never, Scope.Scope> =>
  Effect.map(Effect.orDie(Redis.startCluster(options)), (nodes) => {
    const url = nodes.map((node) => node.url).join(separator)
    return { url, send: sendTo(url), nodes: nodes.map(ofTest) }
  })

/** A replica of a test's own. */
export const startReplica = (
  primary: RedisServer
): Effect.Effect<RedisServer & { readonly promote: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.map(Effect.orDie(Redis.startReplica(primary)), (replica) => ({
    ...ofTest(replica),
    promote: Effect.orDie(replica.promote)
  }))

/**
 * An address that leads to one server and then, from `lead` on, to another: connections to the former are cut. As a
 * failover is seen by clients that know one name for whoever is the primary.
 */
export const startAddress = (
  first: string
): Effect.Effect<{ readonly url: string; readonly lead: (url: string) => Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly lead: (url: string) => void; readonly end: () => void }>(
      (resume) => {
        let target = new URL(first)
        const open = new Set<Socket>()
        const cut = () => open.forEach((socket) => socket.destroy())
        const server = createServer((near) => {
          const far = connect(Number(target.port), target.hostname)
          for (const [socket, other] of [
            [near, far],
            [far, near]
          ] as const) {
            open.add(socket)
            socket.pipe(other)
            socket.on("error", () => other.destroy())
            socket.on("close", () => {
              open.delete(socket)
              other.destroy()
            })
          }
        }).listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(
            Effect.succeed({
              url: `redis://127.0.0.1:${port}`,
              lead: (url) => {
                target = new URL(url)
                cut()
              },
              end: () => {
                cut()
                server.close()
              }
            })
          )
        })
      }
    ),
    ({ end }) => Effect.sync(end)
  ).pipe(Effect.map(({ lead, url }) => ({ url, lead: (to) => Effect.sync(() => lead(to)) })))

const missing =
  "There is no Redis: put redis-server or valkey-server on the PATH, or give REDIS_URL. What needs one is not tested."

const installed = await Effect.runPromise(Effect.isSuccess(Redis.program))

/** Tests that need a server: skipped, and loudly so, where there is none, but in CI. */
export const describeRedis = (
  name: string,
  tests: () => void,
  { concurrent = false, has = installed }: { readonly concurrent?: boolean; readonly has?: boolean } = {}
): void => {
  if (has) {
    describe(name, { concurrent }, tests)
  } else if (process.env.CI === "true") {
    describe(name, () => {
      it("has a server", () => assert.fail(missing))
    })
  } else {
    console.warn(`${name}: ${missing}`)
    // oxlint-disable-next-line vitest/no-disabled-tests -- there is nothing to test them against, and it is said loudly
    describe.skip(name, tests)
  }
}

/** Tests that share one server, and do it no harm: that of REDIS_URL, or one that ends with them. */
export const describeShared = (
  name: string,
  tests: (server: Effect.Effect<Shared>) => void,
  {
    concurrent = false,
    nodes,
    ...options
  }: Redis.Options & { readonly concurrent?: boolean; readonly nodes?: number } = {}
): void => {
  const given = options.cluster === true || nodes !== undefined ? undefined : process.env.REDIS_URL
  const own: Effect.Effect<Shared, never, Scope.Scope> =
    nodes === undefined ? start(options) : startCluster({ nodes, ...options })
  const has = given !== undefined || installed
  describeRedis(
    name,
    () => {
      const scope = Scope.makeUnsafe()
      let server: Promise<Shared> | undefined
      afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
      tests(
        Effect.promise(
          () =>
            (server ??=
              given === undefined
                ? Effect.runPromise(Scope.provide(own, scope))
                : Promise.resolve({ url: given, send: sendTo(given) }))
        )
      )
    },
    { concurrent, has }
  )
}
