// Scenarios of approvals, results that come later, and limits.
import { Agent, AgentError, Runs, TokenStore, ToolCall, ToolPolicy } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { recordOf, stateOf } from "./runs.ts"
import { elapse, passing } from "./time.ts"
import { type Case, errorOf, input, oneCall, resumed, streamed } from "./toolCases.ts"
import { analyst, analystWith, Handled, told, turns, world } from "./tools.ts"

const { call, completed, pause, text, using } = ScriptedModel

/** Registers these scenarios for each case. */
export const answerScenarios = (cases: ReadonlyArray<Case>): void =>
  describe.each(cases)("a run that waits for its caller, $way, over the $name store", ({ layer, model }) => {
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
      const timed = analystWith({ tools: { order: { approvalTime: "1 hour" } } })
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
          world(layer, oneCall(), {
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
      }).pipe(Effect.provide(world(layer, oneCall(), { model, answer: () => ToolCall.later({ expires: "2 hours" }) })))
    )

    it.effect.each(["turns", "toolCalls", "tokens", "time", "cost"] as const)(
      "a run that reaches its limit of %s waits with a token, and goes on after it was raised",
      (limit) => {
        const limits = { turns: 1, toolCalls: 0, tokens: 10, time: 0, cost: 5 } as const
        const limited = analystWith({ limits: { [limit]: limits[limit] }, cost: () => 5 })
        return Effect.gen(function* () {
          const before = yield* passing(Stream.runCollect(Agent.stream(limited, input)))
          const last = before.at(-1)!
          assert.deepStrictEqual([last.status, last.waitingFor, last.limit], ["waiting", "limit", limit])
          assert.strictEqual(last.continuationToken._tag, "Some")
          const { reason } = yield* errorOf(Agent.run(limited, input))
          assert.isTrue(reason._tag === "RunWaiting" && reason.limit === limit)
          yield* Agent.raise(
            limited,
            { runId: "r" },
            { turns: 9, toolCalls: 9, tokens: 9999, time: "1 hour", cost: 99 }
          )
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
  })
