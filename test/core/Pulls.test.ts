import { Agent, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Stream } from "effect"
import { analyst, halting, type Update } from "../support/runs.ts"
import { passing } from "../support/time.ts"

/** Pulls by hand, and gives each pull up after so many milliseconds, to pull again as long after that. */
const impatiently = Effect.fnUntraced(function* (runId: string, millis: number) {
  const updates: Array<Update> = []
  let given = 0
  const pull = yield* Stream.toPull(Agent.stream(analyst, { input: "Hello", runId }))
  while (true) {
    const some = yield* Effect.raceFirst(
      Effect.matchCause(pull, {
        onSuccess: (batch) => batch,
        onFailure: (cause) => (cause.reasons.some((reason) => Cause.isFailReason(reason)) ? undefined : [])
      }),
      Effect.as(Effect.sleep(millis), [])
    )
    if (some === undefined) return { updates, given }
    if (some.length === 0) {
      given++
      // What comes now comes while nobody waits for it.
      yield* Effect.sleep(millis)
    }
    updates.push(...some)
  }
}, Effect.scoped)

describe("a pull that is given up", () => {
  it.effect("loses nothing: the next one goes on where it was", () =>
    Effect.gen(function* () {
      const { given, updates } = yield* passing(impatiently("r", 11), 5)
      assert.isAbove(given, 20)
      assert.strictEqual(updates.map(({ text }) => text).join(""), "abcdef")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), TokenStore.layerMemory)))
  )
})
