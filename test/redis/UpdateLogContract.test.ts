import type { UpdateLog } from "@effect-baton/core"
import { NodeRedis } from "@effect/platform-node"
import { RedisUpdateLog } from "@effect-baton/redis"
import { UpdateLogContract } from "@effect-baton/testing"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { client, describeShared } from "../support/redisServer.ts"
import { logOn } from "./logs.ts"
import { forgetting } from "./store.ts"

describeShared("the update log on one server", (server) => {
  UpdateLogContract.suite({ describe, it }, "Redis", logOn(server), {
    live: true,
    reopen: Effect.sync(() => logOn(server, { prefix: `test-${crypto.randomUUID()}` })),
    // Long enough for a slow machine: the server counts the time itself.
    retention: {
      retention: "3 seconds",
      layer: Effect.sync(() => logOn(server, { prefix: `test-${crypto.randomUUID()}`, retention: "3 seconds" }))
    }
  })

  const overClient: Layer.Layer<UpdateLog.UpdateLog> = Layer.unwrap(
    Effect.map(server, ({ url }) =>
      RedisUpdateLog.layerClient(
        Effect.map(NodeRedis.NodeRedis, (redis) => redis.client),
        { prefix: `test-${crypto.randomUUID()}`, timeout: "20 seconds" }
      ).pipe(Layer.provide(Layer.orDie(NodeRedis.layer({ url, disableOfflineQueue: true }))))
    )
  )
  UpdateLogContract.suite({ describe, it }, "Redis over a client", overClient, { live: true, chunks: 500 })
})

// Not the shared server: other tests would miss their scripts.
describeShared(
  "the update log in a cluster of one",
  (server) => {
    UpdateLogContract.suite({ describe, it }, "Redis that forgets its scripts", logOn(server, {}, forgetting(client)), {
      live: true,
      chunks: 500
    })
  },
  { cluster: true }
)

describeShared(
  "the update log in a cluster of three",
  (server) => {
    UpdateLogContract.suite({ describe, it }, "Redis in a cluster", logOn(server), {
      live: true,
      chunks: 1000,
      reopen: Effect.sync(() => logOn(server, { prefix: `test-${crypto.randomUUID()}` }))
    })
  },
  { nodes: 3 }
)
