// What is said when Redis does not answer, or may delete runs.
import { NodeRedis } from "@effect/platform-node"
import { TokenStore, type TokenStoreError } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { type RedisServer as Testing } from "@effect-baton/sandbox"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, References } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { createServer } from "node:net"
import { logged } from "../support/logs.ts"
import { describeRedis, start, until } from "../support/redisServer.ts"

/** A port that nobody listens at. */
const closedPort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A server that accepts connections, and never answers: how many there were. */
const silent = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly accepted: () => number; readonly end: () => void }>((resume) => {
    const sockets = new Set<{ readonly destroy: () => void }>()
    const server = createServer((socket) => sockets.add(socket)).listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(
        Effect.succeed({
          url: `redis://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
          accepted: () => sockets.size,
          end: () => {
            sockets.forEach((socket) => socket.destroy())
            server.close()
          }
        })
      )
    })
  }),
  ({ end }) => Effect.sync(end)
)

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

const connected = (url: string, socket?: { readonly reconnectStrategy: () => number }) =>
  RedisTokenStore.connecting(NodeRedis.layer({ url, disableOfflineQueue: true, ...(socket && { socket }) }), {
    within: "10 seconds"
  })

/** Builds the layer of a client, in the scope of the test. */
const building = (layer: Layer.Layer<Redis.Redis | NodeRedis.NodeRedis, TokenStoreError.TokenStoreError>) =>
  Effect.forkChild(Layer.build(layer), { startImmediately: true })

const notAnswered =
  /^connect: there is no connection to Redis after 10s: the server could not be reached, or accepted the connection and did not answer\. Check /

describeRedis("connecting", () => {
  it.effect("gives up on a server that accepts and does not answer, when it was told to", () =>
    Effect.gen(function* () {
      const { accepted, url } = yield* silent
      const fiber = yield* building(connected(url))
      yield* until(() => accepted() > 0)
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.kind, "unavailable")
      assert.match(error.message, notAnswered)
      assert.isTrue(error.isRetryable)
    }).pipe(Effect.scoped)
  )

  it.effect("ends at once if it is interrupted", () =>
    Effect.gen(function* () {
      const { accepted, url } = yield* silent
      const fiber = yield* building(connected(url))
      yield* until(() => accepted() > 0)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped)
  )

  it.effect("says why a closed port refuses", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const error = yield* Effect.flip(Layer.build(connected(`redis://127.0.0.1:${port}`)))
      assert.strictEqual(error.kind, "unavailable")
      assert.match(error.message, new RegExp(`^connect: Redis could not be reached.*ECONNREFUSED 127.0.0.1:${port}`))
    }).pipe(quiet, Effect.scoped)
  )

  it.effect("gives up on a closed port that the client would ask for ever", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const state = { tries: 0 }
      const fiber = yield* building(
        connected(`redis://127.0.0.1:${port}`, {
          reconnectStrategy: () => {
            state.tries++
            return 1
          }
        })
      )
      yield* until(() => state.tries > 5)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.match((yield* Effect.flip(Fiber.join(fiber))).message, notAnswered)
    }).pipe(quiet, Effect.scoped)
  )

  it.effect("takes a client whose server answers late, lets it be, and closes it at the end", () =>
    Effect.gen(function* () {
      const server = yield* start()
      yield* server.pause
      const client = yield* Effect.gen(function* () {
        const fiber = yield* building(connected(server.url))
        yield* TestClock.adjust("9 seconds")
        yield* server.resume
        const context = yield* Fiber.join(fiber)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* Context.get(context, Redis.Redis).send("PING"), "PONG")
        return Context.get(context, NodeRedis.NodeRedis).client
      }).pipe(Effect.scoped)
      assert.isFalse(client.isOpen)
    }).pipe(Effect.scoped)
  )

  it.effect("may be tried again after it gave up", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const layer = connected(server.url)
      const memory = yield* Layer.makeMemoMap
      const scope = yield* Effect.scope
      yield* server.pause
      const fiber = yield* Effect.forkChild(Layer.buildWithMemoMap(layer, memory, scope), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Effect.flip(Fiber.join(fiber))
      yield* server.resume
      const context = yield* Layer.build(layer)
      assert.strictEqual(yield* Context.get(context, Redis.Redis).send("PING"), "PONG")
    }).pipe(Effect.scoped)
  )
})

describeRedis("a server that may delete runs", () => {
  const evicting = { settings: ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"] }

  /** What is logged when a store is built, and used, on a server: until it has asked what it asks. */
  const said = Effect.fnUntraced(function* (
    options: Testing.Options,
    asks: ReadonlyArray<string>,
    {
      rights,
      send = (sent) => sent
    }: {
      readonly rights?: ReadonlyArray<string>
      readonly send?: (
        sent: Effect.Effect<unknown, Redis.RedisError>,
        command: string
      ) => Effect.Effect<unknown, Redis.RedisError>
    } = {}
  ) {
    const server = yield* start(options)
    if (rights !== undefined)
      yield* server.send("ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all", ...rights)
    const { lines, layer } = logged()
    const answered: Array<string> = []
    const answer = (command: string) =>
      Effect.sync(() => {
        if (command === "CONFIG" || command === "INFO") answered.push(command)
      })
    const client = Layer.effect(
      Redis.Redis,
      Effect.map(Redis.Redis, (redis) => ({
        ...redis,
        send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
          send(redis.send(command, ...args), command).pipe(
            Effect.map((reply) => reply as A),
            Effect.tap(() => answer(command)),
            Effect.tapError(() => answer(command))
          )
      }))
    ).pipe(
      Layer.provide(
        NodeRedis.layer({ url: server.url, ...(rights !== undefined && { username: "worker", password: "secret" }) })
      )
    )
    yield* Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      yield* store.create(TokenStoreContract.newRun("r-1"))
      yield* until(() => answered.length >= asks.length)
      // What follows from the last answer is done when another came.
      yield* store.list({ limit: 1 })
    }).pipe(
      Effect.provide(RedisTokenStore.layer({ timeout: "20 seconds" }).pipe(Layer.provide(client))),
      Effect.provide(layer)
    )
    assert.deepStrictEqual(answered, asks)
    return lines
  }, Effect.scoped)

  const warning =
    /^Warn baton: Redis may delete runs,Its maxmemory-policy is allkeys-lru: when its memory is full, it deletes runs to make room\. .* Set maxmemory-policy to noeviction/

  it.live("is warned of once, when the store is built", () =>
    Effect.gen(function* () {
      const [line, ...others] = yield* said(evicting, ["CONFIG"])
      assert.match(line ?? "", warning)
      assert.isEmpty(others)
    })
  )

  it.live("is warned of if the user may only ask for INFO", () =>
    Effect.gen(function* () {
      const [line, ...others] = yield* said(evicting, ["CONFIG", "INFO"], { rights: ["-config"] })
      assert.match(line ?? "", warning)
      assert.isEmpty(others)
    })
  )

  it.live("is none if it deletes nothing, or has no limit", () =>
    Effect.gen(function* () {
      assert.isEmpty(
        yield* said({ settings: ["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"] }, ["CONFIG"])
      )
      assert.isEmpty(yield* said({ settings: ["--maxmemory-policy", "allkeys-lru"] }, ["CONFIG"]))
      assert.isEmpty(yield* said({}, ["CONFIG", "INFO"], { rights: ["-config"] }))
    })
  )

  it.live("stays unknown if it does not tell, and the store works", () =>
    Effect.gen(function* () {
      assert.isEmpty(yield* said(evicting, ["CONFIG", "INFO"], { rights: ["-config", "-info"] }))
    })
  )

  // By the clock of the test, nobody stops waiting.
  it.effect("keeps no store waiting that asks in vain", () =>
    Effect.gen(function* () {
      const send = (sent: Effect.Effect<unknown, Redis.RedisError>, command: string) =>
        command === "CONFIG" ? Effect.never : sent
      assert.isEmpty(yield* said(evicting, [], { send }))
    })
  )

  it.live("is warned of over the client itself", () =>
    Effect.gen(function* () {
      const { url } = yield* start(evicting)
      const { lines, layer } = logged()
      const client = Effect.map(NodeRedis.NodeRedis, (node) => node.client)
      yield* until(() => lines.length > 0).pipe(
        Effect.provide(RedisTokenStore.layerClient(client).pipe(Layer.provide(NodeRedis.layer({ url })))),
        Effect.provide(layer)
      )
      assert.match(lines[0] ?? "", warning)
    }).pipe(Effect.scoped)
  )
})
