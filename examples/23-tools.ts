// A run that acts: the model calls two slow tools, and the process is killed while the second one works. The next process
// runs that call again, under the same idempotency key. The first call has its result, and does not run again.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, RunPolicy, TokenStore, ToolCall } from "@effect-baton/core"
import { Config, Console, Effect, FileSystem, Layer, Option, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { ChildProcess } from "effect/process"
import { environmentOf, Model, Sandbox } from "./model.ts"

const salesOf = Tool.make("sales_of", {
  description: "The sales of a region in October",
  parameters: Schema.Struct({ region: Schema.String }),
  success: Schema.Struct({ sold: Schema.Finite }),
  dependencies: [ToolCall.ToolCall]
})
const forecast = Tool.make("forecast", {
  description: "The sales to expect after the given ones",
  parameters: Schema.Struct({ sold: Schema.Finite }),
  success: Schema.Struct({ expected: Schema.Finite }),
  dependencies: [ToolCall.ToolCall]
})
const toolkit = Toolkit.make(salesOf, forecast)

const planner = Agent.make("planner", {
  instructions: "You plan sales. Use the tools, then answer in one sentence.",
  background: true,
  toolkit
})

/** Says what is called, and takes two seconds. A real tool gives its idempotency key to the service that it calls. */
const slowly = <A>(what: string, result: A) =>
  Effect.gen(function* () {
    const { attempt, idempotencyKey } = yield* ToolCall.ToolCall
    yield* Console.log(`tool: ${what}, attempt ${attempt}, key ${idempotencyKey}`)
    yield* Effect.sleep("2 seconds")
    return result
  })

const Handlers = Agent.toLayer(
  planner,
  toolkit.toLayer({
    sales_of: ({ region }) => slowly(`sales of ${region}`, { sold: 150 }),
    forecast: ({ sold }) => slowly(`forecast after ${sold}`, { expected: sold + 15 })
  })
)

// The last two lines make sure that the model calls both tools, one after the other.
const input = `What will North sell in November?
call: sales_of {"region": "North"}
then call: forecast {"sold": 150}`

const writer = Agent.stream(planner, { input, runId: "plan", ifLeased: "wait" }).pipe(
  Stream.runForEach(({ part, text }) =>
    part?.type === "tool-result"
      ? Console.log(`result: ${JSON.stringify(part.result)}`)
      : Effect.sync(() => process.stdout.write(text))
  )
)

const Store = Layer.unwrap(
  Effect.map(Config.String("STORE_DIRECTORY"), (directory) => TokenStore.layerFile({ directory }))
)

const parent = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-example-" })
  const start = ChildProcess.make(process.execPath, [new URL(import.meta.url).pathname], {
    extendEnv: true,
    env: { ...environmentOf(yield* Sandbox), STORE_DIRECTORY: directory },
    stderr: "inherit"
  })
  const first = yield* start
  yield* Stream.runForEach(Stream.splitLines(Stream.decodeText(first.stdout)), (line) =>
    Effect.andThen(
      Console.log(line),
      line.startsWith("tool: forecast") ? Effect.ignoreCause(first.kill({ killSignal: "SIGKILL" })) : Effect.void
    )
  )
  yield* Console.log("--- the process was killed; the next one goes on:")
  const second = yield* start
  yield* Stream.runForEach(Stream.splitLines(Stream.decodeText(second.stdout)), (line) => Console.log(line))
  yield* Console.log(`--- the second process ended with ${yield* second.exitCode}`)
}).pipe(Effect.scoped)

// A lease of two seconds, so that the second process need not wait long for the run of the one that was killed.
const Brief = RunPolicy.layer({ leaseTime: "2 seconds" })

const program = Effect.gen(function* () {
  const isWriter = Option.isSome(yield* Config.option(Config.String("STORE_DIRECTORY")))
  if (isWriter) yield* Effect.provide(writer, [Model, Store, Handlers, Brief])
  else yield* Effect.provide(parent, Sandbox.layer)
})

program.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
