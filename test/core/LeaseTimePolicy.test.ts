// Guarantee 6: a lease time of any length is kept, by readers and by workers (E17).
import { Agent, Run, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { inMemory } from "../support/models.ts"
import { analyst, doneWith, recordOf, statusOf, textOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const script = [text("a"), pause("1 second"), text("b"), completed]
const idOfR = Run.RunId.make("r")

describe("RunPolicy.leaseTime", () => {
  const times: ReadonlyArray<readonly [string, Duration.Input]> = [
    ["infinity", Duration.infinity],
    ["zero", 0],
    ["1 nanosecond", "1 nano"],
    ["a year", "365 days"]
  ]
  it.effect.each(times)("E17: %s is no defect: runs are read to their end, and held by one worker", ([, leaseTime]) =>
    Effect.gen(function* () {
      const reading = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
      yield* elapse(500, 1)
      const { lease } = yield* recordOf("r")
      assert.isNotNull(lease)
      assert.isTrue(Number.isFinite(lease.expiresAt))
      const second = yield* Effect.exit(Stream.runDrain(Agent.resume(analyst, ref)))
      assert.isTrue(Exit.isFailure(second))
      assert.isFalse(Exit.hasDies(second))
      assert.strictEqual(textOf(yield* passing(Fiber.join(reading), 2)), "ab")
      assert.isNull(doneWith(yield* recordOf("r")))
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.fromInputUnsafe(leaseTime) })),
      Effect.provide(inMemory(script))
    )
  )

  it.effect.each(times)("E17: %s: a parked run is given back, and given up", ([, leaseTime]) =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const parkedNow = Effect.gen(function* () {
        const { lease, record } = yield* store.acquire(idOfR, { owner: "w", ttl: Duration.minutes(1) })
        const seen = record.journal.length
        yield* store.release(lease, { seen, due: Duration.infinity, parked: "for a test", attempt: "keep" })
      })
      yield* passing(Agent.start(analyst, input))
      yield* parkedNow
      yield* Runs.retry("r")
      const { due, parked } = yield* recordOf("r")
      assert.isNull(parked)
      assert.isNotNull(due)
      yield* parkedNow
      yield* Runs.discard("r")
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.fromInputUnsafe(leaseTime) })),
      Effect.provide(inMemory(script))
    )
  )

  it.effect.each(times)("E17: %s: a run whose starter died is found by a worker", ([, leaseTime]) =>
    Effect.gen(function* () {
      // The starter dies as soon as the run is recorded.
      const starting = yield* Effect.forkChild(Agent.run(analyst, input))
      yield* elapse(3000)
      yield* passing(Fiber.interrupt(starting))
      const { due, lease } = yield* recordOf("r")
      assert.isNull(lease)
      assert.isNotNull(due)
      assert.isTrue(Number.isFinite(due))
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.fromInputUnsafe(leaseTime) })),
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer(script),
          changing(TokenStore.layerMemory, () => ({ acquire: () => Effect.never }))
        )
      )
    )
  )
})
