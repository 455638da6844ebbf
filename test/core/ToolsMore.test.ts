// What handlers get, and what leaves the process of them: services, traces, preliminary results, agents with like tools.
import { Agent, type AgentError, TokenStore, ToolCall } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Schema, Stream, Tracer } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { recordOf, stateOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"
import { analyst, analystWith, turns, world } from "../support/tools.ts"

const { call, completed, text } = ScriptedModel
const input = { input: "Hello", runId: "r" } as const
const memory = TokenStore.layerMemory

describe("handlers", () => {
  it.effect("of two agents with a tool of one name are each agent's own", () => {
    const parameters = Schema.Struct({ secret: Schema.String })
    const agents = ["first", "second"].map((name) => {
      const toolkit = Toolkit.make(Tool.make("who", { parameters, success: Schema.String }))
      const agent = Agent.make(name, { background: true, toolkit })
      return { agent, layer: Agent.toLayer(agent, toolkit.toLayer({ who: () => Effect.succeed(name) })) }
    })
    return Effect.gen(function* () {
      for (const { agent } of agents) {
        yield* passing(Agent.run(agent, { input: "Hello", runId: agent.name }))
        assert.strictEqual((yield* stateOf(agent.name)).turns[0]?.calls[0]?.result?.result, agent.name)
      }
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("who", { secret: "x" }), completed], [text("done"), completed])),
          memory,
          agents[0]!.layer,
          agents[1]!.layer
        )
      )
    )
  })

  it.effect("leave no argument and no result in a trace", () => {
    const seen: Array<string> = []
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function* () {
      yield* passing(Effect.withSpan(Agent.run(analyst, input), "outside"))
      for (const span of spans) {
        seen.push(span.name, JSON.stringify([...span.attributes]), JSON.stringify(span.events))
      }
      const all = seen.join(" ")
      assert.notInclude(all, "topsecret")
      assert.notInclude(all, "4711")
      const tool = spans.find(({ name }) => name === "execute_tool sales")
      assert.strictEqual(tool?.attributes.get("gen_ai.tool.call.id"), "call_1")
      const inner = spans.find(({ name }) => name === "inside")
      assert.strictEqual(Option.getOrUndefined(inner!.parent)?.spanId, tool?.spanId)
    }).pipe(
      Effect.provide(
        world(memory, turns([call("sales", { month: "topsecret" }), completed], [text("done"), completed]), {
          answer: () => Effect.withSpan(Effect.succeed({ sold: 4711 }), "inside")
        })
      ),
      Effect.withTracer(tracer)
    )
  })

  it.effect("send preliminary results to the stream alone: nobody gets them again", () => {
    const toolkit = Toolkit.make(Tool.make("slow", { success: Schema.Finite }))
    const agent = Agent.make("slow", { background: true, toolkit })
    const handlers = Agent.toLayer(
      agent,
      toolkit.toLayer({
        slow: (_, { preliminary }) =>
          Effect.gen(function* () {
            for (let i = 1; i <= 40; i++) yield* Effect.andThen(preliminary(i), Effect.sleep("10 millis"))
            return 41
          })
      })
    )
    const resultsIn = (updates: ReadonlyArray<{ readonly part?: unknown }>) =>
      updates.flatMap(({ part }) => {
        const { preliminary, result, type } = part as { type?: string; preliminary?: boolean; result?: unknown }
        return type === "tool-result" ? [[preliminary, result]] : []
      })
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(agent, input)), 10)
      const parts = updates.filter(({ part }) => part !== undefined)
      const results = resultsIn(parts)
      assert.isAbove(results.filter(([preliminary]) => preliminary).length, 5)
      assert.deepStrictEqual(results.at(-1), [false, 41])
      // They have no position of their own.
      const tokens = parts.filter(({ part }) => part?.type === "tool-result").map((one) => one.continuationToken)
      assert.strictEqual(new Set(tokens.map((token) => Option.getOrThrow(token).offset)).size, 2)
      const watched = yield* passing(Stream.runCollect(Agent.watch(agent, { runId: "r" })))
      assert.deepStrictEqual(resultsIn(watched.filter(({ part }) => part !== undefined)), [[false, 41]])
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("slow", {}), completed], [text("done"), completed])),
          memory,
          handlers
        )
      )
    )
  })

  it.effect("where the provider keeps no response, each turn sends all turns before it", () => {
    let opened = 0
    return Effect.gen(function* () {
      yield* passing(Agent.run(analyst, { ...input, background: false }))
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const requests = (yield* ledger).flatMap(({ request }) => (request === undefined ? [] : [request]))
      assert.deepStrictEqual(
        requests.map(({ previousResponseId, prompt }) => [
          previousResponseId,
          ...prompt.content.flatMap(({ content, role }) =>
            typeof content === "string" ? [role] : content.map(({ type }) => `${role} ${type}`)
          )
        ]),
        [
          [undefined, "user text"],
          [undefined, "user text", "assistant text", "assistant tool-call", "tool tool-result"],
          [
            undefined,
            "user text",
            "assistant text",
            "assistant tool-call",
            "tool tool-result",
            "assistant tool-call",
            "tool tool-result"
          ]
        ]
      )
    }).pipe(
      Effect.provide(
        world(
          memory,
          ({ prompt }) => {
            const turn = prompt.content.filter(({ role }) => role === "tool").length
            if (turn === 2 || ++opened > 4) return [text("done"), completed]
            return [...(turn === 0 ? [text("Let me see.")] : []), call("sales", { month: String(turn) }), completed]
          },
          { model: { demands: () => ({ streamed: true, stored: false }) } }
        )
      )
    )
  })

  it.effect("give the model what the tool shows of a result", () => {
    const toolkit = Toolkit.make(
      Tool.make("chart", {
        success: Schema.Struct({ title: Schema.String }),
        toModelOutput: ({ title }) => [{ type: "text", text: `a chart of ${title}` } as never]
      })
    )
    const agent = Agent.make("charts", { background: true, toolkit })
    return Effect.gen(function* () {
      yield* passing(Agent.run(agent, input))
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const parts = (yield* ledger).flatMap(({ request }) =>
        (request?.prompt.content ?? []).flatMap((message) => (message.role === "tool" ? message.content : []))
      )
      assert.deepInclude(parts[0] as object, { modelOutput: [{ type: "text", text: "a chart of sales" }] })
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("chart", {}), completed], [text("done"), completed])),
          memory,
          Agent.toLayer(agent, toolkit.toLayer({ chart: () => Effect.succeed({ title: "sales" }) }))
        )
      )
    )
  })

  it.effect("may return nothing, dates and large numbers: the journal keeps JSON", () => {
    const toolkit = Toolkit.make(
      Tool.make("nothing", {}),
      Tool.make("dated", { success: Schema.Struct({ at: Schema.Date, big: Schema.BigInt }) })
    )
    const agent = Agent.make("kinds", { background: true, toolkit })
    return Effect.gen(function* () {
      yield* passing(Agent.run(agent, input))
      const [nothing, dated] = (yield* stateOf("r")).turns[0]!.calls
      assert.isNull(nothing?.result?.result)
      assert.isFalse(dated?.result?.isFailure)
      assert.include(JSON.stringify(dated?.result?.result), "2026-11-28")
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("nothing", {}), call("dated", {}), completed], [text("done"), completed])),
          memory,
          Agent.toLayer(
            agent,
            toolkit.toLayer({
              nothing: () => Effect.void,
              dated: () => Effect.succeed({ at: new Date("2026-11-28T00:00:00Z"), big: 12n })
            })
          )
        )
      )
    )
  })

  it.effect("of a toolkit that is made at run time: JSON Schema parameters, as MCP servers have them", () => {
    const dynamic = Tool.dynamic("look", {
      description: "Looks",
      parameters: { type: "object", properties: { what: { type: "string" } } } as never
    })
    const agent = Agent.make("dynamic", { background: true, toolkit: Toolkit.make(dynamic) })
    return Effect.gen(function* () {
      const { content } = yield* passing(Agent.run(agent, input))
      assert.deepStrictEqual(
        content.flatMap((part) => (part.type === "tool-result" ? [part.result] : [])),
        [{ seen: { what: "moon" } }]
      )
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("look", { what: "moon" }), completed], [text("done"), completed])),
          memory,
          Agent.toLayer(
            agent,
            Toolkit.make(dynamic).toLayer({ look: (params: unknown) => Effect.succeed({ seen: params }) } as never)
          )
        )
      )
    )
  })
})

describe("a process whose agent does not have the tools", () => {
  // A page that shows how far a run is need not know the tools of the agent.
  const bare = Agent.make("analyst", { background: true })
  const script = () => turns([call("sales", { month: "1" }), completed], [text("done"), completed])

  it.effect("may poll, and does not end the run", () =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, input))
      const seen = yield* Agent.poll(bare, { runId: "r" })
      assert.deepStrictEqual([seen.status, seen.pending?.map(({ tool }) => tool)], ["in_progress", ["sales"]])
      const updates = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(updates.at(-1)?.status, "completed")
    }).pipe(Effect.provide(world(memory, script())))
  )

  it.effect("cannot go on with it, and parks it", () =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, input))
      const { reason } = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(bare, { runId: "r" }))))
      assert.isTrue(reason._tag === "ToolMissing" && reason.tool === "sales")
      assert.include((yield* recordOf("r")).parked?.reason, "'sales'")
      yield* passing(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
    }).pipe(Effect.provide(world(memory, script())))
  )
})

it.effect.each([0, -1, Number.NaN])("an agent that could run no call (toolConcurrency: %d) is refused", (most) =>
  Effect.gen(function* () {
    const agent = analystWith({ toolConcurrency: most })
    const { reason } = yield* Effect.flip(Stream.runDrain(Agent.stream(agent, input)))
    assert.strictEqual(reason._tag, "InvalidInput")
  }).pipe(Effect.provide(world(memory, [completed])))
)

describe("a cost function", () => {
  const broken: ReadonlyArray<readonly [string, () => number]> = [
    ["gives no number", () => Number.NaN],
    [
      "throws",
      () => {
        throw new Error("no price")
      }
    ]
  ]
  it.effect.each(broken)("that %s does not let the run spend more", ([, cost]) => {
    const agent = analystWith({ limits: { cost: 5 }, cost })
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(agent, input)))
      assert.deepStrictEqual([updates.at(-1)?.waitingFor, updates.at(-1)?.limit], ["limit", "cost"])
    }).pipe(
      Effect.provide(
        world(
          memory,
          turns([call("sales", { month: "1" }), ScriptedModel.using(completed, { input: 1, output: 1 })], [completed]),
          { agent }
        )
      )
    )
  })
})

describe("onCut", () => {
  const cut = (onCut: "again" | "wait" | "fail") => analystWith({ tools: { sales: { onCut } } })

  it.effect.each(["again", "wait", "fail"] as const)("%s: what happens to a call whose process died", (onCut) => {
    const agent = cut(onCut)
    let attempts = 0
    return Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      // The first process has started the call, and died.
      yield* passing(
        Stream.runDrain(Stream.takeUntil(Agent.stream(agent, input), ({ part }) => part?.type === "finish"))
      )
      const { incarnation, runId } = yield* recordOf("r")
      const { lease } = yield* store.acquire(runId, { owner: "dead", ttl: "1 second" } as never).pipe(Effect.orDie)
      yield* store
        .commit(lease, {
          seen: 0,
          facts: [
            { _tag: "Allowed", incarnation, by: "dead", turn: 0, callId: "call_1" },
            { _tag: "ToolStarted", incarnation, by: "dead", turn: 0, callId: "call_1", n: 1 }
          ]
        } as never)
        .pipe(Effect.orDie)
      const exit = yield* passing(
        Effect.exit(Stream.runCollect(Agent.resume(agent, { runId: "r", ifLeased: "steal" })))
      )
      assert.isTrue(Exit.isSuccess(exit))
      const [made] = (yield* stateOf("r")).turns[0]!.calls
      const last = Exit.isSuccess(exit) ? exit.value.at(-1) : undefined
      switch (onCut) {
        case "again":
          assert.deepStrictEqual([attempts, last?.status], [2, "completed"])
          return
        case "wait":
          assert.deepStrictEqual([attempts, last?.waitingFor], [0, "deferred"])
          yield* Agent.completeTool(agent, { runId: "r", callId: "call_1", tool: "sales", result: { sold: 1 } })
          yield* passing(Stream.runDrain(Agent.resume(agent, { runId: "r" })))
          assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
          return
        case "fail":
          assert.deepStrictEqual([attempts, last?.status], [0, "completed"])
          assert.deepInclude(made?.result?.result as object, { type: "execution-interrupted" })
      }
    }).pipe(
      Effect.provide(
        world(stores[0]!.layer, turns([call("sales", { month: "1" }), completed], [text("done"), completed]), {
          agent,
          answer: ({ attempt }) => Effect.sync(() => ({ sold: (attempts = attempt) }))
        })
      )
    )
  })
})

describe("answers to calls", () => {
  it.effect("are checked: what does not fit is refused, and nothing is lost", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
      const reasonOf = (effect: Effect.Effect<void, AgentError.AgentError, TokenStore.TokenStore>) =>
        Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)
      const answer = { runId: "r", callId: "call_1", tool: "sales" } as const
      assert.strictEqual(
        yield* reasonOf(Agent.completeTool(analyst, { ...answer, result: { sold: "x" } as never })),
        "InvalidInput"
      )
      assert.strictEqual(
        yield* reasonOf(Agent.completeTool(analyst, { ...answer, tool: "refund", result: { sold: 1 } })),
        "ToolNotFound"
      )
      assert.strictEqual(
        yield* reasonOf(Agent.completeTool(analyst, { ...answer, turn: 3, result: { sold: 1 } })),
        "ToolNotFound"
      )
      assert.strictEqual(yield* reasonOf(Agent.approve(analyst, { runId: "r", callId: "call_1" })), "ToolNotFound")
      assert.strictEqual(yield* reasonOf(Agent.approve(analyst, { runId: "other", callId: "call_1" })), "RunNotFound")
      assert.strictEqual(yield* reasonOf(Agent.raise(analyst, { runId: "r" }, { turns: -1 })), "InvalidInput")
      assert.strictEqual(yield* reasonOf(Agent.raise(analyst, { runId: "r" }, {})), "InvalidInput")
      for (const cost of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
        assert.strictEqual(yield* reasonOf(Agent.raise(analyst, { runId: "r" }, { cost })), "InvalidInput")
      }
      assert.strictEqual(yield* reasonOf(Agent.raise(analyst, { runId: "r" }, { time: "Infinity" })), "InvalidInput")
      yield* Agent.completeTool(analyst, { ...answer, result: { sold: 1 } })
      yield* Agent.completeTool(analyst, { ...answer, result: { sold: 1 } })
      assert.strictEqual(
        yield* reasonOf(Agent.completeTool(analyst, { ...answer, result: { sold: 2 } })),
        "AlreadyAnswered"
      )
      yield* passing(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(yield* reasonOf(Agent.completeTool(analyst, { ...answer, result: { sold: 1 } })), "RunOver")
      assert.strictEqual(yield* reasonOf(Agent.raise(analyst, { runId: "r" }, { turns: 9 })), "RunOver")
    }).pipe(
      Effect.provide(
        world(memory, turns([call("sales", { month: "1" }), completed], [text("done"), completed]), {
          answer: () => ToolCall.later()
        })
      )
    )
  )
})
