// Scenarios of runs with tools, by the names under which others know them; streamed and polled.
import {
  Agent,
  AgentError,
  type AgentUpdate,
  RunPolicy,
  Runs,
  TokenStore,
  ToolCall,
  ToolPolicy
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { recordOf, stateOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { analyst, Handled, told, turns, world } from "../support/tools.ts"

const { call, completed, disconnect, pause, text, using } = ScriptedModel

const input = { input: "Hello", runId: "r" } as const
const one = () => turns([call("sales", { month: "1" }), completed], [text("Sold 3."), completed])
const streamed = () => passing(Stream.runCollect(Agent.stream(analyst, input)))
const resumed = () => passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
const errorOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => passing(Effect.flip(effect))

const ways = [
  ["streamed", {}],
  ["polled", { replayFor: 0, demands: () => ({ streamed: false }) }]
] as const satisfies ReadonlyArray<readonly [string, ScriptedModel.Options]>

const cases = stores.flatMap(({ layer, name }) => ways.map(([way, model]) => ({ name, way, layer, model })))

describe.each(cases)("a run with tools, $way, over the $name store", ({ layer, model }) => {
  it.effect("function tool: handler called once", () =>
    Effect.gen(function* () {
      const updates = yield* streamed()
      assert.deepStrictEqual(told(updates), [
        "call call_1",
        "finish in_progress",
        'result call_1 {"sold":3}',
        "finish completed"
      ])
      assert.lengthOf((yield* Handled).started, 1)
    }).pipe(Effect.provide(world(layer, one(), { model })))
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
    }).pipe(Effect.provide(world(layer, one(), { model })))
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
      Effect.provide(world(layer, one(), { model, answer: () => Effect.as(Effect.sleep("2 seconds"), { sold: 3 }) }))
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
      Effect.provide(world(layer, one(), { model, answer: () => Effect.as(Effect.sleep("1 minute"), { sold: 3 }) }))
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
        world(layer, one(), {
          model,
          answer: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
        })
      )
    )
  })

  it.effect("cancel while an approval waits", () =>
    Effect.gen(function* () {
      yield* streamed()
      const { status } = yield* passing(Agent.cancel(analyst, { runId: "r" }))
      assert.strictEqual(status, "cancelled")
      const late = yield* Effect.flip(Agent.approve(analyst, { runId: "r", callId: "call_1" }))
      assert.instanceOf(late.reason, AgentError.RunOver)
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(Effect.provide(world(layer, turns([call("order", { month: "1" }), completed]), { model })))
  )

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

  it.effect("two approvals of one call: the first counts, the contrary is refused", () =>
    Effect.gen(function* () {
      const before = yield* streamed()
      assert.deepStrictEqual(told(before), ["call call_1", "finish in_progress", "asks r:0:call_1", "waits approval"])
      const ref = { runId: "r", approvalId: "r:0:call_1" }
      yield* Agent.approve(analyst, { ...ref, by: "alice" })
      yield* Agent.approve(analyst, { ...ref, by: "bob" })
      const { reason } = yield* Effect.flip(Agent.reject(analyst, { ...ref, reason: "no", by: "carol" }))
      assert.isTrue(reason._tag === "AlreadyAnswered" && reason.by === "alice" && reason.answer === "approved")
      assert.deepStrictEqual(told(yield* resumed()), ['result call_1 {"sold":3}', "finish completed"])
      assert.lengthOf((yield* Handled).started, 1)
    }).pipe(
      Effect.provide(
        world(layer, turns([call("order", { month: "1" }), completed], [text("done"), completed]), { model })
      )
    )
  )

  it.effect("a rejected call does not run, and the model is told why", () =>
    Effect.gen(function* () {
      yield* streamed()
      yield* Agent.reject(analyst, { runId: "r", callId: "call_1", reason: "not paid" })
      assert.deepStrictEqual(told(yield* resumed()), [
        'failure call_1 {"type":"execution-denied","reason":"not paid"}',
        "finish completed"
      ])
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(
      Effect.provide(
        world(layer, turns([call("order", { month: "1" }), completed], [text("done"), completed]), { model })
      )
    )
  )

  it.effect("an approval past its time is a rejection, and the run goes on by itself", () => {
    const timed = Agent.make("analyst", {
      background: true,
      toolkit: analyst.toolkit!,
      tools: { order: { approvalTime: "1 hour" } }
    })
    return Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(timed, input)))
      const record = yield* recordOf("r")
      assert.isNotNull(record.due, "the run is due when its approval is too late")
      yield* elapse(Duration.toMillis("61 minutes"), 60_000)
      const updates = yield* passing(Stream.runCollect(Agent.resume(timed, { runId: "r" })))
      assert.deepStrictEqual(told(updates)[0], 'failure call_1 {"type":"execution-denied","reason":"expired"}')
      const late = yield* Effect.flip(Agent.approve(timed, { runId: "r", callId: "call_1" }))
      assert.include(["AlreadyAnswered", "RunOver"], late.reason._tag)
    }).pipe(
      Effect.provide(
        world(layer, turns([call("order", { month: "1" }), completed], [text("done"), completed]), {
          model,
          agent: timed
        })
      )
    )
  })

  it.effect("a deferred result before the deferral", () => {
    let outside: Effect.Effect<void> = Effect.void
    return Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      // The other system answers before the handler says that it will.
      outside = Effect.orDie(
        Effect.provideService(
          Agent.completeTool(analyst, { runId: "r", callId: "call_1", tool: "sales", result: { sold: 9 } }),
          TokenStore.TokenStore,
          store
        )
      )
      assert.strictEqual((yield* streamed()).at(-1)?.status, "completed")
      const [made] = (yield* stateOf("r")).turns[0]!.calls
      assert.deepStrictEqual(made?.result?.result, { sold: 9 })
      assert.lengthOf((yield* Handled).started, 1)
    }).pipe(
      Effect.provide(
        world(layer, one(), {
          model,
          answer: () =>
            Effect.andThen(
              Effect.suspend(() => outside),
              ToolCall.later()
            )
        })
      )
    )
  })

  it.effect("a result that comes later, in time or too late", () =>
    Effect.gen(function* () {
      const before = yield* streamed()
      assert.strictEqual(before.at(-1)?.waitingFor, "deferred")
      const early = yield* Effect.flip(
        Agent.completeTool(analyst, { runId: "r", callId: "call_9", tool: "sales", result: { sold: 1 } })
      )
      assert.instanceOf(early.reason, AgentError.ToolNotFound)
      yield* elapse(Duration.toMillis("3 hours"), 60_000)
      const after = yield* resumed()
      assert.match(told(after)[0]!, /^failure call_1 .*execution-interrupted/)
      assert.strictEqual(told(after).at(-1), "finish completed")
    }).pipe(Effect.provide(world(layer, one(), { model, answer: () => ToolCall.later({ expires: "2 hours" }) })))
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
    }).pipe(Effect.provide(world(layer, one(), { model, fail: () => "closed" })))
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
    }).pipe(Effect.provide(RunPolicy.layer({ maxToolResult: 5 })), Effect.provide(world(layer, one(), { model })))
  )

  it.effect("a tool that takes longer than its time limit is interrupted, and the model is told", () => {
    const timed = Agent.make("analyst", {
      background: true,
      toolkit: analyst.toolkit!,
      tools: { sales: { timeLimit: "10 seconds" } }
    })
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(timed, input)))
      assert.match(told(updates)[2]!, /^failure call_1 .*execution-interrupted.*10s/)
    }).pipe(Effect.provide(world(layer, one(), { model, agent: timed, answer: () => Effect.never })))
  })

  it.effect.each(["turns", "toolCalls", "tokens", "time", "cost"] as const)(
    "a run that reaches its limit of %s waits with a token, and goes on after it was raised",
    (limit) => {
      const limits = { turns: 1, toolCalls: 0, tokens: 10, time: "1 second", cost: 5 } as const
      const limited = Agent.make("analyst", {
        background: true,
        toolkit: analyst.toolkit!,
        limits: { [limit]: limits[limit] },
        cost: () => 5
      })
      return Effect.gen(function* () {
        const before = yield* passing(Stream.runCollect(Agent.stream(limited, input)))
        const last = before.at(-1)!
        assert.deepStrictEqual([last.status, last.waitingFor, last.limit], ["waiting", "limit", limit])
        assert.strictEqual(last.continuationToken._tag, "Some")
        const { reason } = yield* errorOf(Agent.run(limited, input))
        assert.isTrue(reason._tag === "RunWaiting" && reason.limit === limit)
        yield* Agent.raise(limited, { runId: "r" }, { turns: 9, toolCalls: 9, tokens: 9999, time: "1 hour", cost: 99 })
        const after = yield* passing(Stream.runCollect(Agent.resume(limited, { runId: "r" })))
        assert.strictEqual(after.at(-1)?.status, "completed")
      }).pipe(
        Effect.provide(
          world(
            layer,
            turns(
              [call("sales", { month: "1" }), pause("2 seconds"), using(completed, { input: 20, output: 5 })],
              [text("done"), completed]
            ),
            { model, agent: limited }
          )
        )
      )
    }
  )

  it.effect("a handler that is missing parks the run, and the next deploy goes on", () =>
    Effect.gen(function* () {
      const without = Layer.mergeAll(ScriptedModel.layer(one(), model))
      const { reason } = yield* passing(
        Effect.flip(Stream.runDrain(Agent.stream(analyst, input) as Stream.Stream<never, AgentError.AgentError, never>))
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
      const second = (yield* ledger).filter(({ request }) => request?.previousResponseId !== undefined)[0]!.request!
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

  it.effect("approval by a policy: it is asked once for each call, and fails closed", () => {
    const asked: Array<string> = []
    const policy: ToolPolicy.ToolPolicy = ({ callId, needsApproval, tool }) =>
      Effect.suspend(() => {
        asked.push(`${callId} ${tool} ${needsApproval}`)
        if (tool === "sales") return Effect.succeed(ToolPolicy.allow)
        return tool === "order" ? Effect.fail("the policy is away") : Effect.succeed(ToolPolicy.reject("never"))
      })
    return Effect.gen(function* () {
      const updates = yield* streamed()
      assert.deepStrictEqual(asked, ["call_1 sales false", "call_2 order true", "call_3 refund false"])
      assert.sameMembers(told(updates), [
        "call call_1",
        "call call_2",
        "call call_3",
        "finish in_progress",
        "asks r:0:call_2",
        'failure call_3 {"type":"execution-denied","reason":"never"}',
        'result call_1 {"sold":3}',
        "waits approval"
      ])
      yield* Agent.approve(analyst, { runId: "r", callId: "call_2" })
      yield* resumed()
      assert.lengthOf(asked, 3)
    }).pipe(
      Effect.provide(
        world(
          layer,
          turns(
            [call("sales", { month: "1" }), call("order", { month: "2" }), call("refund", { month: "3" }), completed],
            [text("done"), completed]
          ),
          { model, policy }
        )
      )
    )
  })

  it.effect("a run that waits for its caller is not taken by workers, and goes on with one after the answer", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const done = yield* Deferred.make<void>()
      const worker = Runs.worker([analyst], {
        concurrency: 2,
        claimEvery: "100 millis",
        startJitter: 0,
        handle: ({ updates }) =>
          Stream.runForEach(updates, (update) =>
            Effect.gen(function* () {
              seen.push(...told([update]))
              if (update.status === "completed") yield* Deferred.succeed(done, undefined)
            })
          )
      })
      yield* Agent.enqueue(analyst, input)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Layer.build(worker)
          const waits = Effect.map(recordOf("r"), ({ due, lease }) => due === null && lease === null)
          yield* passing(Effect.repeat(waits, { schedule: Schedule.spaced("100 millis"), until: (is) => is }))
          assert.strictEqual(seen.at(-1), "waits approval")
          assert.strictEqual((yield* recordOf("r")).attempts.length, 0, "to wait counts no attempt")
          yield* Agent.approve(analyst, { runId: "r", callId: "call_1" })
          yield* passing(Deferred.await(done))
        })
      )
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
    }).pipe(
      Effect.provide(
        world(layer, turns([call("order", { month: "1" }), completed], [text("done"), completed]), { model })
      )
    )
  )

  it.effect("a defect in a handler is a failed run, never a dead worker", () =>
    Effect.gen(function* () {
      const { reason } = yield* errorOf(Stream.runDrain(Agent.stream(analyst, input)))
      assert.isTrue(reason._tag === "ToolDefect" && reason.description.includes("broken"))
    }).pipe(Effect.provide(world(layer, one(), { model, answer: () => Effect.die(new Error("broken")) })))
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

const untilStarted = (count: number) =>
  passing(
    Effect.repeat(
      Effect.map(Handled, ({ started }) => started.length >= count),
      { schedule: Schedule.spaced("50 millis"), until: (is) => is }
    )
  )
