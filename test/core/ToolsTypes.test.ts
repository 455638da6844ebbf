// What the types of agents with tools say, and what they refuse. The compiler proves it: see the assertions on types.
import {
  Agent,
  type AgentError,
  type BackgroundModel,
  Runs,
  type TokenStore,
  ToolCall,
  ToolPolicy,
  UpdateLog
} from "@effect-baton/core"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"

class Ledger extends Context.Service<Ledger, { readonly book: (sum: number) => Effect.Effect<void> }>()("Ledger") {}

const parameters = Schema.Struct({ month: Schema.String })
const success = Schema.Struct({ sold: Schema.Finite })

const lookup = Tool.make("lookup", { parameters, success })
const pay = Tool.make("pay", {
  parameters: Schema.Struct({ sum: Schema.Finite }),
  success: Schema.String,
  failure: Schema.Struct({ why: Schema.String }),
  dependencies: [Ledger, ToolCall.ToolCall]
})
const soft = Tool.make("soft", { parameters, success, failure: Schema.String, failureMode: "return" })

const toolkit = Toolkit.make(lookup, pay, soft)
const clerk = Agent.make("clerk", { toolkit, tools: { pay: { timeLimit: "1 minute" } }, limits: { time: "1 hour" } })
const plain = Agent.make("plain")
const watcher = Agent.make("watcher", { toolkit: Toolkit.make(soft) })

type Services = BackgroundModel.BackgroundModel | TokenStore.TokenStore

const input = { input: "Hello" }
const ref = { runId: "r" }

describe("types of agents with tools", () => {
  it("infer tools, requirements and errors without annotation", () => {
    expectTypeOf<keyof Agent.ToolsOf<typeof clerk>>().toEqualTypeOf<"lookup" | "pay" | "soft">()
    const stream = Agent.stream(clerk, input)
    expectTypeOf<Stream.Services<typeof stream>>().toEqualTypeOf<Services | Agent.Handlers<"clerk">>()
    const run = Agent.run(clerk, input)
    expectTypeOf<Effect.Services<typeof run>>().toEqualTypeOf<Services | Agent.Handlers<"clerk">>()
    const resume = Agent.resume(clerk, ref)
    expectTypeOf<Stream.Services<typeof resume>>().toEqualTypeOf<Services | Agent.Handlers<"clerk">>()
    const worker = Runs.worker([clerk, watcher, plain], {
      concurrency: 1,
      handle: ({ updates }) => Stream.runDrain(updates)
    })
    expectTypeOf<Layer.Services<typeof worker>>().toEqualTypeOf<
      Services | Agent.Handlers<"clerk"> | Agent.Handlers<"watcher">
    >()
    const handled = run.pipe(
      Effect.catchReason("AgentError", "ToolFailed", (reason) => {
        if (reason.tool === "pay") expectTypeOf(reason.error).toExtend<{ readonly why: string } | { _tag: "AiError" }>()
        expectTypeOf(reason.tool).toEqualTypeOf<"lookup" | "pay">()
        return Effect.succeed(reason.tool)
      })
    )
    assert.isTrue(Effect.isEffect(handled))
  })

  it("ask for no handlers where nothing runs, nor of an agent without tools", () => {
    const verbs = [
      Agent.start(clerk, input),
      Agent.poll(clerk, ref),
      Agent.result(clerk, ref),
      Agent.cancel(clerk, ref)
    ] as const
    expectTypeOf<Effect.Services<(typeof verbs)[number]>>().toEqualTypeOf<Services>()
    const offline = [
      Agent.enqueue(clerk, input),
      Agent.approve(clerk, { ...ref, callId: "c" }),
      Agent.reject(clerk, { ...ref, approvalId: "r:0:c", reason: "no" }),
      Agent.completeTool(clerk, { ...ref, callId: "c", tool: "lookup", result: { sold: 3 } }),
      Agent.raise(clerk, ref, { turns: 9, time: "2 hours" })
    ] as const
    expectTypeOf<Effect.Services<(typeof offline)[number]>>().toEqualTypeOf<TokenStore.TokenStore>()
    const watched = Agent.watch(clerk, ref)
    expectTypeOf<Stream.Services<typeof watched>>().toEqualTypeOf<Services>()
    const generic = runAs(clerk)
    expectTypeOf<Effect.Services<typeof generic>>().toEqualTypeOf<Services | Agent.Handlers<"clerk">>()
    const simple = Agent.stream(plain, input)
    expectTypeOf<Stream.Services<typeof simple>>().toEqualTypeOf<Services>()
    expectTypeOf<Stream.Error<typeof simple>>().toEqualTypeOf<AgentError.AgentError>()
    const provided = Agent.make("researcher", {
      toolkit: Toolkit.make(
        Tool.providerDefined({ id: "openai.web_search", customName: "search", providerName: "web_search" })()
      )
    })
    const searching = Agent.stream(provided, input)
    expectTypeOf<Stream.Services<typeof searching>>().toEqualTypeOf<Services>()
    assert.isTrue(Layer.isLayer(UpdateLog.layerMemory))
  })

  it("take the services that tools and the policy need when the layer is built, but for the call itself", () => {
    class Rules extends Context.Service<Rules, { readonly strict: boolean }>()("Rules") {}
    const handlers = Agent.toLayer(
      clerk,
      toolkit.toLayer({
        lookup: ({ month }) => Effect.succeed({ sold: month.length }),
        pay: ({ sum }) =>
          Effect.gen(function* () {
            const { book } = yield* Ledger
            const { idempotencyKey } = yield* ToolCall.ToolCall
            yield* book(sum)
            return idempotencyKey
          }),
        soft: () => Effect.fail("closed")
      }),
      { policy: () => Effect.map(Rules, ({ strict }) => (strict ? ToolPolicy.ask() : ToolPolicy.allow)) }
    )
    expectTypeOf<Layer.Services<typeof handlers>>().toEqualTypeOf<Ledger | Rules>()
    expectTypeOf<Layer.Success<typeof handlers>>().toEqualTypeOf<Agent.Handlers<"clerk">>()
    assert.isTrue(Layer.isLayer(handlers))
  })

  it("refuse what is wrong", () => {
    const other = Toolkit.make(Tool.make("other", { parameters, success }))
    const wrong = [
      // @ts-expect-error a handler of another toolkit
      () => Agent.toLayer(clerk, other.toLayer({ other: () => Effect.succeed({ sold: 1 }) })),
      // @ts-expect-error a tool that the agent does not have
      () => Agent.make("x", { toolkit, tools: { moon: { timeLimit: "1 minute" } } }),
      // @ts-expect-error a result of the wrong type
      () => Agent.completeTool(clerk, { ...ref, callId: "c", tool: "lookup", result: { sold: "3" } }),
      // @ts-expect-error a tool that the agent does not have
      () => Agent.completeTool(clerk, { ...ref, callId: "c", tool: "moon", result: 1 }),
      // @ts-expect-error a failure of a tool that cannot fail
      () => Agent.completeTool(clerk, { ...ref, callId: "c", tool: "lookup", failure: "no" }),
      // @ts-expect-error neither an approval nor a call
      () => Agent.approve(clerk, ref),
      // @ts-expect-error no such limit
      () => Agent.raise(clerk, ref, { rounds: 3 }),
      // @ts-expect-error the handlers of the agent are missing
      () => Effect.runPromise(Agent.run(clerk, input) as Effect.Effect<unknown, unknown, Agent.Handlers<"clerk">>),
      // @ts-expect-error an agent with tools is not one without
      (): Agent.Agent => clerk
    ]
    assert.lengthOf(wrong, 9)
  })
})

/** A function over agents keeps what it must be given. */
const runAs = <A extends Agent.Any>(
  agent: A
): Effect.Effect<unknown, Agent.ErrorOf<A>, Services | Agent.HandlersOf<A>> => Agent.run(agent, input)
