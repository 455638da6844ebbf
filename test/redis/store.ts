import { randomUUID } from "node:crypto"
import { TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { client, type RedisServer } from "../support/redisServer.ts"

type Server = Effect.Effect<Pick<RedisServer, "url" | "send">>

/** A store of its own on a server: in a namespace that nobody else has. */
export const storeOn = (
  server: Server,
  options: RedisTokenStore.Options = {},
  clientOf: (url: string) => Layer.Layer<Redis.Redis> = client
): Layer.Layer<TokenStore.TokenStore> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { url } = yield* server
      const prefix = `test-${randomUUID()}`
      return RedisTokenStore.layer({ prefix, timeout: "20 seconds", ...options }).pipe(Layer.provide(clientOf(url)))
    })
  )

/** A client whose server has forgotten every script before each operation. */
export const forgetting = (url: string): Layer.Layer<Redis.Redis> =>
  Layer.effect(
    Redis.Redis,
    Effect.map(Redis.Redis, (redis) => ({
      ...redis,
      send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
        command === "EVALSHA"
          ? Effect.andThen(redis.send("SCRIPT", "FLUSH"), redis.send<A>(command, ...args))
          : redis.send<A>(command, ...args)
    }))
  ).pipe(Layer.provide(client(url)))

// Leases end by the server's clock, which cannot be told to go faster: so they are told to end earlier.
const hasten = `
for _, key in ipairs(redis.call('KEYS', '{' .. ARGV[2] .. '}:run:*')) do
  local till = redis.call('HGET', key, 'until')
  if till then redis.call('HSET', key, 'until', string.format('%.0f', tonumber(till) - ARGV[1])) end
end`

/** Lets time pass for leases on a server; for times of creation only a few milliseconds pass. */
export const advanceOn = (server: Server, prefix = "test-*") =>
  Effect.fnUntraced(function* (duration: Duration.Duration) {
    const { send } = yield* server
    yield* send("EVAL", hasten, "0", String(Math.ceil(Duration.toMillis(duration))), `${prefix}:*`)
    const now = Effect.map(
      send<[string, string]>("TIME"),
      ([seconds, micros]) => Number(seconds) * 1e6 + Number(micros)
    )
    const until = (yield* now) + Math.min(Duration.toMillis(duration), 2) * 1000
    yield* Effect.repeat(now, { until: (micros) => micros > until })
  })

const date = `
for _, key in ipairs(redis.call('KEYS', '{' .. ARGV[2] .. ':*}:run:*')) do
  if tonumber(redis.call('HGET', key, 'createdAt')) > 1e12 then
    redis.call('HSET', key, 'createdAt', ARGV[1])
    local base, id = string.match(key, '^({.-}:)run:(.*)$')
    redis.call('ZADD', base .. 'runs', ARGV[1], id)
    redis.call('ZADD', base .. redis.call('HGET', key, 'stage'), ARGV[1], id)
  end
end`

/** Says that the runs which were just created were so at another time. */
export const datedOn = (server: Server, prefix: string) => (millis: number) =>
  Effect.flatMap(server, ({ send }) => Effect.asVoid(send("EVAL", date, "0", String(millis), prefix)))

/** Lets a server know all scripts: one that it does not know is sent again, after what was asked at the same time. */
export const primed = (server: Server) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const { record } = yield* store.create(TokenStoreContract.newRun("r-1"))
    const { lease } = yield* store.acquire(record.runId, { owner: "a", ttl: Duration.seconds(30) })
    yield* store.renew(lease, Duration.seconds(30))
    yield* store.commit(lease, TokenStoreContract.commitOf("r-1", 1))
    yield* store.signal(record.runId, { _tag: "Cancel" })
    yield* store.read(record.runId)
    yield* store.list({ limit: 1 })
    yield* store.release(lease)
    yield* store.remove(record.runId)
  }).pipe(Effect.provide(storeOn(server)))
