// A run that acts: the model calls two slow tools, and the process is killed while the second one works. The next process
// runs that call again, under the same idempotency key. The first call has its result, and does not run again.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, ToolCall } from "@effect-baton/core"
import { Console, Effect, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { Model } from "./model.ts"
import { bySteps, Store } from "./steps.ts"

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
    // Here the first process dies.
    if (what.startsWith("forecast") && attempt === 1) process.kill(process.pid, "SIGKILL")
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

const plan = Agent.stream(planner, { input, runId: "plan" }).pipe(
  Stream.runForEach(({ part, text }) =>
    part?.type === "tool-result"
      ? Console.log(`result: ${JSON.stringify(part.result)}`)
      : Effect.sync(() => process.stdout.write(text))
  ),
  Effect.provide([Model, Store, Handlers])
)

bySteps(import.meta.url, { plan, "the same again": plan }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
