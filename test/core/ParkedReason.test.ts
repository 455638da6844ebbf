// Why a run is parked stands in the store and in listings: what was wrong, in a line, without a stack.
import { Agent, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Layer, Stream } from "effect"

class DiskFull extends Data.TaggedError("DiskFull")<{ readonly message: string }> {}

const agent = Agent.make("writer", { background: true })

const failures: ReadonlyArray<readonly [how: string, failure: Effect.Effect<never, unknown>, reason: string]> = [
  ["an error of its own", Effect.fail(new DiskFull({ message: "the disk is full" })), "DiskFull: the disk is full"],
  ["a defect", Effect.die(new TypeError("no such column")), "TypeError: no such column"],
  ["an error without a message", Effect.fail(new RangeError()), "RangeError"],
  ["a text", Effect.fail("no disk"), "Error: no disk"],
  ["nothing at all", Effect.failCause(Cause.empty), "its handle failed with an empty cause"],
  [
    "several at once",
    Effect.failCause(Cause.fromReasons([Cause.makeFailReason("a"), Cause.makeDieReason("b")])),
    "Error: a; Error: b"
  ]
]

describe("a handle that fails for good", () => {
  it.live.each(failures)("by %s", ([, failure, reason]) =>
    Effect.gen(function* () {
      yield* Agent.enqueue(agent, { input: "Write.", runId: "r-1" })
      const worker = Runs.worker([agent], {
        concurrency: 1,
        maxAttempts: 1,
        startJitter: 0,
        handle: ({ updates }) => Effect.andThen(Stream.runDrain(Stream.take(updates, 1)), failure)
      })
      yield* Effect.scoped(
        Effect.andThen(Layer.build(worker), Runs.wait("r-1", { until: ({ parked }) => parked !== null }))
      )
      const { parked } = yield* Runs.get("r-1")
      assert.strictEqual(parked?.reason, reason)
    }).pipe(
      Effect.provide([
        ScriptedModel.layer([ScriptedModel.text("Hello"), ScriptedModel.completed]),
        TokenStore.layerMemory,
        RunPolicy.layer({ leaseTime: "1 minute" })
      ])
    )
  )
})
