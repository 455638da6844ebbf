// Runs of many turns: what holds of one response holds of all of them together.
import { Agent, type BackgroundModel, RunState, Run, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { inPieces, joined } from "../support/pieces.ts"
import { plain, recordOf, stateOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"
import { answer, answering, lookup, ownCalls, planner, thenTurn } from "../support/turns.ts"

const { call, completed, disconnect, failed, incomplete, pause, text, whole: wholeText } = ScriptedModel

type Script = ReadonlyArray<ScriptedModel.Step>

const Piece = Schema.Literals(["a", "bc", "é", "pause", "cut", "end"])
const Pieces = Schema.Array(Piece).check(Schema.isMaxLength(8))
const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))).check(Schema.isMaxLength(4))
const End = Schema.Literals(["completed", "incomplete", "failed"])

const stepsOf = (pieces: typeof Pieces.Type): Script =>
  pieces.map((piece, i) => {
    if (piece === "pause") return pause("300 millis")
    if (piece === "cut") return disconnect
    // A text that only its end says.
    return piece === "end" ? wholeText("said at its end", i + 1) : text(piece)
  })

const ends = { completed, incomplete: incomplete(), failed: failed("out of order") }

const over = (
  script: Script | ((request: BackgroundModel.ModelRequest) => Script),
  store: Layer.Layer<TokenStore.TokenStore>,
  options: ScriptedModel.Options = {}
) => Layer.mergeAll(ScriptedModel.layer(script, options), store, ownCalls)

describe.each(stores)("the prefix law for two turns, over the $name store", ({ layer, name }) => {
  law(
    "whole.slice(0, k) ++ resume(token k) = whole, across turns",
    [Pieces, Pieces, End, Cuts, Schema.Literals(["id", "token"])],
    ([first, second, end, cuts, by]) =>
      Effect.gen(function* () {
        const whole = yield* inPieces(planner, "whole", [], "id")
        const read = yield* inPieces(planner, "cut", cuts, by)
        // Each turn that ends has one, also one that failed.
        assert.strictEqual(whole.filter(({ part }) => part?.type === "finish").length, 2)
        if (read.some(({ origin }) => origin === "snapshot")) assert.deepStrictEqual(joined(read), joined(whole))
        else assert.deepStrictEqual(plain(read), plain(whole))
        const state = yield* stateOf("cut")
        assert.strictEqual(state.ended?.status, end)
        assert.isTrue(state.delivered)
        assert.strictEqual(RunState.winners(state).length, 2)
      }).pipe(Effect.provide(over(thenTurn(stepsOf(first), [...stepsOf(second), ends[end]]), answering(layer)))),
    { arbitrary: { runs: name === "memory" ? 150 : 20 }, timeout: 120_000 }
  )

  law(
    "the same where no replay comes, and looks fill in",
    [Pieces, Pieces, End, Cuts, Schema.Literals(["id", "token"])],
    ([first, second, end, cuts, by]) => {
      const script = thenTurn(stepsOf(first), [...stepsOf(second), ends[end]])
      return Effect.gen(function* () {
        const whole = yield* inPieces(planner, "whole", [], "id").pipe(Effect.provide(over(script, answering(layer))))
        const read = yield* inPieces(planner, "cut", cuts, by).pipe(
          Effect.provide(over(script, answering(layer), { replayFor: 0 }))
        )
        assert.deepStrictEqual(joined(read), joined(whole))
      })
    },
    { arbitrary: { runs: name === "memory" ? 100 : 15 }, timeout: 120_000 }
  )
})

describe.each(stores)("a run that waits for the answer to a call, over the $name store", ({ layer }) => {
  const script = thenTurn([text("looking")], [text("three"), completed])

  it.effect("ends its stream with an update that says so, and goes on once the answer is there", () =>
    Effect.gen(function* () {
      const before = yield* passing(Stream.runCollect(Agent.stream(planner, { input: "Hello", runId: "r" })))
      const last = before.at(-1)!
      assert.strictEqual(last.status, "waiting")
      assert.strictEqual(last.waitingFor, "deferred")
      assert.isTrue(Option.isSome(last.continuationToken))
      const finish = before.find(({ part }) => part?.type === "finish")
      assert.strictEqual(finish?.status, "in_progress")
      const waiting = yield* recordOf("r")
      assert.isNull(waiting.due, "a run that waits for a fact only is no work")
      assert.isNull(waiting.parked)

      const poll = yield* Agent.poll(planner, { runId: "r" })
      assert.deepStrictEqual([poll.status, poll.waitingFor], ["waiting", "deferred"])
      assert.isTrue(Option.isSome(poll.continuationToken))
      for (const verb of [Agent.result(planner, { runId: "r" }), Agent.run(planner, { input: "Hello", runId: "r" })]) {
        const error = yield* passing(Effect.flip(verb))
        assert.strictEqual(error.reason._tag, "RunWaiting")
      }

      const store = yield* TokenStore.TokenStore
      yield* store.record(Run.RunId.make("r"), answer(waiting.incarnation, 0, "call_1"), 0)
      assert.isNotNull((yield* recordOf("r")).due, "an answer makes it work")
      const after = yield* passing(
        Stream.runCollect(Agent.resume(planner, { continuationToken: Option.getOrThrow(last.continuationToken) }))
      )
      assert.strictEqual(textOf([...before, ...after]), "lookingthree")
      assert.strictEqual(after.at(-1)?.status, "completed")
      assert.isNull((yield* recordOf("r")).due)

      const { ledger } = yield* ScriptedModel.ScriptedModel
      const created = (yield* ledger).filter(({ operation }) => operation === "create")
      assert.strictEqual(created.length, 2)
      const request = created[1]!.request!
      assert.strictEqual(request.previousResponseId, "resp_1")
      assert.deepStrictEqual(
        request.prompt.content
          .flatMap((message) => (message.role === "tool" ? message.content : []))
          .map((part) => (part.type === "tool-result" ? [part.id, part.name, part.result, part.isFailure] : [])),
        [["call_1", lookup, { sold: 3 }, false]]
      )
    }).pipe(Effect.provide(over(script, layer)))
  )

  it.effect("ends as cancelled if somebody cancels it, and its call is answered to nobody", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(planner, { input: "Hello", runId: "r" })))
      const { status } = yield* passing(Agent.cancel(planner, { runId: "r" }))
      assert.strictEqual(status, "cancelled")
      const store = yield* TokenStore.TokenStore
      const { incarnation } = yield* recordOf("r")
      yield* store.record(Run.RunId.make("r"), answer(incarnation, 0, "call_1"), 0)
      const error = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(planner, { runId: "r" }))))
      assert.strictEqual(error.reason._tag, "RunCancelled")
      const { ledger } = yield* ScriptedModel.ScriptedModel
      assert.strictEqual((yield* ledger).filter(({ operation }) => operation === "create").length, 1)
    }).pipe(Effect.provide(over(script, layer)))
  )

  it.effect("is retried from the turn that failed: the turns before it stay", () =>
    Effect.gen(function* () {
      const first = yield* passing(Effect.flip(Stream.runDrain(Agent.stream(planner, { input: "Hello", runId: "r" }))))
      assert.strictEqual(first.reason._tag, "RunFailed")
      const again = yield* passing(Agent.retry(planner, { runId: "r" }))
      assert.isTrue(Option.isSome(again.continuationToken))
      const updates = yield* passing(Stream.runCollect(Agent.resume(planner, { runId: "r" })))
      assert.strictEqual(textOf(updates), "well")
      assert.isTrue(updates[0]?.retried)
      assert.isTrue(updates.slice(1).every(({ retried }) => retried === undefined))
      const state = yield* stateOf("r")
      assert.strictEqual(state.ended?.status, "completed")
      assert.deepStrictEqual(
        RunState.winners(state).map(({ responseId }) => responseId),
        ["resp_1", "resp_3"]
      )
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.sync(() => {
            let second = 0
            return over(
              (request) =>
                request.previousResponseId === undefined
                  ? [text("looking"), call(lookup, {}), completed]
                  : second++ === 0
                    ? [failed("out of order")]
                    : [text("well"), completed],
              answering(layer)
            )
          })
        )
      )
    )
  )
})

describe("what others see of a run of two turns", () => {
  it.effect("a viewer and the whole answer tell both turns", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(planner, { input: "Hello", runId: "r" })))
      const watched = yield* passing(Stream.runCollect(Agent.watch(planner, { runId: "r" })))
      assert.strictEqual(textOf(watched), "lookingthree")
      assert.strictEqual(watched.at(-1)?.status, "completed")
      assert.isTrue(Option.isNone(watched.at(-1)!.continuationToken))
      const { session, status } = yield* Agent.result(planner, { runId: "r" })
      assert.strictEqual(status, "completed")
      assert.strictEqual(session.previousResponseId, "resp_2")
    }).pipe(
      Effect.provide(over(thenTurn([text("looking")], [text("three"), completed]), answering(TokenStore.layerMemory)))
    )
  )

  it.effect("calls that the caller runs end the run: the finish reason says so", () =>
    Effect.gen(function* () {
      const { finishReason, status } = yield* passing(Agent.run(planner, { input: "Hello", runId: "r" }))
      assert.strictEqual(status, "completed")
      assert.deepStrictEqual(finishReason, Option.some("tool-calls" as const))
    }).pipe(Effect.provide(over([text("a"), call("other", {}), completed], TokenStore.layerMemory)))
  )
})
