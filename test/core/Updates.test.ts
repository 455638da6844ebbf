// What becomes an update and what does not, and how much of the past an update's token carries at most.
import { Agent, BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { analyst, textOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { close, completed, keepalive, text, unknown } = ScriptedModel
const read = passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
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
  const alone = (item: number, lane: number): ScriptedModel.Step => ({
    _tag: "Event",
    event: {
      parts: [
        { item, lane, part: { type: "text-start", id: `${item}.${lane}` } },
        { item, lane, part: { type: "text-end", id: `${item}.${lane}` } }
      ]
    }
  })
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
        assert.isAtMost(delivered.open.length, 16)
        assert.isAtMost(delivered.items.length, 8)
        assert.isAtMost(delivered.lanes.length, 8)
        if (overflow) assert.isTrue(delivered.overflow, "what was forgotten stays forgotten")
        overflow = delivered.overflow
      }
      assert.isTrue(overflow)
    }).pipe(Effect.provide(over([...steps, completed])))
  )
})

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
  parts: [{ item: 0, lane: 0, part: { type: "text-delta", id: "text_0", delta: "more" } }]
}
