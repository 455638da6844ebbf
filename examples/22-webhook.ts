// A run that is looked at once an hour, and a webhook that says when its response has ended: the result comes at once. The
// sandbox sends the same signed messages as OpenAI, which needs an address that it can reach.
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, RunPolicy, TokenStore } from "@effect-baton/core"
import { RunWebhook } from "@effect-baton/http"
import { OpenAiBackgroundModel, OpenAiClient, OpenAiWebhooks } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Console, Effect, Layer, Option, Redacted, Schedule } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { analyst, task } from "./analyst.ts"

const secret = Redacted.make("whsec_dGhlIHNpZ25pbmcgc2VjcmV0IG9mIHRoZSB3ZWJob29r")

// In a service of your own this is a process with the store. It needs no API key.
const Endpoint = HttpRouter.serve(
  RunWebhook.layer("/openai/webhook", (body, headers) =>
    Effect.tap(OpenAiWebhooks.receive(body, headers), (runId) =>
      Console.log(`the webhook woke ${Option.getOrElse(runId, () => "no run")}`)
    )
  ),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provide(OpenAiWebhooks.layer({ secret })),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }))
)

const Model = Layer.unwrap(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const url = `http://127.0.0.1:${"port" in address ? address.port : ""}/openai/webhook`
    const Server = ResponsesServer.layer({ pace: "3 millis", webhook: { url, secret } })
    const Client = Layer.unwrap(
      Effect.map(ResponsesServer.ResponsesServer, ({ url: baseUrl }) =>
        OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl })
      )
    )
    return OpenAiBackgroundModel.layer({ model: "sales-analyst" }).pipe(Layer.provide(Client), Layer.provide(Server))
  })
)

const program = Effect.gen(function* () {
  const { runId } = yield* Agent.start(analyst, { input: yield* task, runId: "report" })
  const { status, text } = yield* Agent.result(analyst, { runId })
  yield* Console.log(`${runId}: ${status}, ${text.length} characters`)
}).pipe(Effect.timeout("10 minutes"))

const Live = Model.pipe(
  Layer.provideMerge(Endpoint),
  Layer.provideMerge(TokenStore.layerMemory),
  Layer.provideMerge(RunPolicy.layer({ pollEvery: Schedule.spaced("1 hour") }))
)

program.pipe(Effect.provide([Live, NodeServices.layer]), NodeRuntime.runMain)
