// The watch over the times of all runs of a process: one run's trouble is none of the others'.
import { Agent, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it, vi } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Stream } from "effect"
import { analyst, count, type Services } from "../support/runs.ts"

const { completed, pause, queued } = ScriptedModel

describe("a wake-up", () => {
  it.live("that throws, in what a user calls when a run ends, is logged, and all others wake up", () =>
    Effect.gen(function* () {
      const printed = vi.spyOn(console, "log").mockImplementation(() => {})
      yield* Effect.addFinalizer(() => Effect.sync(() => printed.mockRestore()))
      // Viewers of one run would share one attachment.
      let runs = 0
      const watching = (millis: number) =>
        Effect.gen(function* () {
          const { runId } = yield* Agent.start(analyst, { input: "Hello", runId: `r${runs++}` })
          yield* Stream.runDrain(Agent.watch(analyst, { runId }))
        }).pipe(Effect.provide(RunPolicy.layer({ maxQueued: Duration.millis(millis) })))
      const context = yield* Effect.context<Services>()
      let thrown = 0
      const throwing = Effect.sync(() =>
        Effect.runCallbackWith(context)(watching(500), {
          onExit: () => {
            thrown++
            JSON.parse("no JSON of a user")
          }
        })
      )
      yield* throwing
      const others = [500, 1500].map((millis) =>
        Effect.forkChild(Effect.flip(watching(millis)), { startImmediately: true })
      )
      const fibers = yield* Effect.all(others)
      yield* throwing
      while ((yield* count("resume")) < 4) yield* Effect.sleep("1 millis")
      // The process stands still, so that what ends first ends together.
      const until = performance.now() + 1000
      while (performance.now() < until);
      assert.strictEqual((yield* Fiber.join(fibers[1]!)).reason._tag, "RunStalled")
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow
      assert.isDefined(fibers[0]!.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(fibers[0]!)).reason._tag, "RunStalled")
      assert.strictEqual(thrown, 2)
      const lines = printed.mock.calls.map((line) => line.map(String).join(" "))
      assert.strictEqual(lines.length, 2, lines.join("\n"))
      for (const line of lines) assert.match(line, /ERROR.*baton: .*no JSON/)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(ScriptedModel.layer([queued, pause("1 hour"), completed]), TokenStore.layerMemory))
    )
  )
})
