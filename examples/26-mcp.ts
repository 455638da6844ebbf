// The tools of an MCP server in a durable run. The server is a process of its own, and its tools are the agent's toolkit.
import { NodeRuntime, NodeServices, NodeStdio } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, Layer, Schema, Stream } from "effect"
import { McpClient, McpProtocol, McpServer, Tool, Toolkit } from "effect/ai"
import { ChildProcess } from "effect/process"
import { Model } from "./model.ts"

const protocol = McpProtocol.v2025_11_25

// The server: one tool. Any MCP server will do, in any language.
const stock = Toolkit.make(
  Tool.make("stock", {
    description: "How many of an article are in stock",
    parameters: Schema.Struct({ article: Schema.String }),
    success: Schema.Struct({ left: Schema.Finite })
  })
)
const server = Layer.launch(
  McpServer.toolkit(stock).pipe(
    Layer.provide(stock.toLayer({ stock: ({ article }) => Effect.succeed({ left: article.length }) })),
    Layer.provide(McpServer.layerStdio({ name: "warehouse", version: "1.0.0", protocols: [protocol] })),
    Layer.provide(NodeStdio.layer)
  )
)

const Client = McpClient.layerStdio({
  name: "baton-example",
  version: "1.0.0",
  protocol,
  command: ChildProcess.make(process.execPath, [new URL(import.meta.url).pathname], {
    extendEnv: true,
    env: { MCP_SERVER: "warehouse" }
  })
})

const client = Effect.gen(function* () {
  const toolkit = yield* McpClient.toolkit(yield* McpClient.McpClient)
  yield* Console.log(`tools of the server: ${Object.keys(toolkit.tools).join(", ")}`)
  const clerk = Agent.make("clerk", {
    instructions: "Use the tools, then answer in one sentence.",
    background: true,
    toolkit
  })
  const input = 'How many chairs are left?\ncall: stock {"article": "chair"}'
  yield* Agent.stream(clerk, { input, runId: "chairs" }).pipe(
    Stream.runForEach(({ part, text }) =>
      part?.type === "tool-result"
        ? Console.log(`result: ${JSON.stringify(part.result)}`)
        : Effect.sync(() => process.stdout.write(text))
    ),
    Effect.provide(Agent.toLayer(clerk, toolkit))
  )
}).pipe(Effect.provide([Client, Model, TokenStore.layerMemory]))

const program = Effect.gen(function* () {
  const isServer = (yield* Config.String("MCP_SERVER").pipe(Config.withDefault(""))) !== ""
  yield* isServer ? server : client
})

program.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
