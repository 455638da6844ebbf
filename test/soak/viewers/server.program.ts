// A server of the viewers' run: it advances runs as a worker, and serves their updates over HTTP. Runs and logs are in Redis.
import { Agent, RunPolicy, Runs, SignedTokens, UpdateLog } from "@effect-baton/core"
import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { NodeHttpServer, NodeRedis, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Redacted, Stream } from "effect"
import { HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { appendFileSync } from "node:fs"
import { createServer } from "node:http"
import { monotonic } from "../../logged/recording.ts"
import { writeLine } from "../../support/writeLine.ts"

const agent = Agent.make("writer", { background: true })

class Api extends HttpApi.make("viewers").add(RunsApi.group.prefix("/api")) {}

const Signed = SignedTokens.layer({
  keys: [{ id: "1", secret: Redacted.make("the secret of the viewers' servers") }]
})

const Routes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(RunsServer.layer(Api, { agents: [agent] })),
  Layer.provide(RunAccess.layerAllowAll)
)

const Worker = Runs.worker([agent], {
  concurrency: 10,
  claimEvery: "100 millis",
  startJitter: "1 milli",
  handle: ({ updates }) => Stream.runDrain(updates)
})

const Ready = Layer.effectDiscard(
  Effect.flatMap(HttpServer.HttpServer, ({ address }) =>
    writeLine("port" in address ? `http://127.0.0.1:${address.port}` : "nowhere")
  )
)

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

const Engine = Layer.unwrap(
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

const Server = Ready.pipe(
  Layer.provideMerge(
    RunViewers.serve(
      Routes,
      NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }),
      { isLogged: false }
    )
  )
)

Layer.launch(Layer.merge(Server, Worker)).pipe(
  Effect.provide([Engine, Signed, NodeHttpServer.layerHttpServices]),
  NodeRuntime.runMain
)
