// Guarantees 2 and 3 where a write takes long: one that is under way when the stream is left is not forgotten.
import { Agent, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { analyst, count, counter, doneWith, recordOf, textOf, uninterrupted } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel

const script = [
  text("a"),
  text(["b", "c"]),
  ...Array.from({ length: 20 }, () => [pause("50 millis"), text("x")]).flat(),
  pause("10 seconds"),
  text("d"),
  completed
]
const input = { input: "Hello", runId: "r" }

/** A store whose commits take this long, before they are applied or after. */
const slow = (applied: "at once" | "late") =>
  changing(TokenStore.layerMemory, (inner) => ({
    commit: (lease, commit) =>
      applied === "late"
        ? Effect.delay(inner.commit(lease, commit), "300 millis")
        : Effect.tap(inner.commit(lease, commit), () => Effect.sleep("300 millis"))
  }))

for (const applied of ["at once", "late"] as const) {
  describe(`a store whose commits take long, and are applied ${applied}`, () => {
    const over = Layer.merge(ScriptedModel.layer(script), slow(applied))

    it.effect("interrupted at any moment, a stream leaves exactly what its consumer finished", () =>
      Effect.gen(function* () {
        const countOf = counter(yield* uninterrupted("whole"))
        for (let millis = 350; millis < 2200; millis += 70) {
          const runId = `after-${millis}`
          let finished = 0
          const fiber = yield* Effect.forkChild(
            Stream.runForEach(Agent.stream(analyst, { ...input, runId }), () => Effect.sync(() => void finished++))
          )
          yield* elapse(millis, 10)
          yield* passing(Fiber.interrupt(fiber))
          const record = yield* recordOf(runId)
          assert.strictEqual(countOf(doneWith(record)), finished, `after ${millis} ms`)
          assert.isNull(record.lease)
        }
      }).pipe(Effect.provide(over))
    )

    it.effect("interrupted while the intent or the response's name is written, a start buys nothing twice", () =>
      Effect.gen(function* () {
        for (const millis of [0, 10, 150, 310, 450, 590]) {
          const runId = `start-${millis}`
          const fiber = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, { ...input, runId })))
          yield* elapse(millis, 10)
          yield* passing(Fiber.interrupt(fiber))
          const before = yield* count("create")
          const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, { ...input, runId })))
          assert.isTrue(textOf(updates).endsWith("xd"), `after ${millis} ms`)
          assert.strictEqual(yield* count("create"), millis < 300 ? before + 1 : before, `after ${millis} ms`)
        }
      }).pipe(Effect.provide(over))
    )
  })
}
