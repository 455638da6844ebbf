// Scenarios of tool calls, by the names under which others know them.
import { Agent, AgentError, type AgentUpdate, RunPolicy, Runs } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import { recordOf, stateOf } from "./runs.ts"
import { passing } from "./time.ts"
import { type Case, errorOf, input, oneCall, resumed, streamed, untilStarted } from "./toolCases.ts"
import { analyst, analystWith, Handled, told, turns, world } from "./tools.ts"

const { call, completed, disconnect, pause, text } = ScriptedModel

/** Registers these scenarios for each case. */
export const callScenarios = (cases: ReadonlyArray<Case>): void =>
  describe.each(cases)("a run whose tools are called, $way, over the $name store", ({ layer, model }) => {
    it.effect("function tool: handler called once", () =>
      Effect.gen(function* () {
        const updates = yield* streamed()
        assert.deepStrictEqual(told(updates), [
          "call call_1",
          "finish in_progress",
          'result call_1 {"sold":3}',
          "finish completed"
        ])
        assert.deepStrictEqual(
          (yield* Handled).started.map(({ attempt, idempotencyKey, month }) => [attempt, idempotencyKey, month]),
          [[1, "r:0:call_1", "1"]]
        )
        const { ledger } = yield* ScriptedModel.ScriptedModel
        const [first, second] = (yield* ledger).flatMap(({ request }) => (request === undefined ? [] : [request]))
        assert.deepStrictEqual(
          first?.tools?.map(({ name }) => name),
          ["sales", "refund", "order"]
        )
        assert.strictEqual(second?.previousResponseId, "resp_1")
        assert.deepStrictEqual(
          second?.prompt.content
            .flatMap((message) => (message.role === "tool" ? message.content : []))
            .map((part) => (part.type === "tool-result" ? [part.id, part.name, part.result, part.isFailure] : [])),
          [["call_1", "sales", { sold: 3 }, false]]
        )
      }).pipe(Effect.provide(world(layer, oneCall(), { model })))
    )

    it.effect("cut right after a function-call item", () =>
      Effect.gen(function* () {
        const isCall = ({ part }: AgentUpdate.AgentUpdate) => part?.type === "tool-call"
        yield* passing(Stream.runDrain(Stream.takeUntil(Agent.stream(analyst, input), isCall)))
        // A run with a log goes on beside its consumer.
        const isLogged = (yield* recordOf("r")).logged === true
        if (!isLogged) assert.lengthOf((yield* Handled).started, 0, "no handler starts before the response has ended")
        assert.deepStrictEqual(told(yield* resumed()).at(-1), "finish completed")
        assert.lengthOf((yield* Handled).started, 1)
      }).pipe(Effect.provide(world(layer, oneCall(), { model })))
    )

    it.effect("cut during a tool: the handler gets closeTimeout to end, and its result is kept", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
        yield* untilStarted(1)
        yield* passing(Fiber.interrupt(fiber))
        const state = yield* stateOf("r")
        assert.deepStrictEqual(state.turns[0]?.calls[0]?.result?.result, { sold: 3 })
        yield* resumed()
        assert.lengthOf((yield* Handled).started, 1)
      }).pipe(
        Effect.provide(
          world(layer, oneCall(), { model, answer: () => Effect.as(Effect.sleep("2 seconds"), { sold: 3 }) })
        )
      )
    )

    it.effect("cut during a tool that takes longer: it runs again, with the same key and the next attempt", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
        yield* untilStarted(1)
        yield* passing(Fiber.interrupt(fiber))
        assert.isUndefined((yield* stateOf("r")).turns[0]?.calls[0]?.result)
        yield* resumed()
        const { started } = yield* Handled
        assert.deepStrictEqual(
          started.map(({ attempt, idempotencyKey }) => [attempt, idempotencyKey]),
          [
            [1, "r:0:call_1"],
            [2, "r:0:call_1"]
          ]
        )
      }).pipe(
        Effect.provide(
          world(layer, oneCall(), { model, answer: () => Effect.as(Effect.sleep("1 minute"), { sold: 3 }) })
        )
      )
    )

    it.effect("cancel while a handler runs: it is interrupted, and the run ends as cancelled", () => {
      let interrupted = 0
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.exit(Stream.runDrain(Agent.stream(analyst, input))))
        yield* untilStarted(1)
        yield* passing(Agent.cancel(analyst, { runId: "r" }))
        const exit = yield* passing(Fiber.join(fiber))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(interrupted, 1)
        const state = yield* stateOf("r")
        assert.strictEqual(state.ended?.status, "cancelled")
        assert.lengthOf(state.turns, 1)
        const again = yield* errorOf(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
        assert.instanceOf(again.reason, AgentError.RunCancelled)
      }).pipe(
        Effect.provide(
          world(layer, oneCall(), {
            model,
            answer: () =>
              Effect.onInterrupt(Effect.as(Effect.sleep("1 minute"), { sold: 3 }), () =>
                Effect.sync(() => void interrupted++)
              )
          })
        )
      )
    })

    it.effect("cancel between two tool turns: no further turn is opened", () =>
      Effect.gen(function* () {
        const results: Array<string> = []
        const exit = yield* passing(
          Effect.exit(
            Stream.runForEach(Agent.stream(analyst, input), (update) =>
              Effect.gen(function* () {
                results.push(...told([update]))
                if (update.part?.type === "tool-result") yield* Agent.cancel(analyst, { runId: "r", wait: false })
              })
            )
          )
        )
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual((yield* stateOf("r")).ended?.status, "cancelled")
      }).pipe(
        Effect.provide(
          world(
            layer,
            turns(
              [call("sales", { month: "1" }), completed],
              [pause("1 second"), call("sales", { month: "2" }), completed],
              [text("never"), completed]
            ),
            { model }
          )
        )
      )
    )

    it.effect(
      "a typed failure of a tool whose failures end the run: its siblings end first, and the error has its type",
      () =>
        Effect.gen(function* () {
          const error = yield* errorOf(Stream.runDrain(Agent.stream(analyst, input)))
          assert.isTrue(error.reason._tag === "ToolFailed")
          if (error.reason._tag !== "ToolFailed") return
          assert.deepStrictEqual([error.reason.tool, error.reason.error], ["refund", { why: "closed" }])
          const state = yield* stateOf("r")
          assert.strictEqual(state.ended?.status, "failed")
          assert.isDefined(state.turns[0]?.calls.find(({ name }) => name === "sales")?.result)
          const again = yield* errorOf(Agent.result(analyst, { runId: "r" }))
          assert.deepStrictEqual(again.reason, error.reason)
        }).pipe(
          Effect.provide(
            world(layer, turns([call("refund", { month: "1" }), call("sales", { month: "1" }), completed]), {
              model,
              answer: () => Effect.as(Effect.sleep("1 second"), { sold: 3 }),
              fail: ({ tool }) => (tool === "refund" ? { why: "closed" } : undefined)
            })
          )
        )
    )

    it.effect("a typed failure of a tool that tells the model goes on", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(told(yield* streamed()).slice(2), ['failure call_1 "closed"', "finish completed"])
      }).pipe(Effect.provide(world(layer, oneCall(), { model, fail: () => "closed" })))
    )

    it.effect("parameters that do not fit go to the tool's failure mode, and no handler runs", () =>
      Effect.gen(function* () {
        const updates = yield* streamed()
        assert.match(told(updates)[2]!, /^failure call_1 .*AiError/)
        assert.strictEqual(told(updates).at(-1), "finish completed")
        assert.lengthOf((yield* Handled).started, 0)
      }).pipe(
        Effect.provide(
          world(layer, turns([call("sales", { moon: 1 }), completed], [text("sorry"), completed]), { model })
        )
      )
    )

    it.effect("a result that is too large is a failure of the tool", () =>
      Effect.gen(function* () {
        const updates = yield* streamed()
        assert.match(told(updates)[2]!, /^failure call_1 .*RunPolicy.maxToolResult/)
      }).pipe(Effect.provide(RunPolicy.layer({ maxToolResult: 5 })), Effect.provide(world(layer, oneCall(), { model })))
    )

    it.effect("a tool that takes longer than its time limit is interrupted, and the model is told", () => {
      const timed = analystWith({ tools: { sales: { timeLimit: "10 seconds" } } })
      return Effect.gen(function* () {
        const updates = yield* passing(Stream.runCollect(Agent.stream(timed, input)))
        assert.match(told(updates)[2]!, /^failure call_1 .*execution-interrupted.*10s/)
      }).pipe(
        Effect.provide(
          world(layer, oneCall(), {
            model,
            agent: timed,
            answer: () => Effect.as(Effect.sleep("1 minute"), { sold: 3 })
          })
        )
      )
    })

    it.effect("a handler that is missing parks the run, and the next deploy goes on", () =>
      Effect.gen(function* () {
        const without = Layer.mergeAll(ScriptedModel.layer(oneCall(), model))
        const { reason } = yield* passing(
          Effect.flip(
            Stream.runDrain(Agent.stream(analyst, input) as Stream.Stream<never, AgentError.AgentError, never>)
          )
        ).pipe(Effect.provide(without))
        assert.isTrue(reason._tag === "ToolMissing" && reason.tool === "sales")
        assert.isNotNull((yield* recordOf("r")).parked)
        yield* Runs.retry("r")
      }).pipe(Effect.provide(layer))
    )

    it.effect("a call of a tool that the agent does not have, beside one that it has, is told to the model", () =>
      Effect.gen(function* () {
        yield* streamed()
        const { ledger } = yield* ScriptedModel.ScriptedModel
        const second = (yield* ledger).find(({ request }) => request?.previousResponseId !== undefined)!.request!
        const parts = second.prompt.content.flatMap((message) => (message.role === "tool" ? message.content : []))
        assert.deepStrictEqual(
          parts.map((part) => (part.type === "tool-result" ? [part.name, part.isFailure] : [])),
          [
            ["sales", false],
            ["moon", true]
          ]
        )
      }).pipe(
        Effect.provide(
          world(layer, turns([call("sales", { month: "1" }), call("moon", {}), completed], [text("done"), completed]), {
            model
          })
        )
      )
    )

    it.effect("a defect in a handler is a failed run, never a dead worker", () =>
      Effect.gen(function* () {
        const { reason } = yield* errorOf(Stream.runDrain(Agent.stream(analyst, input)))
        assert.isTrue(reason._tag === "ToolDefect" && reason.description.includes("broken"))
      }).pipe(Effect.provide(world(layer, oneCall(), { model, answer: () => Effect.die(new Error("broken")) })))
    )

    it.effect("a connection that breaks beside a tool call brings the call once", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(
          told(yield* streamed()).filter((line) => line.startsWith("call")),
          ["call call_1"]
        )
        assert.lengthOf((yield* Handled).started, 1)
      }).pipe(
        Effect.provide(
          world(
            layer,
            turns(
              [text("a"), disconnect, call("sales", { month: "1" }), disconnect, completed],
              [text("done"), completed]
            ),
            { model }
          )
        )
      )
    )
  })
