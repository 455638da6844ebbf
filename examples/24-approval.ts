// A tool that needs approval. The run waits, and no process holds it: the one that ordered it has ended. A person approves
// in another process, which has neither the model nor the tool, and a third one goes on.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Runs } from "@effect-baton/core"
import { Console, Effect, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { Model } from "./model.ts"
import { bySteps, Store } from "./steps.ts"

const refund = Tool.make("refund", {
  description: "Pays money back to a customer",
  parameters: Schema.Struct({ order: Schema.String, amount: Schema.Finite }),
  success: Schema.String,
  needsApproval: true
})
const toolkit = Toolkit.make(refund)
const clerk = Agent.make("clerk", {
  instructions: "You help customers. Use the tools, then answer in one sentence.",
  background: true,
  toolkit,
  // After a day without an answer, the call counts as rejected.
  tools: { refund: { approvalTime: "1 day" } }
})
const Handlers = Agent.toLayer(
  clerk,
  toolkit.toLayer({
    refund: ({ amount, order }) => Effect.as(Console.log(`tool: ${amount} euros for order ${order}`), "paid")
  })
)

// The last line makes sure that the model calls the tool.
const input = `The customer of order 7 wants 20 euros back. Please refund them.
call: refund {"order": "7", "amount": 20}`

const order = Agent.stream(clerk, { input, runId: "refund-7" }).pipe(
  Stream.runForEach(({ part, waitingFor }) =>
    part?.type === "tool-approval-request"
      ? Console.log(`asks for approval: ${part.approvalId}`)
      : waitingFor === undefined
        ? Effect.void
        : Console.log(`the run waits for ${waitingFor}`)
  ),
  Effect.provide([Model, Store, Handlers])
)

const approve = Effect.gen(function* () {
  for (const { approvalId, params, tool } of yield* Runs.pending("refund-7")) {
    yield* Console.log(`alice approves ${tool} ${JSON.stringify(params)}`)
    if (approvalId !== undefined) yield* Agent.approve(clerk, { runId: "refund-7", approvalId, by: "alice" })
  }
}).pipe(Effect.provide(Store))

const goOn = Agent.run(clerk, { input, runId: "refund-7" }).pipe(
  Effect.flatMap(({ text }) => Console.log(`answer: ${text}`)),
  Effect.provide([Model, Store, Handlers])
)

bySteps(import.meta.url, { order, approve, "go on": goOn }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
