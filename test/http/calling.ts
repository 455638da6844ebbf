// An agent with tools, and the requests that answer for its calls.
import { Agent, ToolCall } from "@effect-baton/core"
import { RunProblem } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, Exit, Layer, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { ask, engine } from "./served.ts"

const order = { parameters: Schema.Struct({ order: Schema.String }) }

const lookUp = Tool.make("lookUp", { ...order, success: Schema.Struct({ price: Schema.Finite }) })
const refund = Tool.make("refund", { ...order, success: Schema.String, needsApproval: true })
const dueDate = Tool.make("dueDate", {
  ...order,
  success: Schema.Date,
  failure: Schema.Struct({ code: Schema.Natural }),
  failureMode: "return",
  dependencies: [ToolCall.ToolCall]
})
const toolkit = Toolkit.make(lookUp, refund, dueDate)

const options = { background: true, toolkit }
export const clerk = Agent.make("clerk", options)
export const quietClerk = Agent.make("quiet clerk", { ...options, log: false })
export const poorClerk = Agent.make("poor clerk", { ...options, limits: { turns: 1 } })
export const agents = [clerk, quietClerk, poorClerk]

export type Clerk = (typeof agents)[number]

const handlers = toolkit.toLayer({
  lookUp: () => Effect.succeed({ price: 12 }),
  refund: ({ order: name }) => Effect.succeed(`paid back ${name}`),
  dueDate: () => ToolCall.later()
})

/** Handlers for all clerks, beside the engine. */
export const clerks = (script: Parameters<typeof engine>[0]) =>
  Layer.mergeAll(engine(script), ...agents.map((agent) => Agent.toLayer(agent, handlers))) as Layer.Layer<
    Layer.Success<ReturnType<typeof engine>> | Agent.HandlersOf<Clerk>
  >

const { completed, text } = ScriptedModel

/** Two turns: the calls of the first one, and then a text. */
export const afterCalls =
  (...calls: ReadonlyArray<ReturnType<typeof ScriptedModel.call>>): Parameters<typeof engine>[0] =>
  (request) =>
    request.previousResponseId === undefined ? [text("Let me see."), ...calls, completed] : [text("Done."), completed]

/** Advances a run of alice's until it waits, or has ended. */
export const advance = (agent: Clerk, runId: string) =>
  Effect.map(
    Effect.exit(Stream.runCollect(Agent.stream(agent, { input: "x", runId, labels: { owner: "alice" } }))),
    (exit) => (Exit.isSuccess(exit) ? exit.value.at(-1)?.status : "failed")
  )

export const problem = (body: { readonly type?: string }) => body.type?.slice(RunProblem.types.length)

/** Sends a request that changes something. */
export const send = (url: string, path: string, as: string | undefined, body?: unknown) =>
  ask(`${url}/api/runs/${path}`, {
    method: "POST",
    ...(as === undefined ? {} : { as }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
