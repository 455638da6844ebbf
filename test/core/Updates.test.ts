// What becomes an update and what does not, and how much of the past an update's token carries at most.
import { Agent, BackgroundModel, ContinuationToken, Run, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { analyst, count, plain, textOf, type Update } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { close, completed, incomplete, keepalive, pause, says, text, unknown } = ScriptedModel
const runId = Run.RunId.make("r")
const input = { input: "Hello", runId }
const read = passing(Stream.runCollect(Agent.stream(analyst, input)))
const over = (steps: ReadonlyArray<ScriptedModel.Step>) =>
  Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)

describe("updates", () => {
  it.effect("a keepalive is none, and an event that nobody knows is one, with what the provider said", () =>
    Effect.gen(function* () {
      const updates = yield* read
      // queued 0, in progress 1, keepalive 2, start 3, a 4, keepalive 5, something new 6, end 7, finish 8
      assert.deepStrictEqual(
        updates.map(({ sequenceNumber }) => sequenceNumber),
        [0, 1, 3, 4, 6, 7, 8]
      )
      assert.deepStrictEqual(
        updates.flatMap(({ part, raw }) => (part === undefined && raw !== undefined ? [raw] : [])),
        [{ type: "something.new" }]
      )
    }).pipe(Effect.provide(over([keepalive, text("a"), keepalive, unknown({ type: "something.new" }), completed])))
  )

  it.effect("what a provider says after the end is none", () =>
    Effect.gen(function* () {
      const updates = yield* read
      assert.strictEqual(textOf(updates), "a")
      assert.isTrue(Option.isNone(updates.at(-1)!.continuationToken))
      assert.strictEqual(updates.filter(({ continuationToken }) => Option.isNone(continuationToken)).length, 1)
    }).pipe(Effect.provide(talkative(over([text("a"), completed]))))
  )
})

describe("what a token says was delivered", () => {
  const alone = (index: number, lane: number): ScriptedModel.Step =>
    says(
      { _tag: "Delta", index, lane, kind: "text", delta: `part ${lane}` },
      { _tag: "LaneEnded", index, lane, kind: "text", text: `part ${lane}` }
    )
  const many = Array.from({ length: 40 }, (_, i) => i)
  const crowds: Record<string, ReadonlyArray<ScriptedModel.Step>> = {
    "texts that are open at once": many.map((item) => text("word ", item)),
    "items of which every second is finished": many.flatMap((i) => [text("word ", i * 2), close(i * 2)]),
    "parts of an item of which every second is finished": many.map((lane) => alone(0, lane * 2))
  }
  it.effect.each(Object.entries(crowds))("is bounded: %s", ([, steps]) =>
    Effect.gen(function* () {
      let overflow = false
      for (const { continuationToken } of yield* read) {
        if (Option.isNone(continuationToken)) continue
        const { delivered } = continuationToken.value
        assert.isAtMost((yield* ContinuationToken.encode(continuationToken.value)).length, 1024)
        if (overflow) assert.isTrue(delivered.overflow, "what was forgotten stays forgotten")
        if (delivered.overflow) {
          const { delivered: nothing } = ContinuationToken.start("a", runId, 1)
          assert.deepStrictEqual(delivered, { ...nothing, overflow: true })
        }
        overflow = delivered.overflow
      }
      assert.isTrue(overflow)
    }).pipe(Effect.provide(over([...steps, completed])))
  )
})

describe("a run of which a token cannot hold what was delivered", () => {
  const many = Array.from({ length: 40 }, (_, i) => i)
  const begun = many.map((item) => text(`${item} `, item))
  const going = many.map((item) => text([`${item}, `, "and "], item))
  /** Two ends in one event, and one alone. */
  const closing = [
    says(
      { _tag: "LaneEnded", index: 0, lane: 0, kind: "text", text: "0 0, and " },
      { _tag: "LaneEnded", index: 1, lane: 0, kind: "text", text: "1 1, and " }
    ),
    close(2)
  ]
  const whole = [...begun.map((_, i) => `${i} `), ...many.map((i) => `${i}, and `)].join("")
  const isBeyond = ({ continuationToken }: Update) =>
    Option.exists(continuationToken, ({ delivered }) => delivered.overflow)

  it.effect.each([
    ["completed", completed],
    ["incomplete", incomplete()]
  ] as const)("is told as its events tell it, with every text and id, and ends as %s", ([status, end]) =>
    Effect.gen(function* () {
      const updates = yield* read
      assert.strictEqual(textOf(updates), whole)
      assert.isTrue(isBeyond(updates[90]!))
      assert.strictEqual(updates.at(-1)?.status, status)
      for (const { part } of updates) {
        if (part?.type === "text-delta") assert.match(part.id, /^0:\d+:0$/)
      }
      assert.deepStrictEqual(
        updates.flatMap(({ part }) => (part?.type === "text-start" ? [part.id] : [])),
        many.map((i) => `0:${i}:0`)
      )
      assert.deepStrictEqual(
        updates.flatMap(({ part }) => (part?.type === "text-end" ? [part.id] : [])).toSorted(),
        many.map((i) => `0:${i}:0`).toSorted()
      )
      assert.strictEqual(updates.at(-1)?.part?.type, "finish")
    }).pipe(Effect.provide(over([...begun, ...going, ...closing.slice(1), end])))
  )

  it.effect("is the same, cut anywhere and replayed", () =>
    Effect.gen(function* () {
      const updates = yield* read
      const expected = plain(updates)
      const first = updates.findIndex(isBeyond)
      for (let k = first - 2; k < updates.length; k++) {
        const own = { input: "Hello", runId: `cut-${k}` }
        const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, own), k)))
        const tail = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: own.runId })))
        assert.deepStrictEqual(plain([...head, ...tail]).map(asTold), expected.map(asTold), `cut at ${k}`)
      }
    }).pipe(Effect.provide(over([...begun, ...going, ...closing, completed])))
  )

  // So that the limit is met at each place that it can be met at.
  const lengths = Array.from({ length: 40 }, (_, i) => i + 1)
  const shapes: Record<string, (item: number) => ReadonlyArray<ScriptedModel.Step>> = {
    "texts that are announced": (item) => [text(`text ${item}. `, item)],
    "texts without an index": (item) => [
      says({ _tag: "ItemAdded", itemId: `item ${item}`, lanes: [] }),
      says({ _tag: "Delta", itemId: `item ${item}`, lane: 0, kind: "text", delta: `text ${item}. ` })
    ],
    "texts that begin as their item does": (index) => [
      says({ _tag: "ItemAdded", index, lanes: [{ lane: 0, kind: "text", text: `text ${index}. ` }] })
    ],
    "texts of one item": (lane) => [says({ _tag: "Delta", index: 0, lane, kind: "text", delta: `text ${lane}. ` })]
  }
  it.effect.each(Object.entries(shapes))("is told once and whole around the limit: %s", ([, shape]) =>
    Effect.gen(function* () {
      for (const length of lengths) {
        const stream = Agent.stream(analyst, { input: "Hello", runId: "r".repeat(length) })
        const updates = yield* passing(Stream.runCollect(stream)).pipe(
          Effect.provide(over([...many.flatMap(shape), completed]))
        )
        assert.strictEqual(textOf(updates), many.map((i) => `text ${i}. `).join(""), `a name of ${length}`)
        assert.strictEqual(updates.at(-1)?.status, "completed")
        const beyond = updates.findIndex(isBeyond)
        assert.isAbove(beyond, 0)
        assert.isTrue(updates.slice(beyond, -1).every(isBeyond), "what was forgotten stays forgotten")
      }
    })
  )

  it.effect("is RunDiverged if it can only be polled, and its result is whole", () =>
    Effect.gen(function* () {
      const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 90)))
      assert.isTrue(isBeyond(head.at(-1)!))
      yield* elapse(5000)
      const error = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, { runId }))))
      assert.strictEqual(error.reason._tag, "RunDiverged")
      assert.match(error.message, /more parts of it were open at once than a position can hold/)
      assert.include((yield* passing(Agent.result(analyst, { runId }))).text, "39 39, and ")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(
      Effect.provide(RunPolicy.layer({})),
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer([...begun, ...going, pause("2 seconds"), completed], { replayFor: "1 second" }),
          TokenStore.layerMemory
        )
      )
    )
  )
})

const asTold = ({ part, status }: ReturnType<typeof plain>[number]) => ({ part, status })

/** A model that goes on talking after the end. */
const talkative = <R>(layer: Layer.Layer<BackgroundModel.BackgroundModel | R>) =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (model) => ({
      ...model,
      create: (request: BackgroundModel.ModelRequest) =>
        model
          .create(request)
          .pipe(
            Stream.mapArray((events): readonly [BackgroundModel.ModelEvent, ...Array<BackgroundModel.ModelEvent>] => [
              ...events,
              ...(events.some(({ terminal }) => terminal !== undefined) ? [afterthought] : [])
            ])
          )
    }))
  ).pipe(Layer.provideMerge(layer))

const afterthought: BackgroundModel.ModelEvent = {
  sequenceNumber: 1000,
  statements: [{ _tag: "Delta", index: 0, lane: 0, kind: "text", delta: "more" }]
}
