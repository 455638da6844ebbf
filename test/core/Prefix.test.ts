// Guarantee 1: cut anywhere, however often, and what was read before and after is the whole.
import { Agent, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { inPieces, joined } from "../support/pieces.ts"
import { analyst, plain, recordOf, stateOf, statusOf, textOf, uninterrupted } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { close, completed, disconnect, failed, keepalive, pause, text, unknown, whole: wholeText } = ScriptedModel

const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 17 }))
const Word = Schema.Literals(["a", "bc", "é", "\ud83d", "\udc4d", " ", ""])

const Piece = Schema.TaggedUnion({
  Text: { item: Small, deltas: Schema.NonEmptyArray(Word).check(Schema.isMaxLength(4)) },
  Close: { item: Small },
  /** A text that only its end says. */
  Whole: { words: Schema.Array(Word).check(Schema.isMaxLength(4)) },
  Pause: { millis: Schema.Literals([1, 300, 2000]) },
  Disconnect: {},
  Keepalive: {},
  Unknown: {}
})

const stepOf = (piece: typeof Piece.Type, i: number): ScriptedModel.Step => {
  switch (piece._tag) {
    case "Whole":
      return wholeText(piece.words.join(""), 20 + i)
    case "Text":
      return text(piece.deltas, piece.item)
    case "Close":
      return close(piece.item)
    case "Pause":
      return pause(piece.millis)
    case "Disconnect":
      return disconnect
    case "Keepalive":
      return keepalive
    case "Unknown":
      return unknown({ type: "something.new" })
  }
}

/** The steps of a run; a text that is closed is not written to again. */
const stepsOf = (pieces: ReadonlyArray<typeof Piece.Type>): ReadonlyArray<ScriptedModel.Step> => {
  const closed = new Set<number>()
  return pieces.flatMap((piece, i) => {
    if (piece._tag === "Text" && closed.has(piece.item)) return []
    if (piece._tag === "Close") closed.add(piece.item)
    return [stepOf(piece, i)]
  })
}

const Pieces = Schema.Array(Piece).check(Schema.isMaxLength(25))
const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))).check(Schema.isMaxLength(4))

const over = (steps: ReadonlyArray<ScriptedModel.Step>, store: Layer.Layer<TokenStore.TokenStore>) =>
  Layer.merge(ScriptedModel.layer(steps), store)

describe.each(stores)("the prefix law, over the $name store", ({ layer, name }) => {
  law(
    "whole.slice(0, k) ++ resume(token k) = whole, for random runs and cuts",
    [Pieces, Cuts, Schema.Literals(["id", "token"])],
    ([pieces, cuts, by]) =>
      Effect.gen(function* () {
        const whole = yield* uninterrupted("whole")
        const read = yield* inPieces(analyst, "cut", cuts, by)
        // Two replays in a row that bring nothing make Baton look, and a run that is over by then comes as a snapshot.
        if (read.some((update) => update.origin === "snapshot")) assert.deepStrictEqual(joined(read), joined(whole))
        else assert.deepStrictEqual(plain(read), plain(whole))
      }).pipe(Effect.provide(over([...stepsOf(pieces), completed], layer))),
    { arbitrary: { runs: name === "memory" ? 300 : 40 } }
  )
})

describe("the prefix law", () => {
  law(
    "holds part for part where the replay is refused and a snapshot fills in",
    [Pieces, Cuts, Schema.Literals(["id", "token"])],
    ([pieces, cuts, by]) =>
      Effect.gen(function* () {
        const whole = yield* uninterrupted("whole").pipe(
          Effect.provide(over([...stepsOf(pieces), completed], TokenStore.layerMemory))
        )
        // More than a token can hold is told apart by events, but no snapshot can be continued then.
        if (
          whole.some(({ continuationToken }) => Option.exists(continuationToken, (token) => token.delivered.overflow))
        )
          return
        const read = yield* inPieces(analyst, "cut", cuts, by).pipe(
          Effect.provide(
            Layer.merge(
              ScriptedModel.layer([...stepsOf(pieces), completed], { replayFor: "1 millis" }),
              TokenStore.layerMemory
            )
          )
        )
        assert.deepStrictEqual(joined(read), joined(whole))
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("an early token is a view: it reads again, and never takes the stored position back", () =>
    Effect.gen(function* () {
      const whole = yield* uninterrupted("whole")
      const head = yield* passing(
        Stream.runCollect(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 6))
      )
      const early = Option.getOrThrow(head[1]!.continuationToken)
      const again = yield* passing(
        Stream.runCollect(Stream.take(Agent.resume(analyst, { continuationToken: early }), 2))
      )
      assert.deepStrictEqual(plain(again), plain(whole.slice(2, 4)))
      assert.deepStrictEqual((yield* recordOf("r")).position, Option.getOrThrow(head[5]!.continuationToken))
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
      assert.deepStrictEqual(plain(rest), plain(whole.slice(6)))
      const onceMore = yield* passing(Stream.runCollect(Agent.resume(analyst, { continuationToken: early })))
      assert.deepStrictEqual(plain(onceMore), plain(whole.slice(2)))
      assert.isTrue((yield* stateOf("r")).delivered)
    }).pipe(Effect.provide(over([text("a"), text(["b", "c"]), text("d"), completed], TokenStore.layerMemory)))
  )

  it.effect("a resume that is cut before its first event, or while it waits, changes nothing", () =>
    Effect.gen(function* () {
      const read = [
        ...(yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 4))))
      ]
      const collect = Stream.runForEach(Agent.resume(analyst, { runId: "r" }), (update) =>
        Effect.sync(() => void read.push(update))
      )
      yield* passing(Stream.runDrain(Stream.take(Agent.resume(analyst, { runId: "r" }), 0)))
      for (const steps of [0, 1, 2, 5, 20, 100]) {
        const fiber = yield* Effect.forkChild(collect)
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        yield* passing(Fiber.interrupt(fiber))
      }
      yield* passing(collect)
      assert.strictEqual(textOf(read), "abc")
    }).pipe(
      Effect.provide(over([text("a"), text("b"), pause("1 second"), text("c"), completed], TokenStore.layerMemory))
    )
  )

  it.effect("a snapshot that contradicts what was delivered is RunDiverged", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 5)))
      const { position } = yield* recordOf("r")
      const [place, lane, kind, count, hash, half] = position.delivered.open[0]!
      const open = [[place, lane, kind, count, (hash ^ 1) >>> 0, half] as const]
      const delivered = { ...position.delivered, open }
      const error = yield* passing(
        Effect.flip(Stream.runDrain(Agent.resume(analyst, { continuationToken: { ...position, delivered } })))
      )
      assert.strictEqual(error.reason._tag, "RunDiverged")
      assert.isFalse(error.isRetryable)
    }).pipe(
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer([text("abc"), text("def"), pause("1 second"), text("g"), completed], {
            replayFor: "1 millis"
          }),
          TokenStore.layerMemory
        )
      )
    )
  )

  it.effect("a failed run gives the same updates and the same failure at every cut", () =>
    Effect.gen(function* () {
      const whole: Array<AgentUpdate.AgentUpdate> = []
      const failure = yield* passing(
        Effect.flip(
          Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "whole" }), (update) =>
            Effect.sync(() => void whole.push(update))
          )
        )
      )
      assert.strictEqual(failure.reason._tag, "RunFailed")
      assert.strictEqual(whole.at(-1)?.status, "failed")
      for (let k = 1; k < whole.length; k++) {
        const runId = `cut-${k}`
        const read = [
          ...(yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, { input: "Hello", runId }), k))))
        ]
        const again = yield* passing(
          Effect.flip(
            Stream.runForEach(Agent.resume(analyst, { runId }), (update) => Effect.sync(() => void read.push(update)))
          )
        )
        assert.deepStrictEqual(plain(read), plain(whole))
        assert.deepStrictEqual(again.reason, failure.reason)
        assert.strictEqual(yield* statusOf(runId), "failed")
      }
    }).pipe(Effect.provide(over([text("a"), text(["b", "c"]), failed("out of order")], TokenStore.layerMemory)))
  )
})
