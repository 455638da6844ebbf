// Guarantees 1 and 5 where a provider replays events out of order: what is delivered is right, or RunDiverged says so.
import { Agent, type AgentUpdate, BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { analyst, plain, requests, textOf, uninterrupted } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { close, completed, disconnect, keepalive, text } = ScriptedModel
type Update = AgentUpdate.AgentUpdate
type Event = BackgroundModel.ModelEvent

const input = { input: "Hello", runId: "r" }
const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** How one replay comes: which neighbours are swapped, in how large reads, and after how many events it breaks off. */
const Replay = Schema.Struct({
  swaps: Schema.Array(small(20)).check(Schema.isMaxLength(4)),
  reads: Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 }))),
  until: Schema.NullOr(small(12))
})
type Replay = typeof Replay.Type

/** Whether each event is at most one place from its own. */
const isOfNeighbours = ({ swaps }: Replay): boolean =>
  swaps.every((a, i) => swaps.slice(0, i).every((b) => Math.abs(a - b) > 1))

/** A model whose first replays come like this; those after them come as they should. */
const replaying = (replays: ReadonlyArray<Replay>, steps: ReadonlyArray<ScriptedModel.Step>) => {
  let count = 0
  return Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (model) => ({
      ...model,
      resume: (responseId: string, options: { readonly after?: number }) => {
        const replay = replays[count++]
        if (replay === undefined) return model.resume(responseId, options)
        return Stream.fromEffect(Stream.runCollect(model.resume(responseId, options))).pipe(
          Stream.flatMap((events) => Stream.fromIterable(readsOf(events, replay))),
          Stream.flatMap(Stream.fromArray)
        )
      }
    }))
  ).pipe(Layer.provideMerge(Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)))
}

const readsOf = (events: ReadonlyArray<Event>, { reads, swaps, until }: Replay): ReadonlyArray<Array<Event>> => {
  const order = [...events]
  for (const i of swaps) {
    const pair = order.slice(i, i + 2)
    if (pair.length === 2) order.splice(i, 2, ...pair.toReversed())
  }
  const rest = order.slice(0, until ?? order.length)
  const all: Array<Array<Event>> = []
  for (let i = 0; rest.length > 0; i++) all.push(rest.splice(0, reads[i % reads.length]!))
  return all
}

/** What was read in pieces of these lengths and to the end, and why it ended. */
const inPieces = Effect.fnUntraced(function* (lengths: ReadonlyArray<number>) {
  const read: Array<Update> = []
  for (const length of [...lengths, Number.POSITIVE_INFINITY]) {
    const part = Stream.take(Agent.stream(analyst, input), length)
    const result = yield* passing(
      Effect.result(Stream.runForEach(part, (update) => Effect.sync(() => void read.push(update))))
    )
    if (result._tag === "Failure") return { read, reason: result.failure.reason._tag }
  }
  return { read, reason: undefined }
})

const textsOf = (updates: ReadonlyArray<Update>) => {
  const texts: Record<string, string> = {}
  for (const { part } of updates) {
    if (part?.type === "text-delta") texts[part.id] = (texts[part.id] ?? "") + part.delta
  }
  return texts
}

const partsOf = (updates: ReadonlyArray<Update>) => updates.flatMap(({ part }) => (part === undefined ? [] : [part]))

const Text = Schema.Struct({ item: small(2), words: Schema.NonEmptyArray(Schema.Literals(["a", "b", "cd", "é"])) })
const Texts = Schema.NonEmptyArray(Text).check(Schema.isMaxLength(8))
const stepsOf = (texts: typeof Texts.Type) => [
  // The create stream breaks off before the first text: all of it is replayed.
  disconnect,
  ...texts.flatMap(({ item, words }, i) => [text(words, item), ...(i % 3 === 0 ? [keepalive] : [])]),
  completed
]

/** The run as it is when nothing is out of order. */
const truth = (steps: ReadonlyArray<ScriptedModel.Step>) =>
  Effect.provide(uninterrupted("whole"), replaying([], steps), { local: true })

describe("replays out of order", () => {
  law(
    "deliver each text as it is, or fail as RunDiverged, wherever they break off and however they are cut",
    [Texts, Schema.Array(Replay).check(Schema.isMaxLength(4)), Schema.Array(small(9)).check(Schema.isMaxLength(3))],
    ([texts, replays, lengths]) =>
      Effect.gen(function* () {
        const { read, reason } = yield* inPieces(lengths)
        if (reason === undefined) assert.deepStrictEqual(textsOf(read), textsOf(yield* truth(stepsOf(texts))))
        else assert.strictEqual(reason, "RunDiverged")
      }).pipe(Effect.provide(replaying(replays, stepsOf(texts)))),
    { arbitrary: { runs: 400 } }
  )

  law(
    "lose no event at all while neighbours are swapped and nobody leaves: each is in its place, or it is RunDiverged",
    // An event without text that comes two places late, when the run is over, is one that nobody waits for.
    [Texts, Schema.Array(Replay.pipe(Schema.check(Schema.makeFilter(isOfNeighbours)))).check(Schema.isMaxLength(4))],
    ([texts, replays]) =>
      Effect.gen(function* () {
        const { read, reason } = yield* inPieces([])
        const whole = yield* truth(stepsOf(texts))
        if (reason !== undefined) assert.strictEqual(reason, "RunDiverged")
        // Replays that bring nothing at all are given up for a snapshot, which has no events.
        else if (read.some(({ origin }) => origin === "snapshot")) assert.deepStrictEqual(textsOf(read), textsOf(whole))
        else if (replays.every(({ until }) => until === null)) assert.deepStrictEqual(plain(read), plain(whole))
        // What two ends in a row overtook, with nothing after them, is told by the end.
        else assert.deepStrictEqual(partsOf(read), partsOf(whole))
      }).pipe(Effect.provide(replaying(replays, stepsOf(texts)))),
    { arbitrary: { runs: 400 } }
  )

  law(
    "are put in order where they come in one read",
    [Texts, Replay],
    ([texts, { swaps }]) =>
      Effect.gen(function* () {
        const { read, reason } = yield* inPieces([])
        assert.isUndefined(reason)
        assert.deepStrictEqual(plain(read), plain(yield* truth(stepsOf(texts))))
      }).pipe(Effect.provide(replaying([{ swaps, reads: [1000], until: null }], stepsOf(texts)))),
    { arbitrary: { runs: 200 } }
  )

  const abc = [disconnect, text("a"), text("b"), text("c"), close(0), completed]
  // queued 0, in progress 1 | start 2, a 3, b 4, c 5, end 6, completed 7

  it.effect("an event that comes after a later one was delivered: RunDiverged at once, and at every attempt", () =>
    Effect.gen(function* () {
      const { read, reason } = yield* inPieces([])
      assert.strictEqual(reason, "RunDiverged")
      assert.strictEqual(textOf(read), "b")
      // The store keeps the position, and what is wrong with it: the end of the text does not belong to it.
      assert.strictEqual((yield* inPieces([])).reason, "RunDiverged")
      // As the message says, all of it can be read.
      assert.strictEqual((yield* Agent.result(analyst, { runId: "r" })).text, "abc")
    }).pipe(Effect.provide(replaying([{ swaps: [1], reads: [2, 1000], until: null }], abc)))
  )

  it.effect("an event that was overtaken and then cut off is asked for again, and told", () =>
    Effect.gen(function* () {
      const { read, reason } = yield* inPieces([])
      assert.strictEqual(reason, "RunDiverged")
      assert.strictEqual(textOf(read), "b")
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const afters = (yield* ledger).flatMap(({ after, operation }) => (operation === "resume" ? [after] : []))
      assert.deepStrictEqual(afters, [1, 2])
    }).pipe(Effect.provide(replaying([{ swaps: [1], reads: [1000], until: 2 }], abc)))
  )

  it.effect("an event that was overtaken and then cut off by its consumer is missed at the end of its text", () =>
    Effect.gen(function* () {
      const { read, reason } = yield* inPieces([4])
      assert.strictEqual(reason, "RunDiverged")
      assert.strictEqual(textOf(read), "bc")
    }).pipe(Effect.provide(replaying([{ swaps: [1], reads: [2], until: null }], abc)))
  )

  it.effect("what the end overtook is not lost: the end is heard once more", () =>
    Effect.gen(function* () {
      const { read, reason } = yield* inPieces([])
      assert.isUndefined(reason)
      assert.deepStrictEqual(plain(read), plain(yield* truth(abc)))
      assert.deepStrictEqual((yield* requests).slice(0, 3), ["create", "resume", "resume"])
    }).pipe(Effect.provide(replaying([{ swaps: [4], reads: [5], until: 5 }], abc)))
  )

  it.effect("a gap that nothing fills is one that keepalives left", () =>
    Effect.gen(function* () {
      const { read, reason } = yield* inPieces([])
      assert.isUndefined(reason)
      assert.strictEqual(textOf(read), "ab")
    }).pipe(
      Effect.provide(replaying([], [disconnect, text("a"), keepalive, text("b"), close(0), keepalive, completed]))
    )
  )
})
