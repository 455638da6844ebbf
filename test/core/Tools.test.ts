// Runs with tools: the loop of turns, in which each call runs once, and its result comes before the next request.
import { Agent, AgentError, RunState, ToolCall, ToolPolicy } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { recordOf, stateOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { call, completed, text } = ScriptedModel

const sales = Tool.make("sales", {
  description: "The sales of a month",
  parameters: Schema.Struct({ month: Schema.String }),
  success: Schema.Struct({ sold: Schema.Finite }),
  failure: Schema.String,
  failureMode: "return",
  dependencies: [ToolCall.ToolCall]
})
const toolkit = Toolkit.make(sales)
const analyst = Agent.make("analyst", { background: true, toolkit })

const turnOf = (request: { readonly previousResponseId?: string }) =>
  request.previousResponseId === undefined ? 0 : Number(request.previousResponseId.slice("resp_".length))

describe.each(stores)("an agent with a tool, over the $name store", ({ layer }) => {
  const over = (
    script: Parameters<typeof ScriptedModel.layer>[0],
    handler: Parameters<typeof toolkit.toLayer>[0] extends infer H ? any : never,
    policy?: ToolPolicy.ToolPolicy
  ) =>
    Layer.mergeAll(
      ScriptedModel.layer(script),
      layer,
      Agent.toLayer(analyst, toolkit.toLayer({ sales: handler }), policy === undefined ? {} : { policy })
    )

  it.effect("calls its handler once, tells the model the result, and delivers both", () => {
    const seen: Array<unknown> = []
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
      assert.deepStrictEqual(seen, [["10", "r:0:call_1", 1]])
      assert.strictEqual(textOf(updates), "Let me see. Sold 3.")
      assert.deepStrictEqual(
        updates.flatMap(({ part, turn }) =>
          part?.type === "tool-call" || part?.type === "tool-result" || part?.type === "finish"
            ? [[part.type, turn ?? null, part.type === "tool-result" ? part.result : null]]
            : []
        ),
        [
          ["tool-call", null, null],
          ["finish", 0, null],
          ["tool-result", 0, { sold: 3 }],
          ["finish", 1, null]
        ]
      )
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const created = (yield* ledger).filter(({ operation }) => operation === "create")
      assert.strictEqual(created.length, 2)
      assert.deepStrictEqual(
        created[1]!
          .request!.prompt.content.flatMap((message) => (message.role === "tool" ? message.content : []))
          .map((part) => (part.type === "tool-result" ? [part.id, part.name, part.result, part.isFailure] : [])),
        [["call_1", "sales", { sold: 3 }, false]]
      )
      assert.deepStrictEqual(
        created[0]!.request!.tools?.map(({ name }) => name),
        ["sales"]
      )
      const state = yield* stateOf("r")
      assert.strictEqual(state.ended?.status, "completed")
      const result = yield* passing(Agent.result(analyst, { runId: "r" }))
      assert.strictEqual(result.text, "Sold 3.")
      assert.deepStrictEqual(
        result.content.map(({ type }) => type),
        ["tool-call", "tool-result", "text"]
      )
    }).pipe(
      Effect.provide(
        over(
          (request) =>
            turnOf(request) === 0
              ? [text("Let me see. "), call("sales", { month: "10" }), completed]
              : [text("Sold 3."), completed],
          ({ month }: { month: string }) =>
            Effect.map(ToolCall.ToolCall, ({ attempt, idempotencyKey }) => {
              seen.push([month, idempotencyKey, attempt])
              return { sold: 3 }
            })
        )
      )
    )
  })

  it.effect("waits for approval, and goes on after it, in another process", () => {
    let ran = 0
    return Effect.gen(function* () {
      const before = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
      assert.deepStrictEqual([before.at(-1)?.status, before.at(-1)?.waitingFor], ["waiting", "approval"])
      assert.strictEqual(ran, 0)
      const record = yield* recordOf("r")
      assert.isNull(record.due)
      assert.isNull(record.lease)
      const poll = yield* Agent.poll(analyst, { runId: "r" })
      assert.deepStrictEqual([poll.status, poll.pending?.[0]?.approvalId], ["waiting", "r:0:call_1"])
      yield* Agent.approve(analyst, { runId: "r", approvalId: "r:0:call_1", by: "alice" })
      yield* Agent.approve(analyst, { runId: "r", approvalId: "r:0:call_1", by: "bob" })
      const error = yield* Effect.flip(Agent.reject(analyst, { runId: "r", callId: "call_1", reason: "no" }))
      assert.strictEqual(error.reason._tag === "AlreadyAnswered" ? error.reason.by : error.reason._tag, "alice")
      assert.isNotNull((yield* recordOf("r")).due)
      const after = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(ran, 1)
      assert.strictEqual(after.at(-1)?.status, "completed")
      assert.isTrue(Option.isNone(Option.none()))
    }).pipe(
      Effect.provide(
        over(
          (request) =>
            turnOf(request) === 0 ? [call("sales", { month: "10" }), completed] : [text("done"), completed],
          () => Effect.sync(() => ({ sold: ++ran })),
          () => Effect.succeed(ToolPolicy.ask())
        )
      )
    )
  })

  it.effect("a handler that dies ends the run as failed, and is told as a defect", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(passing(Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId: "r" }))))
      assert.instanceOf(error.reason, AgentError.ToolDefect)
      assert.strictEqual((yield* stateOf("r")).ended?.status, "failed")
      const again = yield* Effect.flip(passing(Stream.runDrain(Agent.resume(analyst, { runId: "r" }))))
      assert.instanceOf(again.reason, AgentError.ToolDefect)
    }).pipe(Effect.provide(over([call("sales", { month: "10" }), completed], () => Effect.die(new Error("broken")))))
  )

  it.effect("a handler answers later", () =>
    Effect.gen(function* () {
      const before = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
      assert.deepStrictEqual([before.at(-1)?.status, before.at(-1)?.waitingFor], ["waiting", "deferred"])
      const state = yield* stateOf("r")
      assert.isDefined(state.turns[0]?.calls[0]?.deferred)
      yield* Agent.completeTool(analyst, { runId: "r", callId: "call_1", tool: "sales", result: { sold: 7 } })
      const after = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(textOf(after), "done")
      assert.strictEqual(RunState.winners(yield* stateOf("r")).length, 2)
    }).pipe(
      Effect.provide(
        over(
          (request) =>
            turnOf(request) === 0 ? [call("sales", { month: "10" }), completed] : [text("done"), completed],
          () => ToolCall.later()
        )
      )
    )
  )
})
