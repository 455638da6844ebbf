// Guarantee 9 at its edges: a provider that goes on all the same, and a worker that died before it opened anything.
import { Agent, type AgentUpdate, Run, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import { analyst, count, recordOf, requests, statusOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const script = [text("a"), pause("1 minute"), text("b"), completed]

describe.each(stores)("cancelling, over the $name store", ({ layer }) => {
  it.effect("a cancel that the provider ignores: the run is told to all as completed, and nothing is lost", () =>
    Effect.gen(function* () {
      const read: Array<AgentUpdate.AgentUpdate> = []
      const worker = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, input), (update) => Effect.sync(() => void read.push(update)))
      )
      yield* elapse(1000)
      const response = yield* passing(Agent.cancel(analyst, ref))
      assert.strictEqual(response.status, "completed")
      assert.strictEqual(response.text, "ab")
      yield* passing(Fiber.join(worker))
      assert.strictEqual(textOf(read), "ab")
      assert.strictEqual(read.at(-1)?.status, "completed")
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.deepStrictEqual((yield* requests).slice(0, 2), ["create", "cancel"])
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script, { cancels: false }), layer)))
  )

  it.effect("a run whose worker died before it opened anything: cancelled once its lease is over", () =>
    Effect.gen(function* () {
      // The worker got as far as the lease, and was killed.
      yield* passing(Agent.run(analyst, { ...input, runId: "other" }))
      const store = yield* TokenStore.TokenStore
      const { agent, background, session } = yield* recordOf("other")
      const runId = Run.RunId.make("r")
      yield* store.create({ runId, agent, background, session, digest: "of the input" })
      yield* store.acquire(runId, { owner: "dead", ttl: Duration.seconds(30) })
      const [duration, response] = yield* passing(Effect.timed(Agent.cancel(analyst, ref)))
      assert.strictEqual(response.status, "cancelled")
      assert.isTrue(Option.isNone(response.continuationToken))
      assert.isAtLeast(Duration.toSeconds(duration), 29)
      assert.isAtMost(Duration.toSeconds(duration), 35)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "cancelled")
      const error = yield* Effect.flip(Stream.runDrain(Agent.resume(analyst, ref)))
      assert.strictEqual(error.reason._tag, "RunCancelled")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), layer)))
  )
})
