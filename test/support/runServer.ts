/** A process that advances the runs of one agent as a worker, and serves their updates over HTTP. */
import { Agent, type BackgroundModel, Runs, SignedTokens, type TokenStore } from "@effect-baton/core"
import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { type Duration, Effect, Layer, Redacted, Stream } from "effect"
import { HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"
import { writeLine } from "./writeLine.ts"

class Api extends HttpApi.make("program").add(RunsApi.group.prefix("/api")) {}

const Signed = SignedTokens.layer({
  keys: [{ id: "1", secret: Redacted.make("the secret of the program, long enough") }]
})

// Its first line says where it listens.
const Ready = Layer.effectDiscard(
  Effect.flatMap(HttpServer.HttpServer, ({ address }) =>
    writeLine("port" in address ? `http://127.0.0.1:${address.port}` : "nowhere")
  )
)

/** Runs the server until the process is stopped. */
export const run = <E>(options: {
  readonly agent: string
  /** How often the worker looks for runs. */
  readonly claimEvery: Duration.Input
  /** The provider, and where runs and logs are. */
  readonly engine: Layer.Layer<BackgroundModel.BackgroundModel | TokenStore.TokenStore, E>
}): void => {
  const agent = Agent.make(options.agent, { background: true })
  const routes = HttpApiBuilder.layer(Api).pipe(
    Layer.provide(RunsServer.layer(Api, { agents: [agent] })),
    Layer.provide(RunAccess.layerAllowAll)
  )
  const worker = Runs.worker([agent], {
    concurrency: 10,
    claimEvery: options.claimEvery,
    startJitter: "1 milli",
    handle: ({ updates }) => Stream.runDrain(updates)
  })
  const server = Ready.pipe(
    Layer.provideMerge(
      RunViewers.serve(
        routes,
        NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }),
        { isLogged: false }
      )
    )
  )
  Layer.launch(Layer.merge(server, worker)).pipe(
    Effect.provide([options.engine, Signed, NodeHttpServer.layerHttpServices]),
    NodeRuntime.runMain
  )
}
