import { BackgroundModel, Run } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Prompt } from "effect/ai"
import { TestClock } from "effect/testing"

const { completed, pause, text } = ScriptedModel

describe("ScriptedModel", () => {
  // The sum of a fraction and what is left from there can fall short of the whole: it must not wait for that for ever.
  it.effect("plays on from wherever the clock stands between two milliseconds", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      const request = { runId: Run.RunId.make("r"), agent: "a", prompt: Prompt.make("Hello"), background: true }
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
})
