// The prefix law for runs with tools: wherever a consumer stops, what it gets then and later is the whole.
import { Agent, RunState } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { inPieces, joined } from "../support/pieces.ts"
import { plain, stateOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"
import { analyst, Handled, told, turns, world } from "../support/tools.ts"

const { call, completed, disconnect, incomplete, pause, text, using } = ScriptedModel

const three = () =>
  turns(
    [
      text("Let me "),
      pause("300 millis"),
      text("see."),
      call("sales", { month: "1" }),
      call("sales", { month: "2" }),
      using(completed, { input: 1, output: 10 })
    ],
    [disconnect, text("More."), call("sales", { month: "3" }), using(completed, { input: 2, output: 20 })],
    [text("Sold "), pause("300 millis"), text("3."), using(completed, { input: 4, output: 40 })]
  )

// Handlers that take their time end in another order than they began.
const slow = ({ month }: { readonly month: string }) =>
  Effect.as(Effect.sleep(month === "1" ? "400 millis" : "100 millis"), { sold: Number(month) })

const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))).check(Schema.isMaxLength(4))

describe.each(stores)("a run of three turns, over the $name store", ({ layer, name }) => {
  const inWorld = (model: ScriptedModel.Options = {}) => world(layer, three(), { answer: slow, model })

  it.effect(
    "cut at every update, and resumed by its id or by the token, is the uncut run",
    () =>
      Effect.gen(function* () {
        const whole = yield* inPieces(analyst, "whole", [], "id")
        assert.deepStrictEqual(told(whole), [
          "call call_1",
          "call call_2",
          "finish in_progress",
          'result call_2 {"sold":2}',
          'result call_1 {"sold":1}',
          "call call_1",
          "finish in_progress",
          'result call_1 {"sold":3}',
          "finish completed"
        ])
        for (const by of ["id", "token"] as const) {
          for (let cut = 0; cut < whole.length; cut++) {
            const read = yield* inPieces(analyst, `${by} ${cut}`, [cut], by)
            assert.deepStrictEqual(plain(read), plain(whole), `cut after ${cut} updates, resumed by ${by}`)
          }
        }
        const { started } = yield* Handled
        const each = new Set(started.map(({ idempotencyKey }) => idempotencyKey))
        assert.strictEqual(started.length, each.size, "no call runs twice if nobody dies")
      }).pipe(Effect.provide(inWorld())),
    120_000
  )

  law(
    "cut anywhere, again and again, it is the whole",
    [Cuts, Schema.Literals(["id", "token"]), Schema.Boolean],
    ([cuts, by, polled]) =>
      Effect.gen(function* () {
        const whole = yield* inPieces(analyst, "whole", [], "id")
        const read = yield* inPieces(analyst, "cut", cuts, by)
        if (polled) assert.deepStrictEqual(joined(read), joined(whole))
        else assert.deepStrictEqual(plain(read), plain(whole))
        const state = yield* stateOf("cut")
        assert.strictEqual(state.ended?.status, "completed")
        assert.strictEqual(RunState.winners(state).length, 3)
        assert.strictEqual(state.turns.flatMap(({ calls }) => calls).filter(({ starts }) => starts === 1).length, 3)
      }).pipe(Effect.provide(inWorld(polled ? { replayFor: 0 } : {}))),
    { arbitrary: { runs: name === "memory" ? 60 : 15 }, timeout: 120_000 }
  )

  it.effect(
    "an early token is a view: it tells the results again, and runs nothing",
    () =>
      Effect.gen(function* () {
        const whole = yield* inPieces(analyst, "r", [], "id")
        const { started } = yield* Handled
        const before = started.length
        for (const update of whole.slice(0, -1)) {
          const from = Option.getOrThrow(update.continuationToken)
          const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { continuationToken: from })))
          assert.deepStrictEqual(plain(rest), plain(whole.slice(whole.indexOf(update) + 1)))
        }
        assert.strictEqual(started.length, before)
      }).pipe(Effect.provide(inWorld())),
    60_000
  )

  it.effect(
    "a viewer sees what the consumer sees",
    () =>
      Effect.gen(function* () {
        const whole = yield* inPieces(analyst, "r", [], "id")
        const watched = yield* passing(Stream.runCollect(Agent.watch(analyst, { runId: "r" })))
        assert.deepStrictEqual(told(watched), told(whole))
      }).pipe(Effect.provide(inWorld())),
    60_000
  )

  it.effect("polled from outside, its answer is that of a stream", () =>
    Effect.gen(function* () {
      const streamed = yield* passing(Agent.run(analyst, { input: "Hello", runId: "r" }))
      const polled = yield* Agent.poll(analyst, { runId: "r" })
      const result = yield* passing(Agent.result(analyst, { runId: "r" }))
      for (const other of [polled, result]) {
        assert.deepStrictEqual(
          [other.text, other.status, other.usage, other.finishReason],
          [streamed.text, streamed.status, streamed.usage, streamed.finishReason]
        )
        assert.deepStrictEqual(
          other.content.map((part) => [part.type, "id" in part ? part.id : undefined]),
          streamed.content.map((part) => [part.type, "id" in part ? part.id : undefined])
        )
      }
      assert.strictEqual(streamed.text, "Sold 3.")
      const { inputTokens, outputTokens } = Option.getOrThrow(streamed.usage)
      assert.deepStrictEqual([inputTokens.total, outputTokens.total], [7, 70])
      assert.deepStrictEqual(
        streamed.content.map(({ type }) => type),
        ["tool-call", "tool-call", "tool-result", "tool-result", "tool-call", "tool-result", "text"]
      )
    }).pipe(Effect.provide(inWorld()))
  )
})

describe("a response that does not complete", () => {
  it.effect("runs no call, whatever it asked for", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
      assert.strictEqual(updates.at(-1)?.status, "incomplete")
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(Effect.provide(world(stores[0]!.layer, turns([call("sales", { month: "1" }), incomplete()]))))
  )
})
