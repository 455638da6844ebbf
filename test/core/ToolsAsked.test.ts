// Whether a call may run: what tools and policies are asked, how often, and what counts if they cannot say.
import { Agent, type RunRecord, TokenStore, ToolPolicy } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { stateOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { passing } from "../support/time.ts"
import { errorOf, input, oneCall } from "../support/toolCases.ts"
import { analyst, analystWith, Handled, told, turns, world } from "../support/tools.ts"

const { call, completed, text } = ScriptedModel
const memory = TokenStore.layerMemory

describe("a policy", () => {
  const away: ReadonlyArray<readonly [string, ToolPolicy.ToolPolicy]> = [
    ["fails", () => Effect.fail("away")],
    ["dies", () => Effect.die("away")],
    ["interrupts itself", () => Effect.interrupt],
    ["answers nothing that it may", () => Effect.succeed(undefined as never)],
    [
      "throws",
      () => {
        throw new Error("away")
      }
    ]
  ]
  it.effect.each(away)("that %s asks a person, also about a tool that needs no approval", ([, policy]) =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.deepStrictEqual(told(updates).slice(2), ["asks r:0:call_1", "waits approval"])
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(Effect.provide(world(memory, oneCall(), { policy })))
  )

  it.effect("says how long a call waits for approval, above all what the agent says of its tools", () => {
    const timed = analystWith({ tools: { order: { approvalTime: "1 hour" } } })
    return Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(timed, input)))
      const { asked } = (yield* stateOf("r")).turns[0]!.calls[0]!
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      assert.isAtMost(asked!.until! - now, Duration.toMillis("2 minutes"))
    }).pipe(
      Effect.provide(
        world(memory, oneCall("order"), {
          agent: timed,
          policy: () => Effect.succeed(ToolPolicy.ask({ time: "2 minutes" }))
        })
      )
    )
  })

  it.effect("is asked once, also if a fact of others comes before its answer is recorded", () => {
    let asked = 0
    let raised = 0
    const crowded = changing(memory, (inner) => ({
      commit: (lease, commit) => {
        const answer = commit.facts?.find(({ _tag }) => _tag === "Allowed")
        if (answer === undefined || raised > 0) return inner.commit(lease, commit)
        const { incarnation } = answer
        const fact: RunRecord.NewFact = {
          _tag: "LimitsRaised",
          incarnation,
          by: "outside",
          limits: { turns: 100 + ++raised }
        }
        return Effect.andThen(Effect.ignore(inner.record(lease.runId, fact, 0)), inner.commit(lease, commit))
      }
    }))
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.strictEqual(updates.at(-1)?.status, "completed")
      assert.deepStrictEqual([raised, asked], [1, 1])
    }).pipe(
      Effect.provide(
        world(crowded, oneCall(), {
          policy: () =>
            Effect.sync(() => {
              asked++
              return ToolPolicy.allow
            })
        })
      )
    )
  })
})

describe("a tool that says itself which calls need approval", () => {
  const seen: Array<unknown> = []
  const pay = Tool.make("pay", {
    parameters: Schema.Struct({ sum: Schema.FiniteFromString }),
    success: Schema.Finite,
    failureMode: "return",
    needsApproval: ({ sum }) => {
      seen.push(sum)
      if (sum === 13) throw new Error("no idea")
      if (sum === 15) return "no" as never
      return sum === 14 ? Effect.die("no idea") : sum > 100
    }
  })
  const toolkit = Toolkit.make(pay)
  const payer = Agent.make("payer", { background: true, toolkit })
  const paid: Array<number> = []
  const handlers = Agent.toLayer(payer, toolkit.toLayer({ pay: ({ sum }) => Effect.sync(() => (paid.push(sum), sum)) }))
  const paying = (sum: string) =>
    Effect.gen(function* () {
      seen.length = 0
      paid.length = 0
      return told(yield* passing(Stream.runCollect(Agent.stream(payer, input)))).slice(2)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("pay", { sum }), completed], [text("done"), completed])),
          memory,
          handlers
        )
      )
    )

  it.effect("gets the decoded parameters", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* paying("5"), ["result call_1 5", "finish completed"])
      assert.deepStrictEqual([seen, paid], [[5], [5]])
      assert.deepStrictEqual(yield* paying("500"), ["asks r:0:call_1", "waits approval"])
      assert.deepStrictEqual([seen, paid], [[500], []])
    })
  )

  it.effect.each(["13", "14", "15"])("and cannot say: %s waits for a person", (sum) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* paying(sum), ["asks r:0:call_1", "waits approval"])
      assert.lengthOf(paid, 0)
    })
  )

  it.effect("is not asked about parameters that do not decode: they are a failure at once", () =>
    Effect.gen(function* () {
      const [result, finish] = yield* paying("much")
      assert.match(result!, /^failure call_1 /)
      assert.strictEqual(finish, "finish completed")
      assert.deepStrictEqual([seen, paid], [[], []])
    })
  )
})

describe("a call that was not started yet", () => {
  it.effect("takes no result", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
      const answer = { runId: "r", callId: "call_1", tool: "order", result: { sold: 1 } } as const
      const { reason } = yield* errorOf(Agent.completeTool(analyst, answer))
      assert.strictEqual(reason._tag, "ToolNotFound")
      yield* Agent.reject(analyst, { runId: "r", callId: "call_1", reason: "no" })
      const late = yield* errorOf(Agent.completeTool(analyst, answer))
      assert.strictEqual(late.reason._tag, "AlreadyAnswered")
      assert.isUndefined((yield* stateOf("r")).turns[0]?.calls[0]?.result)
    }).pipe(Effect.provide(world(memory, oneCall("order"))))
  )
})
