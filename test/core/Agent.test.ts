import { Agent, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { plain, recordOf, statusOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { completed, disconnect, pause, text } = ScriptedModel

const analyst = Agent.make("analyst", { instructions: "Write reports.", background: true })

const script = [text("a"), text(["b", "c"]), pause("1 second"), disconnect, text("d"), text("e"), completed]

const over = (steps: ReadonlyArray<ScriptedModel.Step>, options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)

describe("Agent", () => {
  it.effect("streams a run to its end", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
      assert.strictEqual(updates.map((update) => update.text).join(""), "abcde")
      assert.deepStrictEqual(updates.at(-1)?.status, "completed")
      assert.isTrue(Option.isNone(updates.at(-1)!.continuationToken))
      const again = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
      assert.deepStrictEqual(again, [])
      assert.strictEqual(yield* statusOf("r"), "completed")
      const record = yield* recordOf("r")
      assert.isNull(record.lease)
      // Nothing is left to do, so no worker looks at it again.
      assert.isNull(record.due)
      const ledger = yield* Effect.flatMap(ScriptedModel.ScriptedModel, (model) => model.ledger)
      assert.deepStrictEqual(
        ledger.map((entry) => entry.operation),
        ["create", "resume"]
      )
    }).pipe(Effect.provide(over(script)))
  )

  it.effect("continues at every cut exactly where it was left", () =>
    Effect.gen(function* () {
      const whole = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "whole" })))
      for (let k = 0; k <= whole.length; k++) {
        const runId = `cut-${k}`
        const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, { input: "Hello", runId }), k)))
        const tail = yield* passing(
          Stream.runCollect(
            k === 0 ? Agent.stream(analyst, { input: "Hello", runId }) : Agent.resume(analyst, { runId })
          )
        )
        assert.deepStrictEqual(plain([...head, ...tail]), plain(whole), `cut after ${k}`)
      }
    }).pipe(Effect.provide(over(script)))
  )
})
