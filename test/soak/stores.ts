import { NodeRedis, NodeServices } from "@effect/platform-node"
import { Run, type RunRecord, Runs, TokenStore, UpdateLog } from "@effect-baton/core"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import type { RedisServer } from "@effect-baton/sandbox"
import { Duration, Effect, Layer, Stream } from "effect"
import { join } from "node:path"
import type { Task } from "./line.ts"
import { chance } from "./random.ts"

/** How long a worker holds a run that it does not renew. */
export const leaseTime = Duration.seconds(3)

/** A worker's store and log: directories of its own, or the server that all of them share. */
export const layer = ({
  directory,
  redis
}: Pick<Task, "directory" | "redis">): Layer.Layer<TokenStore.TokenStore | UpdateLog.UpdateLog> =>
  Layer.orDie<TokenStore.TokenStore | UpdateLog.UpdateLog, unknown, never>(
    redis === undefined
      ? Layer.merge(
          TokenStore.layerFile({ directory: join(directory, "store") }),
          UpdateLog.layerFile({ directory: join(directory, "log") })
        ).pipe(Layer.provide(NodeServices.layer))
      : Layer.merge(
          RedisTokenStore.layer({ timeout: Duration.times(leaseTime, 0.3) }),
          RedisUpdateLog.layer({ timeout: Duration.times(leaseTime, 0.3) })
        ).pipe(
          Layer.provide(
            NodeRedis.layer({
              url: redis,
              disableOfflineQueue: true,
              // A worker that starts while the server is away waits for it.
              socket: { reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 500) }
            })
          )
        )
  )

/** A run, and its whole log if it has one, as they are when all workers are gone. */
export interface Left {
  readonly record: RunRecord.RunRecord
  readonly log: UpdateLog.Page | undefined
}

/** All runs of a store, and their logs. */
export const runsLeft = (place: Pick<Task, "directory" | "redis">) =>
  Effect.gen(function* () {
    const log = yield* UpdateLog.UpdateLog
    return yield* Runs.list().pipe(
      Stream.mapEffect((record) =>
        log.read(Run.RunId.make(record.runId), { from: 0, limit: Number.MAX_SAFE_INTEGER }).pipe(
          Effect.catchTag("LogNotFound", () => Effect.undefined),
          Effect.map((found): Left => ({ record, log: found }))
        )
      ),
      Stream.runCollect
    )
  }).pipe(Effect.provide(layer(place)))

/** What happens to the server of all workers. */
export const redisInjections = ["redis killed", "redis paused"]

/** Kills the server and stands it still, by turns, some times for longer than a lease: until then, and each once. */
export const redisTroubles = Effect.fnUntraced(function* (options: {
  readonly server: RedisServer.RedisServer["Service"]
  readonly seed: string
  readonly until: number
  readonly injected: (kind: string) => void
}) {
  const { injected, seed, server, until } = options
  const of = chance(seed, "redis")
  const lease = Duration.toMillis(leaseTime)
  const within = (from: number, to: number) => Effect.sleep(Duration.millis(of.between(from, to)))
  for (let turn = 0; turn < 2 || Date.now() < until; turn++) {
    yield* within(2500, 4500)
    const [stop, start, kind] =
      turn % 2 === 0
        ? ([server.kill, server.restart, "redis killed"] as const)
        : ([server.pause, server.resume, "redis paused"] as const)
    // Whoever ends this finds the server there.
    yield* Effect.uninterruptible(
      Effect.gen(function* () {
        yield* stop
        injected(kind)
        yield* of.hits(0.3) ? within(lease + 200, lease + 1500) : within(50, 1500)
        yield* start
      })
    )
  }
})
