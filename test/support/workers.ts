import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { passing } from "./time.ts"

/** Options of a worker that is soon done with little work. */
export const quick = { concurrency: 10, claimEvery: "500 millis", startJitter: "1 milli" } as const

/** Launches a layer in a scope of its own, and answers what closes it. */
export const launch = <E, R>(layer: Layer.Layer<never, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return passing(Scope.close(scope, Exit.void))
  })

/** What a fiber came to, which has to be over by now. */
export const doneBy = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.suspend(() => {
    assert.isDefined(fiber.pollUnsafe(), "it is over by now")
    return Fiber.join(fiber)
  })
