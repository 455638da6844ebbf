import { randomUUID } from "node:crypto"
import { Run, UpdateLog } from "@effect-baton/core"
import { RedisUpdateLog } from "@effect-baton/redis"
import { UpdateLogContract } from "@effect-baton/testing"
import { it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import type { Redis } from "effect/persistence"
import { client, type RedisServer } from "../support/redisServer.ts"

type Server = Effect.Effect<Pick<RedisServer, "url" | "send">>
type Client = (url: string) => Layer.Layer<Redis.Redis>

export type Log = UpdateLog.UpdateLog["Service"]

export const idOf = Run.RunId.make
export const { chunkOf } = UpdateLogContract

/** A log on a server, in its own namespace. */
export const logOn = (
  server: Server,
  options: RedisUpdateLog.Options = {},
  clientOf: Client = client
): Layer.Layer<UpdateLog.UpdateLog> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { url } = yield* server
      const prefix = `test-${randomUUID()}`
      return RedisUpdateLog.layer({ prefix, timeout: "20 seconds", ...options }).pipe(Layer.provide(clientOf(url)))
    })
  )

/** Uses a namespace as another process does. */
export const besideLog = <A, E, R>(
  server: Server,
  options: RedisUpdateLog.Options,
  effect: (log: Log) => Effect.Effect<A, E, R>,
  clientOf: Client = client
): Effect.Effect<A, E, Exclude<R, UpdateLog.UpdateLog>> =>
  Effect.provide(Effect.flatMap(UpdateLog.UpdateLog, effect), Layer.fresh(logOn(server, options, clientOf)), {
    local: true
  })

/** A test with a log in its own namespace of one shard. */
export const testingLog =
  (server: Server) =>
  (
    title: string,
    effect: (log: Log, send: RedisServer["send"], prefix: string) => Effect.Effect<unknown, unknown>,
    options: RedisUpdateLog.Options = {}
  ): void =>
    it.live(
      title,
      () =>
        Effect.gen(function* () {
          const { send } = yield* server
          const prefix = `test-${randomUUID()}`
          yield* besideLog(server, { prefix, shards: 1, ...options }, (log) => effect(log, send, prefix))
        }),
      300_000
    )

/** The keys of the log of a run in a namespace of one shard. */
export const keysOf = (prefix: string, id: string) =>
  ({ log: `{${prefix}:0}:log:${id}`, head: `{${prefix}:0}:head:${id}` }) as const

/** Chunks with one update each, from an offset. */
export const rowOf = (count: number, epoch = 1, from = 0): ReadonlyArray<UpdateLog.Chunk> =>
  Array.from({ length: count }, (_, i) => chunkOf(from + i, { epoch }))

/** Repeats an operation while the log cannot be reached. */
export const patiently = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.retry(effect, {
    while: (error) => error._tag === "UpdateLogError" && "isRetryable" in error && error.isRetryable === true,
    schedule: Schedule.spaced("5 millis")
  })
