// Guarantee 6: a worker counts its lease from before it asked, since the store may have granted it long before it answers.
import { Agent, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Stream } from "effect"
import { analyst } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const script = [...Array.from({ length: 100 }, () => [text("x"), pause("1 second")]).flat(), completed]

/** A worker that is cut off from the store once the run is opened: nothing but its own clock tells it of its lease. */
const cutOff = (change: Parameters<typeof changing>[1]) =>
  changing(TokenStore.layerMemory, (inner) => ({
    commit: (lease, commit) => (commit.facts === undefined ? Effect.never : inner.commit(lease, commit)),
    ...change(inner)
  }))

/** When the last update came, in seconds, and why there was none after it. */
const lastDelivered = Effect.gen(function* () {
  let last = 0
  const error = yield* Effect.flip(
    Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "r" }), () =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        last = now / 1000
      })
    )
  )
  return [last, error.reason._tag] as const
})

describe("the time of a lease of 30 seconds", () => {
  it.effect("begins before the lease was asked for", () => {
    const slow = cutOff((inner) => ({
      acquire: (id, options) => Effect.tap(inner.acquire(id, options), () => Effect.sleep("8 seconds")),
      renew: () => Effect.never
    }))
    return Effect.gen(function* () {
      const [last, reason] = yield* passing(lastDelivered, 100)
      assert.strictEqual(reason, "LeaseLost")
      assert.isAtLeast(last, 25)
      assert.isAtMost(last, 30)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), slow)))
  })

  it.effect("begins again before the renewal was asked for", () => {
    let renewals = 0
    const slow = cutOff((inner) => ({
      renew: (lease, ttl, seen) =>
        Effect.suspend(() =>
          ++renewals === 1 ? Effect.tap(inner.renew(lease, ttl, seen), () => Effect.sleep("8 seconds")) : Effect.never
        )
    }))
    return Effect.gen(function* () {
      const [last, reason] = yield* passing(lastDelivered, 100)
      assert.strictEqual(reason, "LeaseLost")
      assert.isAtLeast(last, 35)
      assert.isAtMost(last, 40)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), slow)))
  })
})
