// What a second worker does about a run that another one holds.
import { Agent, type AgentUpdate, Run, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { analyst, count, doneWith, recordOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const steps = [text("a"), pause("10 minutes"), text("b"), pause("1 minute"), text("c"), completed]

describe.each(stores)("a run that is held ($name)", ({ layer }) => {
  const over = Layer.merge(ScriptedModel.layer(steps), layer)

  it.effect("is refused, with the name of its worker and the end of its lease", () =>
    Effect.gen(function* () {
      yield* Effect.forkChild(
        Stream.runDrain(Agent.stream(analyst, input)).pipe(Effect.provide(RunPolicy.layer({ workerName: "berlin-1" })))
      )
      yield* elapse(1000)
      for (const verb of [Stream.runDrain(Agent.resume(analyst, ref)), Agent.run(analyst, input)]) {
        const { reason } = yield* Effect.flip(verb)
        assert.strictEqual(reason._tag, "RunLeased")
        if (reason._tag === "RunLeased") {
          assert.match(reason.owner, /^berlin-1\//)
          assert.strictEqual(reason.until, (yield* recordOf("r")).lease?.expiresAt)
        }
      }
    }).pipe(Effect.provide(over))
  )

  it.effect("is waited for: the second goes on where the first left it, and nothing comes twice", () =>
    Effect.gen(function* () {
      const first: Array<AgentUpdate.AgentUpdate> = []
      const holder = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, input), (update) => Effect.sync(() => void first.push(update)))
      )
      yield* elapse(1000)
      const second = yield* Effect.forkChild(Stream.runCollect(Agent.resume(analyst, { ...ref, ifLeased: "wait" })))
      yield* elapse(200_000, 1000)
      assert.isUndefined(second.pollUnsafe())
      yield* passing(Fiber.interrupt(holder))
      assert.strictEqual(textOf(first), "a")
      assert.strictEqual(textOf(yield* passing(Fiber.join(second), 1000)), "bc")
      assert.strictEqual((yield* passing(Agent.run(analyst, { ...input, ifLeased: "wait" }))).text, "abc")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over))
  )

  it.effect("is waited for as long as the policy's schedule says", () =>
    Effect.gen(function* () {
      yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      yield* elapse(1000)
      const waiting = Stream.runDrain(Agent.resume(analyst, { ...ref, ifLeased: "wait" })).pipe(
        Effect.provide(RunPolicy.layer({ leaseRetry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 })) }))
      )
      const [duration, { reason }] = yield* passing(Effect.timed(Effect.flip(waiting)))
      assert.strictEqual(reason._tag, "RunLeased")
      assert.isAtMost(Duration.toMillis(duration), 3500)
    }).pipe(Effect.provide(over))
  )

  it.effect("is stolen: the first stops with LeaseLost, and commits nothing more", () =>
    Effect.gen(function* () {
      const first: Array<AgentUpdate.AgentUpdate> = []
      const holder = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, input), (update) => Effect.sync(() => void first.push(update)))
      )
      yield* elapse(1000)
      const { incarnation, lease, position } = yield* recordOf("r")
      const before = lease!
      const second = yield* Effect.forkChild(Stream.runCollect(Agent.resume(analyst, { ...ref, ifLeased: "steal" })))
      yield* elapse(1000)
      assert.isAbove((yield* recordOf("r")).lease!.fence, before.fence)
      const store = yield* TokenStore.TokenStore
      const stale = yield* Effect.flip(
        store.commit(
          { runId: Run.RunId.make("r"), ...before },
          {
            seen: 99,
            facts: [{ _tag: "CancelRequested", incarnation, by: "the first" }],
            position: { ordinal: 99, token: position }
          }
        )
      )
      assert.strictEqual(stale._tag, "LeaseLost")
      const { reason } = yield* passing(Effect.flip(Fiber.join(holder)), 1000)
      assert.strictEqual(reason._tag, "LeaseLost")
      assert.strictEqual(textOf(first), "a")
      assert.strictEqual(textOf(yield* passing(Fiber.join(second), 1000)), "bc")
      assert.isNull(doneWith(yield* recordOf("r")))
    }).pipe(Effect.provide(over))
  )
})
