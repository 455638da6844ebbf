import { createHash, randomUUID } from "node:crypto"
import { type RunRecord, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { TokenStoreContract } from "@effect-baton/testing"
import { Clock, Duration, Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { client, type RedisServer } from "../support/redisServer.ts"

type Server = Effect.Effect<Pick<RedisServer, "url" | "send">>
type Client = (url: string) => Layer.Layer<Redis.Redis>

/** A store of its own on a server: in a namespace that nobody else has. */
export const storeOn = (
  server: Server,
  options: RedisTokenStore.Options = {},
  clientOf: Client = client
): Layer.Layer<TokenStore.TokenStore> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { url } = yield* server
      const prefix = `test-${randomUUID()}`
      return RedisTokenStore.layer({ prefix, timeout: "20 seconds", ...options }).pipe(Layer.provide(clientOf(url)))
    })
  )

const changingSend =
  (
    clientOf: Client,
    change: (
      send: Redis.Redis["Service"]["send"]
    ) => (command: string, args: ReadonlyArray<string>) => Effect.Effect<unknown, Redis.RedisError>
  ): Client =>
  (url) =>
    Layer.effect(
      Redis.Redis,
      Effect.map(Redis.Redis, (redis) => {
        const changed = change(redis.send)
        return {
          ...redis,
          send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
            Effect.map(changed(command, args), (reply) => reply as A)
        }
      })
    ).pipe(Layer.provide(clientOf(url)))

/** A client whose server has forgotten every script before each operation. */
export const forgetting = (clientOf: Client): Client =>
  changingSend(
    clientOf,
    (send) => (command, args) =>
      command === "EVALSHA" ? Effect.andThen(send("SCRIPT", "FLUSH"), send(command, ...args)) : send(command, ...args)
  )

const shaOf = (lua: string): string => createHash("sha1").update(lua).digest("hex")

const scripts = new Map<string, string>()

/** A client whose scripts take `time` for the server's; `whole` sends them as they are, so that none is sent twice. */
const timed = (time: Effect.Effect<string>, whole: boolean): Client =>
  changingSend(client, (send) => (command, args) => {
    if (command !== "EVAL" && command !== "EVALSHA") return send(command, ...args)
    const [script = "", ...rest] = args
    if (command === "EVAL") scripts.set(shaOf(script), script)
    const lua = command === "EVAL" ? script : scripts.get(script)
    // The server may know it from a store by its own time.
    if (lua === undefined) return Effect.fail(new Redis.RedisError({ cause: new Error("NOSCRIPT") }))
    return Effect.flatMap(time, (answer) => {
      const changed = lua.replaceAll("redis.call('TIME')", answer)
      return command === "EVAL" || whole ? send("EVAL", changed, ...rest) : send(command, shaOf(changed), ...rest)
    })
  })

// The server's clock cannot be told to go faster.
let ahead = 0

/** A client that lets time pass when it is told to. */
export const hastened: Client = timed(
  Effect.sync(() => `(function() local t = redis.call('TIME') return { t[1] + ${ahead / 1000}, t[2] } end)()`),
  false
)

/** Lets whole seconds, and some more, pass for the stores of `hastened`. */
export const advance = (duration: Duration.Duration): Effect.Effect<void> => {
  const seconds = Math.floor(Duration.toSeconds(duration))
  ahead += seconds * 1000
  return Effect.sleep(Duration.millis(Math.ceil(Duration.toMillis(duration) - seconds * 1000) + 1))
}

/** A client for whose scripts no time passes. */
export const frozen: Client = timed(Effect.succeed("{ '1764000000', '0' }"), false)

/** A client whose scripts go by the clock of the test. */
export const byTestClock: Client = timed(
  Effect.map(Clock.currentTimeMillis, (millis) => `{ '${Math.floor(millis / 1000)}', '${(millis % 1000) * 1000}' }`),
  true
)

const by = "a"

/** Facts of the first turn. */
export const factsOf = (incarnation: number) => ({
  requested: (name = "1"): RunRecord.NewFact => ({ _tag: "Requested", incarnation, by, turn: 0, try: name }),
  accepted: (responseId: string, name = "1"): RunRecord.NewFact => ({
    _tag: "Accepted",
    incarnation,
    by,
    turn: 0,
    try: name,
    responseId,
    streamed: true
  }),
  cancelRequested: { _tag: "CancelRequested", incarnation, by } satisfies RunRecord.NewFact,
  ended: { _tag: "Ended", incarnation, by, status: "failed" } satisfies RunRecord.NewFact,
  delivered: { _tag: "Delivered", incarnation, by } satisfies RunRecord.NewFact,
  retried: { _tag: "Retried", incarnation, by, turn: 0 } satisfies RunRecord.NewFact
})

/** How a run is left that is work again at once. */
export const leave: TokenStore.ReleaseOptions = { seen: 100, due: Duration.zero, attempt: "keep" }

/** Uses all scripts: one that is not known is sent again, after what was asked at the same time. */
export const primed = (server: Server, clientOf: Client = client) =>
  Effect.gen(function* () {
    const ttl = Duration.seconds(30)
    const store = yield* TokenStore.TokenStore
    const { record } = yield* store.create(TokenStoreContract.newRun("r-1"))
    const { cancelRequested, ended } = factsOf(record.incarnation)
    const { lease } = yield* store.acquire(record.runId, { owner: "a", ttl })
    yield* store.renew(lease, ttl, 0)
    yield* store.commit(lease, TokenStoreContract.commitOf("r-1", 1))
    yield* store.record(record.runId, cancelRequested, 0)
    yield* store.read(record.runId)
    yield* store.read({ responseId: "none" })
    yield* store.list({ limit: 1 })
    yield* store.release(lease, leave)
    yield* store.conclude(record.runId, { seen: 1, facts: [ended], due: Duration.infinity })
    const again = yield* store.acquire(record.runId, { owner: "a", ttl })
    yield* store.remove(again.lease)
  }).pipe(Effect.provide(storeOn(server, {}, clientOf)))
