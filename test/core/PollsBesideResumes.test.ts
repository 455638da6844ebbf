// Guarantee 6: a poll takes a run for a moment only, and nobody else is told of it (E17).
import { Agent } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { analyst, textOf } from "../support/runs.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const script = [text("a"), pause("1 second"), text("b"), completed]

describe.each(stores)("polls beside resumes, over the $name store", ({ layer: kept }) => {
  /** A store whose answers take up to 20 ms, as those of a server do. */
  const slow = changing(kept, (inner) => {
    let n = 0
    const later = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => Effect.andThen(Effect.sleep(((n++ * 7) % 20) + 1), effect))
    return {
      read: (id) => later(inner.read(id)),
      acquire: (id, options) => later(inner.acquire(id, options)),
      commit: (lease, commit) => later(inner.commit(lease, commit)),
      record: (id, fact, seen) => later(inner.record(id, fact, seen)),
      conclude: (id, options) => later(inner.conclude(id, options)),
      release: (lease, options) => later(inner.release(lease, options))
    }
  })
  it.effect("E17: of 200 resumes none is told that a poll holds its run", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 200 }, (_, i) => `r-${i}`)
      yield* passing(
        Effect.forEach(ids, (runId) => Agent.start(analyst, { input: "Hello", runId }), { concurrency: 50 })
      )
      // Each run ends while it is polled and resumed.
      yield* elapse(900, 100)
      const outcomes = yield* passing(
        Effect.forEach(
          ids,
          (runId, i) =>
            Effect.gen(function* () {
              yield* Effect.sleep((i * 13) % 200)
              const polling = yield* Effect.forkChild(
                Effect.repeat(Effect.exit(Agent.poll(analyst, { runId })), { times: 8, schedule: Schedule.spaced(3) })
              )
              yield* Effect.sleep((i * 5) % 40)
              const resumed = yield* Effect.result(Stream.runCollect(Agent.resume(analyst, { runId })))
              yield* Fiber.join(polling)
              return resumed
            }),
          { concurrency: "unbounded" }
        ),
        10
      )
      const tags = outcomes.map((outcome) =>
        outcome._tag === "Success" ? textOf(outcome.success) : outcome.failure.reason._tag
      )
      assert.deepStrictEqual(
        tags.filter((tag) => tag !== "ab"),
        []
      )
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), slow)))
  )
})
