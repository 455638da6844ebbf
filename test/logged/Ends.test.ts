// How a viewer learns that a run is over: after everything that the log has, and not if the log lost a part of it.
import { Agent, Run, TokenStore, UpdateLog } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { analyst, reasonOf, textOf } from "../support/runs.ts"
import { makeProcess } from "../support/schedule.ts"
import { elapse, passing } from "../support/time.ts"
import { losable } from "./chaos.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

const over = (steps: ReadonlyArray<ScriptedModel.Step>) =>
  Layer.mergeAll(ScriptedModel.layer(steps), TokenStore.layerMemory, UpdateLog.layerMemory)

const watched = Stream.runCollect(Agent.watch(analyst, ref))

describe("a viewer", () => {
  it.effect("sees updates that came to the log while it read the record", () =>
    Effect.gen(function* () {
      const viewer = yield* makeProcess("viewer")
      const consumer = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      yield* elapse(100)
      const seen = yield* Effect.forkChild(viewer.run(watched))
      yield* elapse(100)
      // It looks at the record of a run whose log does not end, and gets the answer late.
      const stop = viewer.stop("read", "before")
      yield* stop.reached
      yield* passing(Fiber.join(consumer))
      yield* stop.goOn
      assert.strictEqual(textOf(yield* passing(Fiber.join(seen))), "ab")
    }).pipe(Effect.provide(over([text("a"), pause("8 seconds"), text("b"), completed])))
  )

  it.effect("fails if the run has ended and its log lost its end", () =>
    Effect.gen(function* () {
      const { log, lose } = yield* losable
      yield* Effect.gen(function* () {
        yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
        assert.strictEqual(textOf(yield* passing(watched)), "ab")
        yield* lose(1)
        const reason = yield* reasonOf(watched)
        assert.strictEqual(reason._tag === "LogFailed" ? reason.error.kind : reason._tag, "corrupt")
        yield* log.remove(Run.RunId.make("r"))
        assert.strictEqual((yield* reasonOf(watched))._tag, "LogNotFound")
      }).pipe(Effect.provideService(UpdateLog.UpdateLog, log))
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.merge(ScriptedModel.layer([text("a"), pause("1 second"), text("b"), completed]), TokenStore.layerMemory)
      )
    )
  )
})

describe("a consumer that acknowledges by hand", () => {
  it.effect("gets everything again that it did not acknowledge, also if the run has ended", () =>
    Effect.gen(function* () {
      const all = yield* passing(Stream.runCollect(Agent.stream(analyst, { ...input, acknowledge: "manual" })))
      assert.strictEqual(textOf(all.map(({ update }) => update)), "ab")
      assert.strictEqual(textOf(yield* passing(Stream.runCollect(Agent.resume(analyst, ref)))), "ab")
    }).pipe(Effect.provide(over([text("a"), pause("1 second"), text("b"), completed])))
  )
})
