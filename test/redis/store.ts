import { randomUUID } from "node:crypto"
import type { TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
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
for _, key in ipairs(redis.call('KEYS', '{test-*:run:*')) do
  local till = redis.call('HGET', key, 'until')
  if till then redis.call('HSET', key, 'until', string.format('%.0f', tonumber(till) - ARGV[1])) end
end`

/** Lets time pass for leases on a server; for times of creation only a few milliseconds pass. */
export const advanceOn = (server: Server) =>
  Effect.fnUntraced(function* (duration: Duration.Duration) {
    const { send } = yield* server
    yield* send("EVAL", hasten, "0", String(Math.ceil(Duration.toMillis(duration))))
    const now = Effect.map(
      send<[string, string]>("TIME"),
      ([seconds, micros]) => Number(seconds) * 1e6 + Number(micros)
    )
    const until = (yield* now) + Math.min(Duration.toMillis(duration), 2) * 1000
    yield* Effect.repeat(now, { until: (micros) => micros > until })
  })
