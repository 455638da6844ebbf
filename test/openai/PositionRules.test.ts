// Guarantees 1 and 5, rule by rule: what a position makes of statements, of the whole of an item or a response, and of a
// look. Positions.test.ts tries all of it at random; here each rule has a case of its own, which fails if it is broken.
import { Agent, BackgroundModel, ContinuationToken, Follow, TokenStore } from "@effect-baton/core"
import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { passing } from "../support/time.ts"
import { answering, ownCalls, planner, thenTurn } from "../support/turns.ts"
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
  provider,
  readEverywhere,
  reasoningLane,
  shown,
  source,
  startOf,
  type Statement,
  stream,
  textLane,
  thought,
  tokenAfter,
  told,
  whole
} from "./statements.ts"

const { completed, failed, showing, text } = ScriptedModel

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
})

describe("C5: an end that shows nothing", () => {
  const over = (shows: ScriptedModel.Shown) =>
    Layer.merge(ScriptedModel.layer([text("Hel"), text("lo"), showing(completed, shows)]), TokenStore.layerMemory)
  const input = { input: "Hello", runId: "r" }

  it.effect("Agent.run answers with what was delivered", () =>
    Effect.gen(function* () {
      const { content, text: said } = yield* passing(Agent.run(planner, input))
      assert.strictEqual(said, "Hello")
      assert.strictEqual(content.length, 1)
    }).pipe(Effect.provide(over({ event: [], retrieve: [] })))
  )

  it.effect("of a run that another process began, a look tells", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(planner, input), 4)))
      assert.strictEqual((yield* passing(Agent.run(planner, input))).text, "Hello")
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

describe("C6: a part has a start and an end", () => {
  it.effect("though no event told either", () =>
    Effect.gen(function* () {
      const snapshot = shown([message("Hello")])
      const updates = yield* readEverywhere(told([delta("Hel", 0), delta("lo", 0)], snapshot), snapshot)
      assert.deepStrictEqual(partsOf(updates), [
        "0:0:0 <text-start>",
        "0:0:0 Hel",
        "0:0:0 lo",
        "0:0:0 <text-end>",
        "finish stop"
      ])
    })
  )

  it.effect.each(["failed", "cancelled", "completed"] as const)(
    "and what is open ends with its response: %s",
    (status) =>
      Effect.gen(function* () {
        const updates = yield* readEverywhere(told([delta("Hel", 0), thought("Hm", 1)], shown([], status)))
        assert.deepStrictEqual(partsOf(updates).slice(-3, -1), ["0:0:0 <text-end>", "0:1:0 <reasoning-end>"])
      })
  )

  it.effect("and what an item's end does not show ends with it", () =>
    Effect.gen(function* () {
      const updates = yield* readEverywhere(told([delta("Hel", 0), done([], 0), delta("lo", 1)], shown([])))
      assert.strictEqual(joined(updates)["0:0:0"], whole("Hel"))
      assert.isBelow(partsOf(updates).indexOf("0:0:0 <text-end>"), partsOf(updates).indexOf("0:1:0 lo"))
    })
  )
})

describe("C7: an index, or an id, leads to an item", () => {
  const rows: ReadonlyArray<readonly [string, ReadonlyArray<Statement>, ReadonlyArray<BackgroundModel.SnapshotItem>]> =
    [
      [
        "an index goes on with another item once its own is finished",
        [delta("one", 0), done([textLane("one")], 0), delta("tw", 0), delta("o", 0)],
        [message("one"), message("two")]
      ],
      [
        "and the place that it took is not another index's",
        [
          delta("one", 0),
          done([textLane("one")], 0),
          delta("two", 0),
          delta("three", 1, 1),
          ended("three", 1, 1),
          delta("!", 0)
        ],
        [message("one"), message("two!"), item(textLane("three", 1))]
      ],
      [
        "an item is added once: a second one under its index is another",
        [added(0), delta("one", 0), ended("one", 0), added(0), delta("two", 0)],
        [message("one"), message("two")]
      ],
      [
        "a text of another kind is another item's",
        [thought("Hm"), delta("one", 0)],
        [item(reasoningLane("Hm")), message("one")]
      ],
      [
        "a late end of a finished item says nothing",
        [delta("one", 0), done([textLane("one")], 0), ended("one", 0), done([textLane("one")], 0), delta("two", 1)],
        [message("one"), message("two")]
      ],
      [
        "without an index the id leads to it",
        [
          added(undefined, "a"),
          added(undefined, "b"),
          delta("o", undefined, 0, "a"),
          delta("tw", undefined, 0, "b"),
          delta("ne", undefined, 0, "a"),
          delta("o", undefined, 0, "b")
        ],
        [message("one"), message("two")]
      ],
      [
        "an id that nobody knows is the last item's that is not finished",
        [
          added(undefined, "a"),
          delta("o", undefined, 0, "b"),
          delta("ne", undefined, 0, "c"),
          done([textLane("one")]),
          added(undefined, "d"),
          delta("tw", undefined, 0, "e"),
          delta("o", undefined, 0, "f")
        ],
        [message("one"), message("two")]
      ]
    ]
  it.effect.each(rows)("%s", ([, said, items]) =>
    Effect.gen(function* () {
      const texts = joined(yield* readEverywhere(told(said, shown(items))))
      for (const [place, { lanes }] of items.entries()) {
        for (const lane of lanes) {
          if (lane.kind !== "text" && lane.kind !== "reasoning") continue
          assert.strictEqual(texts[`0:${place}:${lane.lane}`], whole(lane.text, lane.kind))
        }
      }
      assert.strictEqual(Object.keys(texts).length, items.length + 1)
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

describe("C13: a character comes whole", () => {
  it.effect.each([
    ["its first half waits for the second", ["a\ud83d", "\ude80b"], "a\u{1f680}b"],
    ["also if the text is open already", ["a", "b\ud83d", "\ude80", "c"], "ab\u{1f680}c"],
    ["a first half without a second is replaced before what comes next", ["a\ud83d", "b"], "a\ufffdb"],
    ["and so is one at the end", ["a", "b\ud83d"], "ab\ufffd"],
    ["and a second half without a first", ["a", "\ude80b"], "a\ufffdb"]
  ] as const)("%s", ([, deltas, said]) =>
    Effect.gen(function* () {
      const snapshot = shown([message(deltas.join(""))])
      const events = told(
        deltas.map((some) => delta(some, 0)),
        snapshot
      )
      const updates = yield* readEverywhere(events, snapshot)
      for (const { text: some } of updates) assert.isTrue(some.isWellFormed())
      assert.strictEqual(joined(updates)["0:0:0"], whole(said))
    })
  )

  it.effect("also if nothing but the end of its text tells that no second half comes", () =>
    Effect.gen(function* () {
      const updates = yield* readEverywhere(told([delta("a\ud83d", 0), ended(undefined, 0)], shown([])))
      assert.strictEqual(joined(updates)["0:0:0"], whole("a\ufffd"))
    })
  )
})

describe("a position between the parts of one event", () => {
  it.effect("goes on with the statement that it was cut in, of which what is left is told", () =>
    Effect.gen(function* () {
      const lanes = [textLane("Hello"), textLane("more", 1), textLane("and more", 2)]
      const statements: ReadonlyArray<Statement> = [
        { _tag: "LaneStarted", index: 0, lane: { lane: 0, kind: "text", text: "H" } },
        delta("el", 0),
        delta("l", 0),
        ended("Hello", 0),
        done(lanes, 0),
        thought("Hm", 0)
      ]
      const items = [item(...lanes), item(reasoningLane("Hm"))]
      const updates = yield* readEverywhere(told([statements, delta("!", 2)], shown([...items, message("!")])))
      assert.deepStrictEqual(joined(updates), {
        "0:0:0": whole("Hello"),
        "0:0:1": whole("more"),
        "0:0:2": whole("and more"),
        "0:1:0": whole("Hm", "reasoning"),
        "0:2:0": whole("!"),
        finish: "stop"
      })
    })
  )

  it.effect("and an item that began with several texts, whose second is not there yet", () =>
    Effect.gen(function* () {
      const lanes = [0, 1].map((lane) => ({ lane, kind: "text", text: `text ${lane}` }) as const)
      const updates = yield* readEverywhere(
        told(
          [[{ _tag: "ItemAdded", index: 0, lanes }, delta("!", 0, 1)]],
          shown([item(textLane("text 0"), textLane("text 1!", 1))])
        )
      )
      assert.deepStrictEqual(joined(updates), {
        "0:0:0": whole("text 0"),
        "0:0:1": whole("text 1!"),
        finish: "stop"
      })
    })
  )

  it.effect("and an end between what it fills in and its finish", () =>
    Effect.gen(function* () {
      const snapshot = shown([message("one"), message("two")])
      const updates = yield* readEverywhere(told([added(0)], snapshot), snapshot)
      assert.strictEqual(updates.filter(({ part }) => part?.type === "finish").length, 1)
      assert.isTrue(updates.slice(0, -1).every(({ continuationToken }) => Option.isSome(continuationToken)))
    })
  )
})

describe("part ids", () => {
  it.effect("are unique in the run: turn, place and lane", () =>
    Effect.gen(function* () {
      const lane: Lane = { lane: 1000, kind: "sources", from: 0, sources: [source(0), source(1)] }
      const events = told([delta("a", 3, 2), delta("b", 3, 2), done([textLane("ab", 2), lane], 3)], shown([]))
      const { updates } = yield* stream(events, startOf(4))
      assert.deepStrictEqual(joined(updates), {
        "4:3:2": whole("ab"),
        "4:3:1000:0": "<source>",
        "4:3:1000:1": "<source>",
        finish: "stop"
      })
    })
  )
})

describe("what a position knows of what is finished", () => {
  it.effect("is one row for neighbours, in whatever order they finished, which a look is compared with", () =>
    Effect.gen(function* () {
      const few = [0, 2, 1, 3].map((i) => done([textLane(`text ${i}`)], i))
      const { updates } = yield* stream(told([...few, delta("te", 4)], shown([])))
      const from = tokenAfter(updates, updates.length - 2)
      assert.deepStrictEqual(
        from.delivered.items.map(([begin, end]) => [begin, end]),
        [[0, 3]]
      )
      const items = [0, 1, 2, 3, 4].map((i) => message(`text ${i}`))
      const { failure, updates: tail } = yield* look(from, shown(items))
      assert.isUndefined(failure)
      assert.strictEqual(tail.map(({ text: some }) => some).join(""), "xt 4")
      assert.strictEqual((yield* look(from, shown(items.with(2, message("text 5"))))).failure, "RunDiverged")
    })
  )

  it.effect("and so for the texts of one item", () =>
    Effect.gen(function* () {
      const ends = [0, 2, 1].flatMap((lane) => [delta(`text ${lane}`, 0, lane), ended(`text ${lane}`, 0, lane)])
      const { updates } = yield* stream(told([...ends, delta("te", 0, 3)], shown([])))
      const from = tokenAfter(updates, updates.length - 2)
      assert.deepStrictEqual(
        from.delivered.lanes.map((row) => row.slice(0, 3)),
        [[0, 0, 2]]
      )
      const items = [item(...[0, 1, 2, 3].map((lane) => textLane(`text ${lane}`, lane)))]
      assert.isUndefined((yield* look(from, shown(items))).failure)
    })
  )

  it.effect("is dropped if a token has no room for it: from there on, texts come as their events tell them", () =>
    Effect.gen(function* () {
      const many = Array.from({ length: 60 }, (_, i) => i)
      const said = [...many.map((i) => delta("te", i * 2)), ...many.map((i) => delta(`xt ${i}`, i * 2))]
      const { failure, updates } = yield* stream(told(said, shown([])))
      assert.isUndefined(failure)
      for (const { continuationToken } of updates) {
        if (Option.isNone(continuationToken)) continue
        assert.isAtMost((yield* ContinuationToken.encode(continuationToken.value)).length, 1024)
      }
      const from = tokenAfter(updates, updates.length - 1)
      assert.isTrue(from.delivered.overflow)
      assert.strictEqual(joined(updates)["0:40:0"], "<text-start>text 20")
      const shows = shown(many.flatMap((i) => [message(`text ${i}`), item()]))
      assert.strictEqual((yield* look(from, shows)).failure, "RunDiverged")
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

describe("what else a token says", () => {
  it.effect.each([
    [6, true],
    [128, true],
    [129, false]
  ] as const)("its response's id, if that is not too long: %i units", ([length, isHeld]) =>
    Effect.gen(function* () {
      const responseId = "r".repeat(length)
      const followed = yield* Stream.runCollect(Follow.response({ responseId, streamed: true }, first))
      const updates = followed.flatMap((element) => (element._tag === "Update" ? [element] : []))
      assert.strictEqual(tokenAfter(updates, 1).responseId, isHeld ? responseId : undefined)
    }).pipe(
      Effect.provideService(BackgroundModel.BackgroundModel, provider(told([delta("a", 0)], shown([message("a")]))))
    )
  )

  it.effect("how many updates came before, over all turns", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(planner, { input: "Hello", runId: "r" })))
      assert.isTrue(updates.some(({ part }) => part?.type === "text-delta" && part.id.startsWith("1:")))
      assert.deepStrictEqual(
        updates.slice(0, -1).map(({ continuationToken }) => Option.getOrThrow(continuationToken).offset),
        updates.slice(0, -1).map((_, i) => i + 1)
      )
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(thenTurn([text("looking")], [text("three"), completed])),
          answering(TokenStore.layerMemory),
          ownCalls
        )
      )
    )
  )

  it.effect("and before a retry", () => {
    let tries = 0
    const script = () => (tries++ === 0 ? [text("a"), failed("once")] : [text("b"), completed])
    return Effect.gen(function* () {
      const input = { input: "Hello", runId: "r" }
      const offsets: Array<number> = []
      const keep = ({ continuationToken }: AgentUpdate) =>
        Effect.sync(() => {
          if (Option.isSome(continuationToken)) offsets.push(continuationToken.value.offset)
        })
      yield* passing(Effect.flip(Stream.runForEach(Agent.stream(planner, input), keep)))
      const before = offsets.length
      yield* passing(Agent.retry(planner, input))
      yield* passing(Stream.runForEach(Agent.resume(planner, { runId: "r" }), keep))
      assert.isAbove(offsets.length, before)
      assert.isAbove(offsets[before]!, offsets[before - 1]!)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), TokenStore.layerMemory)))
  })
})
