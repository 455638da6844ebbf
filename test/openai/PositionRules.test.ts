// Guarantees 1, 5 and 11, rule by rule: what a position makes of statements, and what it says. Positions.test.ts tries all
// of it at random; here each rule has a case of its own, which fails if it is broken. Wholes.test.ts has those on wholes.
import { Agent, BackgroundModel, ContinuationToken, Follow, TokenStore } from "@effect-baton/core"
import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { passing } from "../support/time.ts"
import { answering, ownCalls, planner, thenTurn } from "../support/turns.ts"
import {
  added,
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

const { completed, failed, text } = ScriptedModel

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
    }).pipe(Effect.provide(Layer.mergeAll(ScriptedModel.layer(script), TokenStore.layerMemory, ownCalls)))
  })
})
