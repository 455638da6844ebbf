// A provider that runs in the foreground what was asked for in the background says so in its first answer.
import { Agent, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schedule, Stream } from "effect"
import { modelWith } from "../support/models.ts"
import { analyst, count, recordOf, requests, stateOf, statusOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const steps = [text("a"), pause("1 hour"), text("b"), completed]

const ways = {
  stream: Stream.runDrain(Agent.stream(analyst, input)),
  "a stream with manual acknowledgement": Stream.runDrain(Agent.stream(analyst, { ...input, acknowledge: "manual" })),
  run: Effect.asVoid(Agent.run(analyst, input)),
  start: Effect.asVoid(Agent.start(analyst, input))
}
const names = ["stream", "a stream with manual acknowledgement", "run", "start"] as const

describe("a provider that drops background", () => {
  it.effect.each(names)(
    "P2: %s fails at once, nothing is left running, and the run is recorded as cancelled",
    (name) => {
      let open = 0
      const model = modelWith(
        steps,
        (inner) => ({
          create: (request) =>
            Stream.suspend(() => {
              open++
              return Stream.ensuring(
                inner.create(request),
                Effect.sync(() => void open--)
              )
            })
        }),
        { background: false }
      )
      return Effect.gen(function* () {
        const [duration, error] = yield* passing(Effect.timed(Effect.flip(ways[name])))
        assert.strictEqual(error.reason._tag, "BackgroundUnsupported")
        assert.strictEqual(error.responseId, "resp_1")
        assert.isAtMost(Duration.toSeconds(duration), 1)
        // A foreground response ends with its connection.
        assert.strictEqual(open, 0)
        assert.deepStrictEqual(yield* requests, ["create"])
        assert.strictEqual(yield* statusOf("r"), "cancelled")
        const { due, lease } = yield* recordOf("r")
        assert.isNull(lease)
        assert.isNull(due, "there is nothing for a worker to do about it")
        assert.strictEqual((yield* stateOf("r")).turns[0]?.end?.status, "cancelled")
        // Nothing is bought by asking again.
        yield* passing(Effect.exit(ways[name]))
        assert.strictEqual(yield* count("create"), 1)
      }).pipe(Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
    }
  )

  it.effect.each(["stream", "run", "start"] as const)(
    "P2: %s of a request that is not streamed fails at once, and is not polled",
    (name) =>
      Effect.gen(function* () {
        const [duration, error] = yield* passing(Effect.timed(Effect.flip(ways[name])))
        assert.strictEqual(error.reason._tag, "BackgroundUnsupported")
        assert.isAtMost(Duration.toSeconds(duration), 1)
        assert.strictEqual(yield* count("submit"), 1)
        assert.strictEqual(yield* count("retrieve"), 0)
        assert.strictEqual(yield* statusOf("r"), "cancelled")
      }).pipe(
        Effect.provide(
          Layer.merge(
            ScriptedModel.layer(steps, { background: false, demands: () => ({ streamed: false }) }),
            TokenStore.layerMemory
          )
        )
      )
  )

  it.effect.each([true, undefined])("P2: an answer that says %s is no contradiction", (background) =>
    Effect.gen(function* () {
      const { text: said } = yield* passing(Agent.run(analyst, input), 1000)
      assert.strictEqual(said, "ab")
    }).pipe(
      Effect.provide(
        Layer.merge(ScriptedModel.layer(steps, background === undefined ? {} : { background }), TokenStore.layerMemory)
      )
    )
  )

  it.effect("P2: neither is false to a run in the foreground", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(analyst, { ...input, background: false })), 1000)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).text, "ab")
    }).pipe(
      Effect.provide(RunPolicy.layer({ pollEvery: Schedule.spaced("1 second") })),
      Effect.provide(Layer.merge(ScriptedModel.layer(steps, { background: false }), TokenStore.layerMemory))
    )
  )
})
