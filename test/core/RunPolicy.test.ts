// The policy in force: what is changed counts, in every form that a duration has, and what is not changed stays.
import { RunPolicy } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"

describe("RunPolicy.layer", () => {
  it.effect("takes durations in every form that Effect reads", () =>
    Effect.gen(function* () {
      const policy = yield* RunPolicy.RunPolicy
      assert.deepStrictEqual(policy, {
        ...RunPolicy.defaults,
        leaseTime: Duration.seconds(2),
        idleTimeout: Duration.millis(500),
        maxFollowed: Duration.days(1)
      })
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: "2 seconds", idleTimeout: 500, maxFollowed: Duration.days(1) }))
    )
  )

  it.effect("changes the policy that is in force around it", () =>
    Effect.gen(function* () {
      const { closeTimeout, leaseTime } = yield* RunPolicy.RunPolicy
      assert.deepStrictEqual([closeTimeout, leaseTime], [Duration.seconds(1), Duration.seconds(9)])
    }).pipe(
      Effect.provide(
        RunPolicy.layer({ leaseTime: "9 seconds" }).pipe(
          Layer.provide(RunPolicy.layer({ leaseTime: "3 seconds", closeTimeout: "1 second" }))
        )
      )
    )
  )
})
