// An agent with tools for tests: what its handlers do is told by each test, and what they did is counted.
import {
  Agent,
  type AgentUpdate,
  type BackgroundModel,
  type TokenStore,
  ToolCall,
  type ToolPolicy
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Context, Effect, Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const parameters = Schema.Struct({ month: Schema.String })
const success = Schema.Struct({ sold: Schema.Finite })

/** A tool whose failures are told to the model. */
const sales = Tool.make("sales", {
  description: "The sales of a month",
  parameters,
  success,
  failure: Schema.String,
  failureMode: "return",
  dependencies: [ToolCall.ToolCall]
})

/** A tool whose failures end the run. */
const refund = Tool.make("refund", {
  parameters,
  success,
  failure: Schema.Struct({ why: Schema.String }),
  dependencies: [ToolCall.ToolCall]
})

/** A tool that needs approval. */
const order = Tool.make("order", {
  parameters,
  success,
  dependencies: [ToolCall.ToolCall],
  needsApproval: true
})

const toolkit = Toolkit.make(sales, refund, order)

type Started = ToolCall.ToolCall["Service"] & { readonly tool: string; readonly month: string }
type Answer = Effect.Effect<{ readonly sold: number }, never, ToolCall.ToolCall>

/** The calls that handlers got, in order; and what they do, `sold: 3` unless a test says otherwise. */
export class Handled extends Context.Service<
  Handled,
  { readonly started: Array<Started>; answer: (call: Started) => Answer; fail: (call: Started) => unknown }
>()("test/Handled") {}

/** The agent, with other settings for its tools or its limits. */
export const analystWith = (
  options: Pick<
    NonNullable<Parameters<typeof Agent.make<"analyst", typeof toolkit.tools>>[1]>,
    "cost" | "limits" | "toolConcurrency" | "tools"
  >
) => Agent.make("analyst", { background: true, toolkit, ...options })

export const analyst = analystWith({})

interface Options<Tools extends Record<string, Tool.Any>> {
  readonly agent?: Agent.Agent<"analyst", Tools>
  readonly policy?: ToolPolicy.ToolPolicy
  readonly model?: ScriptedModel.Options
  readonly answer?: (call: Started) => Answer
  readonly fail?: (call: Started) => unknown
}

/** The handlers of the agent. */
const handlers = ({ agent = analyst, answer, fail, policy }: Options<typeof toolkit.tools> = {}) => {
  const handled = Layer.sync(Handled, () => ({
    started: [],
    answer: answer ?? (() => Effect.succeed({ sold: 3 })),
    fail: fail ?? (() => undefined)
  }))
  const run = (tool: string) => (params: { readonly month: string }) =>
    Effect.gen(function* () {
      const call = { ...(yield* ToolCall.ToolCall), tool, month: params.month }
      const { answer: of, fail: failing, started } = yield* Handled
      started.push(call)
      const error = failing(call)
      if (error !== undefined) return yield* Effect.fail(error as never)
      return yield* of(call)
    })
  const made = Effect.map(Effect.context<Handled>(), (context) => {
    const of = (tool: string) => (params: { readonly month: string }) =>
      Effect.provideService(run(tool)(params), Handled, Context.get(context, Handled)) as Effect.Effect<
        { readonly sold: number },
        never,
        ToolCall.ToolCall
      >
    return { sales: of("sales"), refund: of("refund"), order: of("order") }
  })
  return Agent.toLayer(agent, toolkit.toLayer(made), policy === undefined ? {} : { policy }).pipe(
    Layer.provideMerge(handled)
  )
}

/** A model that plays a script for each turn of a run. */
export const turns = (...scripts: ReadonlyArray<ReadonlyArray<ScriptedModel.Step>>) => {
  // The responses that were continued, by run, in order of their turns.
  const known = new Map<string, Array<string>>()
  return ({ previousResponseId, runId }: BackgroundModel.ModelRequest): ReadonlyArray<ScriptedModel.Step> => {
    const before = known.get(runId) ?? []
    known.set(runId, before)
    if (previousResponseId !== undefined && !before.includes(previousResponseId)) before.push(previousResponseId)
    const turn = previousResponseId === undefined ? 0 : before.indexOf(previousResponseId) + 1
    return scripts[turn] ?? [ScriptedModel.text("no more turns"), ScriptedModel.completed]
  }
}

/** A model, a store and handlers. */
export const world = (
  store: Layer.Layer<TokenStore.TokenStore>,
  script: Parameters<typeof ScriptedModel.layer>[0],
  options: Options<typeof toolkit.tools> = {}
) => Layer.mergeAll(ScriptedModel.layer(script, options.model ?? {}), store, handlers(options))

/** What the updates told of tools, in order. */
export const told = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) =>
  updates.flatMap(({ part, status, waitingFor }) => {
    switch (part?.type) {
      case "tool-call":
        return [`call ${part.id}`]
      case "tool-result":
        return [`${part.isFailure ? "failure" : "result"} ${part.id} ${JSON.stringify(part.result)}`]
      case "tool-approval-request":
        return [`asks ${part.approvalId}`]
      case "finish":
        return [`finish ${status}`]
      default:
        return waitingFor === undefined ? [] : [`waits ${waitingFor}`]
    }
  })
