// A server of one process, whose runs and logs outlive it: it opens the runs that it is asked for, and serves their updates.
import { RunPolicy, TokenStore, UpdateLog } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { NodeServices } from "@effect/platform-node"
import { Config, Effect, Layer, Redacted } from "effect"
import { join } from "node:path"
import * as RunServer from "../support/runServer.ts"

const engine = Layer.unwrap(
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

RunServer.run({ agent: "analyst", claimEvery: "50 millis", engine })
