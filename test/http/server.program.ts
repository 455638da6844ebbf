// A server of one process, whose runs and logs outlive it: it opens the runs that it is asked for, and serves their updates.
import { Agent, RunPolicy, Runs, SignedTokens, TokenStore, UpdateLog } from "@effect-baton/core"
import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Effect, Layer, Redacted, Stream } from "effect"
import { HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"
import { join } from "node:path"
import { writeLine } from "../support/writeLine.ts"

const analyst = Agent.make("analyst", { background: true })

class Api extends HttpApi.make("program").add(RunsApi.group.prefix("/api")) {}

const Signed = SignedTokens.layer({
  keys: [{ id: "1", secret: Redacted.make("the secret of the program, long enough") }]
})

const Routes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(RunsServer.layer(Api, { agents: [analyst] })),
  Layer.provide(RunAccess.layerAllowAll)
)

const Worker = Runs.worker([analyst], {
  concurrency: 10,
  claimEvery: "50 millis",
  startJitter: "1 milli",
  handle: ({ updates }) => Stream.runDrain(updates)
})

const Ready = Layer.effectDiscard(
  Effect.flatMap(HttpServer.HttpServer, ({ address }) =>
    writeLine("port" in address ? `http://127.0.0.1:${address.port}` : "nowhere")
  )
)

const Engine = Layer.unwrap(
  Effect.gen(function* () {
    const directory = yield* Config.String("DIRECTORY")
    const baseUrl = yield* Config.String("SANDBOX_URL")
    return Layer.mergeAll(
      TokenStore.layerFile({ directory: join(directory, "runs"), heartbeat: "50 millis" }),
      UpdateLog.layerFile({ directory: join(directory, "updates"), heartbeat: "50 millis" }),
      OpenAiBackgroundModel.layer({ model: yield* Config.String("MODEL") }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("any"), baseUrl }))
      ),
      RunPolicy.layer({ leaseTime: "1 second" })
    )
  })
).pipe(Layer.provide(NodeServices.layer))

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
