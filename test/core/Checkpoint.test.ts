import { Agent, type AgentError, type AgentUpdate, type BackgroundModel, type TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { analyst, claimOf, counter, doneWith, recordOf, textOf, uninterrupted } from "../support/runs.ts"
import { Recorder, recording, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, disconnect, pause, text } = ScriptedModel

const script = [
  text("a"),
  text(["b", "c", "d"]),
  pause("500 millis"),
  text("e"),
  disconnect,
  text(["f", "g"]),
  pause("2 seconds"),
  text("h"),
  text("i"),
  completed
]

type Update = AgentUpdate.AgentUpdate
type Updates = Stream.Stream<Update, AgentError.AgentError, BackgroundModel.BackgroundModel | TokenStore.TokenStore>

/** What a consumer does with each update: it is finished with it when `finish` ran. */
type Work = (update: Update) => Effect.Effect<void, "stop">

/**
 * Runs a consumer of a fresh run, watches every commit, and answers how many updates it finished and how many the store
 * has as finished.
 */
const observe = <E, R>(
  runId: string,
  consume: (updates: Updates, work: Work, seen: () => number) => Effect.Effect<unknown, E, R>,
  body: Work
) =>
  Effect.gen(function* () {
    const whole = yield* uninterrupted(`${runId}-whole`)
    const countOf = counter(whole)
    const recorder = yield* Recorder
    let seen = 0
    let finished = 0
    let ahead: string | undefined
    recorder.onCommit = (commit) => {
      const claim = claimOf(commit)
      if (claim === undefined) return
      const claimed = countOf(claim)
      if (!(claimed <= finished)) ahead ??= `${claimed} claimed while ${finished} were finished`
    }
    const work: Work = (update) =>
      Effect.suspend(() => {
        seen++
        return body(update)
      }).pipe(Effect.andThen(Effect.sync(() => void finished++)))
    const exit = yield* passing(
      Effect.exit(consume(Agent.stream(analyst, { input: "Hello", runId }), work, () => seen))
    )
    const record = yield* recordOf(runId)
    assert.isUndefined(ahead)
    assert.isNull(record.lease, "the lease is released")
    const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId })))
    const committed = countOf(doneWith(record))
    assert.strictEqual(textOf(rest), textOf(whole.slice(committed)))
    return { exit, finished, committed, whole: whole.length }
  })

const quick: Work = () => Effect.void
const slow: Work = () => Effect.sleep("700 millis")
const paces: ReadonlyArray<readonly [string, Work]> = [
  ["quick", quick],
  ["slow", slow]
]

for (const { layer, name } of stores) {
  const over = Layer.merge(ScriptedModel.layer(script), recording(layer))

  describe(`the checkpoint over the ${name} store`, () => {
    for (const [pace, body] of paces) {
      it.effect(`is all, after a ${pace} consumer read to the end`, () =>
        Effect.gen(function* () {
          const { committed, finished, whole } = yield* observe(
            "r",
            (updates, work) => Stream.runForEach(updates, work),
            body
          )
          assert.strictEqual(finished, whole)
          assert.strictEqual(committed, whole)
        }).pipe(Effect.provide(over))
      )

      it.effect(`is exact when a ${pace} consumer takes some`, () =>
        Effect.gen(function* () {
          for (let k = 1; k <= 8; k++) {
            const { committed, finished } = yield* observe(
              `take-${k}`,
              (updates, work) => Stream.runForEach(Stream.take(updates, k), work),
              body
            )
            assert.strictEqual(finished, k)
            assert.strictEqual(committed, k)
          }
        }).pipe(Effect.provide(over))
      )

      it.effect(`is exact when a ${pace} consumer takes until an update`, () =>
        Effect.gen(function* () {
          const { committed, finished } = yield* observe(
            "until",
            (updates, work) =>
              Stream.runForEach(
                Stream.takeUntil(updates, (update) => update.text === "c"),
                work
              ),
            body
          )
          assert.strictEqual(committed, finished)
          assert.isAbove(finished, 3)
        }).pipe(Effect.provide(over))
      )

      it.effect(`is exact when the body of a ${pace} consumer fails`, () =>
        Effect.gen(function* () {
          for (let k = 1; k <= 8; k++) {
            const { committed, exit, finished } = yield* observe(
              `fail-${k}`,
              (updates, work, seen) =>
                Stream.runForEach(updates, (update) =>
                  seen() === k ? Effect.andThen(Effect.sleep("300 millis"), Effect.fail("stop")) : work(update)
                ),
              body
            )
            assert.isTrue(Exit.isFailure(exit))
            assert.strictEqual(finished, k)
            assert.strictEqual(committed, k)
          }
        }).pipe(Effect.provide(over))
      )

      it.effect(`is exact when the body of a ${pace} consumer dies`, () =>
        Effect.gen(function* () {
          const { committed, exit, finished } = yield* observe(
            "die",
            (updates, work, seen) =>
              Stream.runForEach(updates, (update) => (seen() === 5 ? Effect.die("broken") : work(update))),
            body
          )
          assert.isTrue(Exit.hasDies(exit))
          assert.strictEqual(finished, 5)
          assert.strictEqual(committed, 5)
        }).pipe(Effect.provide(over))
      )

      it.effect(`is exact when a ${pace} consumer is interrupted in its body`, () =>
        Effect.gen(function* () {
          const { committed, finished } = yield* observe(
            "interrupted",
            (updates, work, seen) =>
              Effect.gen(function* () {
                const reached = yield* Deferred.make<void>()
                const fiber = yield* Effect.forkChild(
                  Stream.runForEach(updates, (update) =>
                    seen() === 6 ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never) : work(update)
                  )
                )
                yield* Deferred.await(reached)
                yield* Fiber.interrupt(fiber)
              }),
            body
          )
          assert.strictEqual(finished, 6)
          assert.strictEqual(committed, 6)
        }).pipe(Effect.provide(over))
      )
    }

    it.effect("is exact when the consumer is interrupted while it waits", () =>
      Effect.gen(function* () {
        const { committed, finished } = yield* observe(
          "waiting",
          (updates, work) =>
            Effect.gen(function* () {
              const fiber = yield* Effect.forkChild(Stream.runForEach(updates, work))
              yield* Effect.sleep("300 millis")
              yield* Fiber.interrupt(fiber)
            }),
          quick
        )
        assert.isAbove(finished, 4)
        assert.strictEqual(committed, finished)
      }).pipe(Effect.provide(over))
    )

    const Pace = Schema.Literals([0, 1, 50, 200, 700])
    law(
      "is never ahead of its consumer, and exact when it is left, whatever is said, however slowly, and wherever it is cut",
      [
        Schema.NonEmptyArray(
          Schema.Tuple([Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })), Pace])
        ).check(Schema.isMaxLength(8)),
        Schema.NonEmptyArray(Pace),
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 15 })),
        Schema.Literals(["take", "fail", "die", "interrupt"])
      ],
      ([said, works, cut, how]) =>
        Effect.gen(function* () {
          let n = 0
          const { committed, finished, whole } = yield* observe(
            "r",
            (updates, work, seen) =>
              Effect.gen(function* () {
                const reached = yield* Deferred.make<void>()
                const body = (update: Update): Effect.Effect<void, "stop"> =>
                  how === "take" || seen() + 1 < cut
                    ? work(update)
                    : how === "fail"
                      ? Effect.fail("stop")
                      : how === "die"
                        ? Effect.die("broken")
                        : Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
                const reading = Stream.runForEach(how === "take" ? Stream.take(updates, cut) : updates, body)
                const fiber = yield* Effect.forkChild(Effect.ensuring(reading, Deferred.succeed(reached, undefined)))
                if (how === "interrupt") {
                  yield* Deferred.await(reached)
                  yield* Fiber.interrupt(fiber)
                }
                return yield* Fiber.await(fiber)
              }),
            () => Effect.sleep(works[n++ % works.length]!)
          )
          assert.strictEqual(committed, finished)
          assert.strictEqual(finished, Math.min(whole, how === "take" ? cut : cut - 1))
        }).pipe(
          Effect.provide(
            Layer.merge(
              ScriptedModel.layer([
                ...said.flatMap(([deltas, millis]) => [
                  text(Array.from({ length: deltas }, () => "x")),
                  ...(millis > 0 ? [pause(millis)] : [])
                ]),
                completed
              ]),
              recording(layer)
            )
          )
        ),
      { arbitrary: { runs: name === "memory" ? 100 : 25 } }
    )

    it.effect("is one after runHead", () =>
      Effect.gen(function* () {
        const { committed } = yield* observe(
          "head",
          (updates, work) => Stream.runHead(Stream.tap(updates, work)),
          quick
        )
        assert.strictEqual(committed, 1)
      }).pipe(Effect.provide(over))
    )

    it.effect("counts an update as finished when a for await loop is left in its body", () =>
      Effect.gen(function* () {
        const { committed, finished } = yield* observe(
          "loop",
          (updates, work) =>
            Effect.flatMap(Effect.context<BackgroundModel.BackgroundModel | TokenStore.TokenStore>(), (context) =>
              Effect.tryPromise(async () => {
                for await (const update of Stream.toAsyncIterableWith(updates, context)) {
                  await Effect.runPromiseWith(Context.empty())(work(update))
                  if (update.text === "c") break
                }
              })
            ),
          quick
        )
        assert.strictEqual(committed, finished)
      }).pipe(Effect.provide(over))
    )

    it.effect("is all that was finished while the model was silent", () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder
        const fiber = yield* Effect.forkChild(
          Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId: "silent" }))
        )
        yield* elapse(400)
        // Nothing was pulled since the first batch was read: what is in the store was written by the writer.
        const { position } = yield* recordOf("silent")
        assert.isAbove(position.sequenceNumber, 1)
        assert.strictEqual(recorder.operations.includes("release"), false)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(over))
    )
  })
}
