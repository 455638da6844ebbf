// Guarantee 1 for tokens used later, again and out of order: each is a view, and none takes the stored position back.
import { Agent, type AgentUpdate, ContinuationToken, Run, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { analyst, counter, doneWith, plain, recordOf, textOf, uninterrupted } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { close, completed, disconnect, keepalive, pause, text } = ScriptedModel
type Update = AgentUpdate.AgentUpdate

const runId = "r"
const input = { input: "Hello", runId }
const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Word = Schema.String.check(Schema.isMaxLength(4))
const Piece = Schema.Struct({
  words: Schema.NonEmptyArray(Word).check(Schema.isMaxLength(3)),
  item: between(0, 3),
  before: Schema.Literals(["nothing", "disconnect", "keepalive", "pause"])
})

const stepsOf = ({ before, item, words }: typeof Piece.Type): ReadonlyArray<ScriptedModel.Step> => [
  ...(before === "disconnect" ? [disconnect] : before === "keepalive" ? [keepalive] : []),
  ...(before === "pause" ? [pause("700 millis")] : []),
  text(words, item)
]

/** One reading of the run: from where (null: where the store stands), how far, and how long after the one before. */
const Reading = Schema.Struct({
  from: Schema.NullOr(between(0, 40)),
  encoded: Schema.Boolean,
  take: between(0, 12),
  wait: between(0, 2000)
})

/** Reads so many updates and leaves; with none, leaves with the first in hand. */
const readSome = <E, R>(updates: Stream.Stream<Update, E, R>, n: number) =>
  passing(
    n > 0
      ? Stream.runCollect(Stream.take(updates, n))
      : Effect.gen(function* () {
          const reached = yield* Deferred.make<void>()
          const done = Deferred.succeed(reached, undefined)
          const inHand = Stream.runForEach(updates, () => Effect.andThen(done, Effect.never))
          const fiber = yield* Effect.forkChild(Effect.ensuring(inHand, done))
          yield* Deferred.await(reached)
          yield* Fiber.interrupt(fiber)
          const none: ReadonlyArray<Update> = []
          return none
        })
  )

const startOf = ({ incarnation }: { readonly incarnation: number }) =>
  ContinuationToken.start("analyst", Run.RunId.make(runId), incarnation)

describe.each(stores)("tokens as views, over the $name store", ({ layer, name }) => {
  law(
    "any readings from any positions are parts of the whole, and the store keeps the furthest",
    [Schema.Array(Piece).check(Schema.isMaxLength(15)), Schema.Array(Reading).check(Schema.isMaxLength(5))],
    ([pieces, readings]) =>
      Effect.gen(function* () {
        const whole = yield* uninterrupted("whole")
        const expected = plain(whole)
        const countOf = counter(whole)
        yield* readSome(Agent.stream(analyst, input), 0)
        const atStart = startOf(yield* recordOf(runId))
        const tokenAfter = (update: Update | undefined) =>
          update === undefined ? atStart : Option.getOrNull(update.continuationToken)
        // What the run has delivered so far, and how much of it the store must have.
        const known: Array<Update> = []
        let stored = 0
        for (const { encoded, from, take, wait } of [...readings, { encoded: false, from: null, take: 1e9, wait: 0 }]) {
          yield* elapse(wait)
          const position = from === null ? stored : from % (known.length + 1)
          const token = tokenAfter(known[position - 1])
          const updates =
            from === null || token === null
              ? Agent.resume(analyst, { runId })
              : Agent.resume(analyst, {
                  continuationToken: encoded ? yield* ContinuationToken.encode(token) : token
                })
          const got = yield* readSome(updates, take)
          const begin = from === null || token === null ? stored : position
          assert.deepStrictEqual(plain(got), expected.slice(begin, begin + take), `from ${begin}`)
          for (const [i, update] of got.entries()) known[begin + i] = update
          stored = Math.max(stored, begin + got.length)
          assert.strictEqual(countOf(doneWith(yield* recordOf(runId))), stored)
        }
        assert.strictEqual(stored, whole.length)
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer([...pieces.flatMap(stepsOf), completed]), layer))),
    { arbitrary: { runs: name === "memory" ? 200 : 40 } }
  )
})

describe("tokens as views", () => {
  // More texts at once than a position can hold, so that the positions after them know nothing of what was delivered.
  const crowd = Array.from({ length: 40 }, (_, item) => text(`${item} `, item))

  it.effect("a view that is filled by a snapshot does not take back a position that no snapshot can be held to", () =>
    Effect.gen(function* () {
      const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 83)))
      const stored = (yield* recordOf(runId)).position
      assert.isTrue(stored.delivered.overflow)
      yield* elapse(10_000)
      const early = Option.getOrThrow(head[10]!.continuationToken)
      const view = Agent.resume(analyst, { continuationToken: early })
      const again = yield* passing(Stream.runCollect(Stream.take(view, 10)))
      assert.strictEqual(again.at(-1)?.origin, "snapshot")
      assert.deepStrictEqual((yield* recordOf(runId)).position, stored)
      // Read to its end, the view is the rest of the run.
      const rest = yield* passing(Stream.runCollect(view))
      assert.include(textOf(rest), "the end")
      assert.isNull(doneWith(yield* recordOf(runId)))
    }).pipe(
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer(
            [
              ...crowd,
              ...Array.from({ length: 40 }, (_, item) => close(item)),
              pause("5 seconds"),
              text("the end", 40),
              completed
            ],
            { replayFor: "1 second" }
          ),
          TokenStore.layerMemory
        )
      )
    )
  )

  it.effect("a position that no snapshot can be held to is RunDiverged where only a snapshot is left", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 82)))
      yield* elapse(10_000)
      const error = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, { runId }))))
      assert.strictEqual(error.reason._tag, "RunDiverged")
      // As its message says, the whole output can still be read.
      assert.include((yield* Agent.result(analyst, { runId })).text, "0 1 2 3 4 5 6 7")
    }).pipe(
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer([...crowd, pause("5 seconds"), completed], { replayFor: "1 second" }),
          TokenStore.layerMemory
        )
      )
    )
  )
})
