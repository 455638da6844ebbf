// Guarantees 1, 5 and 10, rule by rule: what a position makes of the whole of a text, an item or a response, as an end or
// a look shows it. Positions.test.ts tries all of it at random.
import { Agent, type BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { analyst } from "../support/runs.ts"
import { passing } from "../support/time.ts"
import {
  added,
  callLane,
  delta,
  done,
  ended,
  first,
  item,
  joined,
  type Lane,
  look,
  message,
  partsOf,
  readEverywhere,
  reasoningLane,
  shown,
  source,
  type Statement,
  stream,
  textLane,
  thought,
  tokenAfter,
  told,
  whole
} from "./statements.ts"

const { completed, showing, text } = ScriptedModel

describe("C1: what only an end says is delivered", () => {
  it.effect("of a text that no delta told: by the text's end", () =>
    Effect.gen(function* () {
      const updates = yield* readEverywhere(told([added(0), ended("Hello", 0), done(undefined, 0)], shown([])))
      assert.deepStrictEqual(joined(updates), { "0:0:0": whole("Hello"), finish: "stop" })
    })
  )

  it.effect("of a text whose tail no delta told: by the item's end", () =>
    Effect.gen(function* () {
      const said = [added(0), delta("Hel", 0), done([textLane("Hello"), textLane("more", 1)], 0)]
      const updates = yield* readEverywhere(told(said, shown([])))
      assert.deepStrictEqual(joined(updates), { "0:0:0": whole("Hello"), "0:0:1": whole("more"), finish: "stop" })
    })
  )

  it.effect("of an item that no event told, and of the tail of one that was: by the response's end", () =>
    Effect.gen(function* () {
      const snapshot = shown([message("Hello"), message("Bye")])
      const updates = yield* readEverywhere(told([delta("Hel", 0)], snapshot), snapshot)
      assert.deepStrictEqual(joined(updates), { "0:0:0": whole("Hello"), "0:1:0": whole("Bye"), finish: "stop" })
    })
  )

  it.effect("of sources, from the first that was not delivered on", () =>
    Effect.gen(function* () {
      const sources = (...some: ReadonlyArray<number>): BackgroundModel.SourcesLane => ({
        lane: 9,
        kind: "sources",
        from: 0,
        sources: some.map(source)
      })
      const said: ReadonlyArray<Statement> = [
        delta("Hello", 0),
        { _tag: "PartAdded", index: 0, lane: sources(0) },
        done([textLane("Hello"), sources(0, 1, 2)], 0)
      ]
      const updates = yield* readEverywhere(told(said, shown([item(textLane("Hello"), sources(0, 1, 2))])))
      assert.deepStrictEqual(joined(updates), {
        "0:0:0": whole("Hello"),
        "0:0:9:0": "<source>",
        "0:0:9:1": "<source>",
        "0:0:9:2": "<source>",
        finish: "stop"
      })
    })
  )
})

describe("C1: sources without a number", () => {
  it.effect("are the next of their text", () =>
    Effect.gen(function* () {
      const next = (k: number): Statement => ({
        _tag: "PartAdded",
        index: 0,
        lane: { lane: 9, kind: "sources", sources: [source(k)] }
      })
      const updates = yield* readEverywhere(told([delta("Hello", 0), next(0), next(1), next(2)], shown([])))
      assert.deepStrictEqual(
        updates.flatMap(({ part }) => (part?.type === "source" ? [part.id] : [])),
        ["0:0:9:0", "0:0:9:1", "0:0:9:2"]
      )
    })
  )
})

describe("C2: a whole response is matched by what it holds", () => {
  it.effect("if it keeps an earlier item to itself, by order: what is missing is delivered, once", () =>
    Effect.gen(function* () {
      const said = [thought("Hm"), done([reasoningLane("Hm")], 0), delta("Hello ", 1)]
      const { updates } = yield* stream(told(said, shown([])))
      const head = updates.slice(0, 5)
      const { failure, updates: tail } = yield* look(tokenAfter(updates, 5), shown([message("Hello world")]))
      assert.isUndefined(failure)
      assert.deepStrictEqual(joined([...head, ...tail]), {
        "0:0:0": whole("Hm", "reasoning"),
        "0:1:0": whole("Hello world"),
        finish: "stop"
      })
    })
  )

  it.effect("of an item of which a part is finished: what is finished is not told again", () =>
    Effect.gen(function* () {
      const said = [thought("Hm"), done([reasoningLane("Hm")], 0), delta("one", 1), ended("one", 1), delta("tw", 1, 1)]
      const { updates } = yield* stream(told(said, shown([])))
      const head = updates.slice(0, 8)
      assert.strictEqual(head.at(-1)?.text, "tw")
      const { failure, updates: tail } = yield* look(
        tokenAfter(updates, 8),
        shown([item(textLane("one"), textLane("two", 1))])
      )
      assert.isUndefined(failure)
      assert.deepStrictEqual(joined([...head, ...tail]), {
        "0:0:0": whole("Hm", "reasoning"),
        "0:1:0": whole("one"),
        "0:1:1": whole("two"),
        finish: "stop"
      })
    })
  )

  it.effect("of two items under one index, each where it belongs", () =>
    Effect.gen(function* () {
      const said = [thought("Hm", 0), done([reasoningLane("Hm")], 0), delta("Hello ", 0), delta("world", 0)]
      const snapshot = shown([item(reasoningLane("Hm")), message("Hello world")])
      const updates = yield* readEverywhere(told(said, snapshot), snapshot)
      assert.deepStrictEqual(joined(updates), {
        "0:0:0": whole("Hm", "reasoning"),
        "0:1:0": whole("Hello world"),
        finish: "stop"
      })
    })
  )

  const said = [delta("Hello", 0), done([textLane("Hello")], 0), delta("Good", 1)]
  it.effect.each([
    ["a finished text is another", [message("Hullo"), message("Goodbye")]],
    ["an open text begins otherwise", [message("Hello"), message("Bye bye")]],
    ["a text is gone", [message("Hello")]],
    ["nothing is left", []]
  ] as const)("and is RunDiverged if %s", ([, items]) =>
    Effect.gen(function* () {
      const { updates } = yield* stream(told(said, shown([])))
      const from = tokenAfter(updates, 5)
      assert.strictEqual((yield* look(from, shown(items))).failure, "RunDiverged")
      assert.strictEqual((yield* look(from, shown(items, "incomplete"))).failure, "RunDiverged")
      // Nothing is filled in of what failed.
      assert.isUndefined((yield* look(from, shown(items, "failed"))).failure)
    })
  )

  it.effect("an item's end that shows a finished text otherwise is RunDiverged", () =>
    Effect.gen(function* () {
      const events = told([delta("Hello", 0), ended("Hello", 0), done([textLane("Hullo")], 0)], shown([]))
      assert.strictEqual((yield* stream(events)).failure, "RunDiverged")
    })
  )

  it.effect("a text's end that is another text is RunDiverged", () =>
    Effect.gen(function* () {
      const events = told([delta("Hello", 0), ended("Hullo", 0)], shown([]))
      assert.strictEqual((yield* stream(events)).failure, "RunDiverged")
    })
  )

  it.effect("a text that goes on after its end is RunDiverged", () =>
    Effect.gen(function* () {
      const events = told([delta("Hello", 0), ended("Hello", 0), delta("more", 0)], shown([]))
      assert.strictEqual((yield* stream(events)).failure, "RunDiverged")
    })
  )

  it.effect("an item that cannot be read contradicts nothing", () =>
    Effect.gen(function* () {
      const { updates } = yield* stream(told(said, shown([])))
      const items = [{ lanes: [], done: true, unread: true }, message("Goodbye")]
      const { failure, updates: tail } = yield* look(tokenAfter(updates, 5), shown(items))
      assert.isUndefined(failure)
      assert.strictEqual(joined([...updates.slice(0, 5), ...tail])["0:1:0"], whole("Goodbye"))
    })
  )

  it.effect("a stream that was read whole may end without output; a look may not", () =>
    Effect.gen(function* () {
      const { end, failure, updates } = yield* stream(told([delta("Hello", 0)], shown([])))
      assert.isUndefined(failure)
      assert.isFalse(end?.shows)
      assert.strictEqual((yield* look(tokenAfter(updates, 2), shown([]))).failure, "RunDiverged")
    })
  )

  it.effect("a call whose item moved up, as a server hides what was before it, does not come twice", () =>
    Effect.gen(function* () {
      // Of two items before the call one is not shown, and the other is a file that only the end tells.
      const file: Lane = { lane: 0, kind: "single", part: { type: "file", mediaType: "image/png", data: "aGk=" } }
      const events = [added(0), added(1), added(2), done([callLane], 2), added(3)]
      for (const hidden of [[], [message("More")]]) {
        const { updates } = yield* stream(told(events, shown([item(file), item(callLane), item(), ...hidden])))
        const calls = partsOf(updates).filter((part) => part.includes("<tool-call>"))
        assert.strictEqual(calls.length, 1)
      }
    })
  )

  it.effect("what cannot be put together ends alike, wherever its end was cut", () =>
    Effect.gen(function* () {
      const begins: Statement = {
        _tag: "LaneStarted",
        index: 0,
        itemId: undefined,
        lane: { lane: 1, kind: "text", text: "" }
      }
      const events = [
        added(0),
        delta("é", 0),
        begins,
        added(1),
        done([], 1),
        added(2),
        delta("b", 2),
        done(undefined, 2)
      ]
      const items = [item(textLane("é"), textLane("", 1)), message("b"), message("more")]
      const updates = yield* readEverywhere(told(events, shown(items, "failed")))
      assert.notInclude(partsOf(updates).join(), "more")
    })
  )
})

describe("C5: an end that shows nothing", () => {
  const over = (shows: ScriptedModel.Shown) =>
    Layer.merge(ScriptedModel.layer([text("Hel"), text("lo"), showing(completed, shows)]), TokenStore.layerMemory)
  const input = { input: "Hello", runId: "r" }

  it.effect("Agent.run answers with what was delivered", () =>
    Effect.gen(function* () {
      const { content, text: said } = yield* passing(Agent.run(analyst, input))
      assert.strictEqual(said, "Hello")
      assert.strictEqual(content.length, 1)
    }).pipe(Effect.provide(over({ event: [], retrieve: [] })))
  )

  it.effect("of a run that another process began, a look tells", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 4)))
      assert.strictEqual((yield* passing(Agent.run(analyst, input))).text, "Hello")
    }).pipe(Effect.provide(over({ event: [] })))
  )
})

describe("C5: calls that the end does not show", () => {
  const events = told([{ _tag: "PartAdded", index: 0, lane: callLane }, done(undefined, 0)], shown([]))

  it.effect("are those that were delivered", () =>
    Effect.gen(function* () {
      const { end } = yield* stream(events)
      assert.deepStrictEqual(end?.calls, [callLane.part])
    })
  )

  it.effect("are shown by a look to who did not deliver them, or are not known", () =>
    Effect.gen(function* () {
      const { updates } = yield* stream(events)
      const from = tokenAfter(updates, 1)
      const { end } = yield* stream(events, from, shown([item(callLane)]))
      assert.isTrue(end?.shows)
      assert.deepStrictEqual(end?.calls, [callLane.part])
      assert.isUndefined((yield* stream(events, from)).end?.calls)
    })
  )
})

describe("C8: an end is told the same by a stream and by a look", () => {
  it.effect.each(["failed", "cancelled", "incomplete"] as const)("%s", (status) =>
    Effect.gen(function* () {
      const snapshot = shown([message("Hello")], status)
      const updates = yield* readEverywhere(told([delta("Hel", 0)], snapshot), snapshot)
      assert.match(partsOf(updates).at(-1)!, /^finish /)
      assert.strictEqual(joined(updates)["0:0:0"], whole("Hello"))
    })
  )

  it.effect("a call that was delivered makes the finish say so", () =>
    Effect.gen(function* () {
      const snapshot = shown([item(callLane)])
      const updates = yield* readEverywhere(told([{ _tag: "PartAdded", index: 0, lane: callLane }], snapshot))
      assert.strictEqual(partsOf(updates).at(-1), "finish tool-calls")
    })
  )
})

describe("a look at a response that goes on", () => {
  const going = (...lanes: ReadonlyArray<Lane>) => ({ lanes, done: false })

  it.effect("tells what is there, and ends nothing that goes on", () =>
    Effect.gen(function* () {
      const { failure, updates } = yield* look(
        first,
        shown([message("one"), going(textLane("tw"))], "in_progress"),
        shown([message("one"), going(textLane("two"))], "in_progress"),
        shown([message("one"), message("two!")])
      )
      assert.isUndefined(failure)
      assert.deepStrictEqual(partsOf(updates), [
        "0:0:0 <text-start>",
        "0:0:0 one",
        "0:0:0 <text-end>",
        "0:1:0 <text-start>",
        "0:1:0 tw",
        "0:1:0 o",
        "0:1:0 !",
        "0:1:0 <text-end>",
        "finish stop"
      ])
    })
  )

  it.effect("keeps half a character back, and tells nothing of what does not agree", () =>
    Effect.gen(function* () {
      const { updates: before } = yield* stream(told([delta("one", 0), delta(" more", 0)], shown([])))
      const { failure, updates } = yield* look(
        tokenAfter(before, 2),
        shown([going(textLane("other"))], "in_progress"),
        shown([going(textLane("one \ud83d"))], "in_progress"),
        shown([message("one \ud83d\ude80")])
      )
      assert.isUndefined(failure)
      assert.deepStrictEqual(partsOf(updates), ["0:0:0  ", "0:0:0 \u{1f680}", "0:0:0 <text-end>", "finish stop"])
    })
  )
})

describe("preliminary results", () => {
  const preliminary = (k: number): Statement => ({
    _tag: "Preliminary",
    index: 0,
    part: { type: "tool-result", id: "ig_1", name: "image", result: k, isFailure: false, preliminary: true }
  })

  it.effect("several of one event come once each, wherever the stream was cut", () =>
    Effect.gen(function* () {
      const events = told([added(0), [preliminary(0), preliminary(1)], delta("Hello", 1)], shown([]))
      const updates = yield* readEverywhere(events)
      const results = updates.flatMap(({ part }) => (part?.type === "tool-result" ? [part.result] : []))
      assert.deepStrictEqual(results, [0, 1])
    })
  )

  it.effect("do not count when a response is compared with what was delivered", () =>
    Effect.gen(function* () {
      const { updates } = yield* stream(told([preliminary(0), delta("Hello", 0)], shown([])))
      const { failure, updates: tail } = yield* look(tokenAfter(updates, 3), shown([message("Hello world")]))
      assert.isUndefined(failure)
      assert.deepStrictEqual(joined([...updates.slice(0, 3), ...tail])["0:0:0"], whole("Hello world"))
    })
  )
})
