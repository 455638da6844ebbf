// Web server and worker in one process, over files: the one that is killed. Another process can then go on with its files.
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Runs, TokenStore, UpdateLog } from "@effect-baton/core"
import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
import { Config, Effect, Layer, Stream } from "effect"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"
import { Model } from "../model.ts"
import { analyst, Handlers } from "./analyst.ts"
import { Page, ProcessRoutes } from "./files.ts"

const Api = HttpApi.make("reports").add(RunsApi.group)

// Everybody on this machine may do everything, and no token leaves it: a service for others says who may do what.
const Routes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(RunsServer.layer(Api, { agents: [analyst], unsignedTokens: true })),
  Layer.provide(RunAccess.layerAllowAll)
)

// What a run says goes into the log, so there is nothing more to do with it.
const Worker = Runs.worker([analyst], { concurrency: 10, handle: ({ updates }) => Stream.runDrain(updates) }).pipe(
  Layer.provide(Layer.provide(Handlers, NodeServices.layer))
)

const Files = Layer.unwrap(
  Effect.map(Config.String("STORE_DIRECTORY"), (directory) =>
    Layer.merge(
      TokenStore.layerFile({ directory: `${directory}/runs` }),
      UpdateLog.layerFile({ directory: `${directory}/updates` })
    )
  )
)

const Server = Layer.unwrap(
  Effect.map(Config.String("SOCKET"), (path) => NodeHttpServer.layer(() => createServer(), { path }))
)

const Web = RunViewers.serve(Layer.mergeAll(Page, ProcessRoutes, Routes), Server, { isLogged: false })

Layer.launch(Layer.merge(Web, Worker)).pipe(
  Effect.provide([Model, Files]),
  Effect.provide(NodeHttpServer.layerHttpServices),
  NodeRuntime.runMain
)
