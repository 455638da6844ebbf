import { BackgroundModel, Run } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream } from "effect"
import { AiError, Prompt } from "effect/ai"
import { TestClock } from "effect/testing"

const { call, close, completed, fail, failed, incomplete, pause, says, showing, text, whole } = ScriptedModel

const request = { runId: Run.RunId.make("r"), agent: "a", prompt: Prompt.make("Hello"), background: true }
const error = AiError.make({ module: "Test", method: "test", reason: new AiError.RateLimitError({}) })

/** The events of a script, and what a look shows after them. */
const played = (script: ReadonlyArray<ScriptedModel.Step>, options: ScriptedModel.Options = {}) =>
  Effect.gen(function* () {
    const model = yield* BackgroundModel.BackgroundModel
    const events = yield* Stream.runCollect(model.create(request))
    const { snapshot } = yield* model.retrieve("resp_1")
    return { events, snapshot, terminal: events.at(-1)?.terminal }
  }).pipe(Effect.provide(ScriptedModel.layer(script, options), { local: true }))

const statementsOf = (script: ReadonlyArray<ScriptedModel.Step>) =>
  Effect.map(played(script), ({ events }) =>
    events.flatMap(({ statements }) => (statements.length === 0 ? [] : [statements]))
  )

const itemsOf = (script: ReadonlyArray<ScriptedModel.Step>) =>
  Effect.map(played(script), ({ snapshot }) => snapshot.items)

const textLane = (said: string) => ({ lane: 0, kind: "text", text: said }) as const
const textItem = (said: string) => ({ lanes: [textLane(said)], done: true })
const nothing = { lanes: [], done: true }

const callLane = (id: string, params: unknown = {}) =>
  ({
    lane: 1,
    kind: "single",
    part: { type: "tool-call", id, name: "lookup", params, providerExecuted: false }
  }) as const

describe("ScriptedModel", () => {
  // The sum of a fraction and what is left from there can fall short of the whole: it must not wait for that for ever.
  it.effect("plays on from wherever the clock stands between two milliseconds", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      const readers = [yield* Effect.forkChild(Effect.orDie(Stream.runCount(model.create(request))))]
      for (let i = 0; i < 200; i++) {
        yield* TestClock.adjust(Math.sin(i) + 1.1)
        readers.push(yield* Effect.forkChild(Effect.orDie(Stream.runCount(model.resume("resp_1", {})))))
      }
      const started = performance.now()
      yield* TestClock.adjust("2 seconds")
      const counts = yield* Effect.forEach(readers, Fiber.join)
      assert.isBelow(performance.now() - started, 900)
      assert.deepStrictEqual([...new Set(counts)], [6])
    }).pipe(Effect.provide(ScriptedModel.layer([text("a"), pause(1000), completed])))
  )

  it.effect("text is begun, said in deltas and ended", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* statementsOf([text("a"), text(["b", "c"]), completed]), [
        [
          { _tag: "ItemAdded", index: 0, lanes: [] },
          { _tag: "LaneStarted", index: 0, lane: textLane("") }
        ],
        [{ _tag: "Delta", index: 0, lane: 0, kind: "text", delta: "a" }],
        [
          { _tag: "Delta", index: 0, lane: 0, kind: "text", delta: "b" },
          { _tag: "Delta", index: 0, lane: 0, kind: "text", delta: "c" }
        ],
        [
          { _tag: "LaneEnded", index: 0, lane: 0, kind: "text", text: "abc" },
          { _tag: "ItemDone", index: 0, lanes: [textLane("abc")] }
        ]
      ])
    })
  )

  it.effect("C1: a whole text has no deltas", () =>
    Effect.gen(function* () {
      const script = [whole("Hello"), completed]
      assert.deepStrictEqual(yield* statementsOf(script), [
        [{ _tag: "ItemAdded", index: 0, lanes: [] }],
        [
          { _tag: "LaneEnded", index: 0, lane: 0, kind: "text", text: "Hello" },
          { _tag: "ItemDone", index: 0, lanes: [textLane("Hello")] }
        ]
      ])
      assert.deepStrictEqual(yield* itemsOf(script), [textItem("Hello")])
    })
  )

  it.effect("items stand at their places, and calls behind all texts", () =>
    Effect.gen(function* () {
      const items = yield* itemsOf([
        text("a"),
        call("lookup", { of: 1 }),
        text("b", 3),
        call("lookup", {}, "x"),
        completed
      ])
      assert.deepStrictEqual(items, [
        textItem("a"),
        nothing,
        nothing,
        textItem("b"),
        { lanes: [callLane("call_1", { of: 1 })], done: true },
        { lanes: [callLane("x")], done: true }
      ])
    })
  )

  it.effect("a call is said in one event, without its parameters as text", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* statementsOf([call("lookup", {}), completed]), [
        [
          { _tag: "PartAdded", index: 0, lane: callLane("call_1") },
          { _tag: "ItemDone", index: 0, lanes: [callLane("call_1")] }
        ]
      ])
    })
  )

  it.effect("what an event says is in the output at the end, by the rules of places", () =>
    Effect.gen(function* () {
      const reasoning = { lane: 0, kind: "reasoning" } as const
      const source = { type: "source", sourceType: "url", url: "https://test", title: "T" } as const
      const items = yield* itemsOf([
        says({ _tag: "Delta", itemId: "a", ...reasoning, delta: "He" }, { _tag: "Delta", ...reasoning, delta: "y" }),
        says({ _tag: "ItemDone", itemId: "a", lanes: [{ ...reasoning, text: "Hey" }] }),
        // The item at 0 is done: whoever says 0 again means another one.
        says({ _tag: "Delta", index: 0, lane: 0, kind: "text", delta: "Hello" }),
        says({ _tag: "PartAdded", index: 0, lane: { lane: 1, kind: "sources", from: 1, sources: [source] } }),
        says({ _tag: "PartAdded", index: 0, lane: { lane: 1, kind: "sources", sources: [undefined] } }),
        says({ _tag: "ItemAdded", index: 7, lanes: [] }, { _tag: "ItemDone", index: 7 }),
        completed
      ])
      assert.deepStrictEqual(items, [
        { lanes: [{ ...reasoning, text: "Hey" }], done: true },
        { lanes: [textLane("Hello"), { lane: 1, kind: "sources", sources: [undefined, source] }], done: true },
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        { ...nothing, unread: true }
      ])
    })
  )

  it.effect("C5: an end shows other output, in its event or in looks", () =>
    Effect.gen(function* () {
      const unlike = yield* played([text("Hello"), showing(completed, { event: [] })])
      assert.deepStrictEqual([unlike.terminal?.items, unlike.snapshot.items], [[], [textItem("Hello")]])
      const looked = yield* played([text("Hello"), showing(completed, { retrieve: [textItem("Bye")] })])
      assert.deepStrictEqual([looked.terminal?.items, looked.snapshot.items], [[textItem("Hello")], [textItem("Bye")]])
    })
  )

  it.effect("C8: every end has a finish", () =>
    Effect.gen(function* () {
      const reasonOf = (...script: ReadonlyArray<ScriptedModel.Step>) =>
        Effect.map(played(script), ({ snapshot, terminal }) => {
          assert.deepStrictEqual(snapshot, terminal)
          return [snapshot.status, snapshot.finish?.reason]
        })
      assert.deepStrictEqual(yield* reasonOf(completed), ["completed", "stop"])
      assert.deepStrictEqual(yield* reasonOf(call("lookup", {}), completed), ["completed", "tool-calls"])
      assert.deepStrictEqual(yield* reasonOf(incomplete()), ["incomplete", "length"])
      assert.deepStrictEqual(yield* reasonOf(text("a"), failed("No.")), ["failed", "error"])
    })
  )

  it.effect("C8: a cancelled response has a finish and shows nothing", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      yield* Stream.runDrain(Stream.take(model.create(request), 4))
      const under = yield* model.retrieve("resp_1")
      assert.deepStrictEqual(under.snapshot, { responseId: "resp_1", status: "in_progress", items: [] })
      assert.strictEqual(yield* model.cancel("resp_1"), "requested")
      const { snapshot } = yield* model.retrieve("resp_1")
      assert.deepStrictEqual([snapshot.status, snapshot.items, snapshot.finish?.reason], ["cancelled", [], "other"])
    }).pipe(Effect.provide(ScriptedModel.layer([text("a"), pause("1 minute"), close(0), completed])))
  )

  it.effect("E1: a response is gone as often as is asked for", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      yield* Stream.runDrain(model.create(request))
      const resumed = Stream.runCount(model.resume("resp_1", {}))
      assert.strictEqual((yield* Effect.flip(resumed))._tag, "ResponseGone")
      assert.strictEqual(yield* resumed, 3)
      for (let i = 0; i < 2; i++) {
        assert.strictEqual((yield* Effect.flip(model.retrieve("resp_1")))._tag, "ResponseGone")
      }
      assert.strictEqual((yield* model.retrieve("resp_1")).snapshot.status, "completed")
    }).pipe(Effect.provide(ScriptedModel.layer([completed], { gone: { resume: 1, retrieve: 2 } })))
  )

  it.effect("E11: a replay is refused with the error given", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      yield* Stream.runDrain(model.create(request))
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(model.resume("resp_1", {}))), error)
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(model.resume("resp_2", {}))))._tag, "ResponseGone")
    }).pipe(Effect.provide(ScriptedModel.layer([completed], { refusesReplay: error })))
  )

  it.effect("P2: the first answer tells whether it runs in the background", () =>
    Effect.gen(function* () {
      const told = yield* played([completed], { background: false })
      assert.deepStrictEqual([told.events[0]?.background, told.terminal?.background], [false, false])
      const untold = yield* played([completed])
      assert.notProperty(untold.events[0], "background")
    })
  )

  it.effect("P4: options demand what the script's options say", () =>
    Effect.gen(function* () {
      const demandsOf = (options: ScriptedModel.Options) =>
        Effect.map(BackgroundModel.BackgroundModel, (model) => model.demands({ window: "2h" })).pipe(
          Effect.provide(ScriptedModel.layer([completed], options), { local: true })
        )
      assert.deepStrictEqual(yield* demandsOf({}), { streamed: true })
      const unstreamed = { streamed: false, window: Duration.hours(2) }
      assert.deepStrictEqual(yield* demandsOf({ demands: () => unstreamed }), unstreamed)
    })
  )

  it.effect("a request that fails is refused once", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(model.create(request))), error)
      assert.strictEqual(yield* Stream.runCount(model.create(request)), 3)
    }).pipe(Effect.provide(ScriptedModel.layer([fail(error), completed])))
  )
})
