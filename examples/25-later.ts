// A tool that answers later: its handler hands the work over and ends, and the run waits without a process. When the answer
// is there, minutes or days later, any process gives it to the run, and a worker or the next call goes on.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Runs, ToolCall } from "@effect-baton/core"
import { Console, Effect, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { Model } from "./model.ts"
import { bySteps, Store } from "./steps.ts"

const ask = Tool.make("ask_expert", {
  description: "Asks a person who knows",
  parameters: Schema.Struct({ question: Schema.String }),
  success: Schema.Struct({ answer: Schema.String }),
  dependencies: [ToolCall.ToolCall]
})
const toolkit = Toolkit.make(ask)
const planner = Agent.make("planner", {
  instructions: "Use the tools, then answer in one sentence.",
  background: true,
  toolkit
})

const Handlers = Agent.toLayer(
  planner,
  toolkit.toLayer({
    ask_expert: ({ question }) =>
      Effect.gen(function* () {
        const { callId, idempotencyKey } = yield* ToolCall.ToolCall
        // Here a ticket is written, or a message is sent, with all that is needed to answer.
        yield* Console.log(`ticket ${idempotencyKey}: ${question} (call ${callId})`)
        return yield* ToolCall.later({ expires: "2 days" })
      })
  })
)

// The last line makes sure that the model calls the tool.
const input = `Can we open the shop on Sunday?
call: ask_expert {"question": "May we open on Sunday?"}`

const order = Agent.stream(planner, { input, runId: "sunday" }).pipe(
  Stream.runForEach(({ waitingFor }) =>
    waitingFor === undefined ? Effect.void : Console.log(`the run waits: ${waitingFor}`)
  ),
  Effect.provide([Model, Store, Handlers])
)

const answer = Effect.gen(function* () {
  for (const { callId } of yield* Runs.pending("sunday")) {
    // `tool` and `result` have the types of the agent's toolkit.
    const result = { answer: "Yes, from noon on." }
    yield* Agent.completeTool(planner, { runId: "sunday", callId, tool: "ask_expert", result, by: "the expert" })
    yield* Console.log("the expert answers")
  }
}).pipe(Effect.provide(Store))

const goOn = Agent.run(planner, { input, runId: "sunday" }).pipe(
  Effect.flatMap(({ text }) => Console.log(`answer: ${text}`)),
  Effect.provide([Model, Store, Handlers])
)

bySteps(import.meta.url, { order, answer, "go on": goOn }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
