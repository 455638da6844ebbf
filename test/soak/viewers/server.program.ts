// A server of the viewers' run: it advances runs as a worker, and serves their updates over HTTP. Runs and logs are in Redis.
import { RunPolicy, UpdateLog } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { NodeRedis } from "@effect/platform-node"
import { Config, Effect, Layer, Redacted } from "effect"
import { appendFileSync } from "node:fs"
import { monotonic } from "../../logged/recording.ts"
import * as RunServer from "../../support/runServer.ts"

/** A log that writes down when each append was answered. */
const Timed = Layer.effect(
  UpdateLog.UpdateLog,
  Effect.gen(function* () {
    const file = yield* Config.String("VIEWERS_APPENDS")
    const log = yield* UpdateLog.UpdateLog
    return {
      ...log,
      append: (runId, chunk) =>
        Effect.tap(log.append(runId, chunk), () =>
          Effect.sync(() => appendFileSync(file, `${chunk.from} ${chunk.count} ${monotonic()}\n`))
        )
    }
  })
).pipe(Layer.provide(RedisUpdateLog.layer()))

const engine = Layer.unwrap(
  Effect.gen(function* () {
    const url = yield* Config.String("VIEWERS_REDIS")
    const baseUrl = yield* Config.String("VIEWERS_PROVIDER")
    const model = yield* Config.String("VIEWERS_MODEL")
    return Layer.mergeAll(
      Layer.merge(RedisTokenStore.layer(), Timed).pipe(
        Layer.provide(NodeRedis.layer({ url, disableOfflineQueue: true }))
      ),
      OpenAiBackgroundModel.layer({ model }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("any"), baseUrl }))
      ),
      RunPolicy.layer({ leaseTime: "2 seconds" })
    )
  })
)

RunServer.run({ agent: "writer", claimEvery: "100 millis", engine })
