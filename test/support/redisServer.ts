import { NodeRedis } from "@effect/platform-node"
import { RedisServer as Redis } from "@effect-baton/testing"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { Redis as Client } from "effect/persistence"

/** A Redis server of a test. */
export interface RedisServer extends Omit<Redis.RedisServer["Service"], "send" | "restart"> {
  readonly send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => Effect.Effect<A>
  readonly restart: Effect.Effect<void>
}

/** A client as the documentation has it, but for the patience that a busy machine asks for. */
export const client = (url: string): Layer.Layer<Client.Redis> =>
  NodeRedis.layer({ url, disableOfflineQueue: true, socket: { connectTimeout: 120_000 } }).pipe(Layer.orDie)

/** Sends a command over a connection of its own. */
const sendTo =
  (url: string): RedisServer["send"] =>
  <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
    Effect.orDie(
      Effect.provide(
        Client.Redis.use((redis) => redis.send<A>(command, ...args)),
        client(url)
      )
    )

/** A server of a test's own, which it may kill, pause and empty. */
export const start = (options?: Redis.Options): Effect.Effect<RedisServer, never, Scope.Scope> =>
  Effect.map(Effect.orDie(Redis.start(options)), (server) => ({
    ...server,
    send: sendTo(server.url),
    restart: Effect.orDie(server.restart)
  }))

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

type Shared = Pick<RedisServer, "url" | "send">

/** Tests that share one server, and do it no harm: that of REDIS_URL, or one that ends with them. */
export const describeShared = (
  name: string,
  tests: (server: Effect.Effect<Shared>) => void,
  { concurrent = false, ...options }: Redis.Options & { readonly concurrent?: boolean } = {}
): void => {
  const given = options.cluster === true ? undefined : process.env.REDIS_URL
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
                ? Effect.runPromise(Scope.provide(start(options), scope))
                : Promise.resolve({ url: given, send: sendTo(given) }))
        )
      )
    },
    { concurrent, has }
  )
}
