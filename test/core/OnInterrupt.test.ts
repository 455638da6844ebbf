// Guarantee 9: what becomes of a run whose stream is interrupted: `onInterrupt`.
import { Agent, type AgentError, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Stream } from "effect"
import { inMemory, modelWith, unreachable } from "../support/models.ts"
import { analyst, count, recordOf, requests, type Services, stateOf, statusOf } from "../support/runs.ts"
import { atProvider } from "../support/schedule.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const ref = { runId: "r" }
const silent = [text("a"), pause("1 hour"), text("b"), completed]

describe("onInterrupt", () => {
  type Failing = Effect.Effect<unknown, AgentError.AgentError, Services>
  const task = { input: "Hello", runId: "r" }
  const cancels = { onInterrupt: "cancel" } as const
  const ways = {
    stream: Stream.runDrain(Agent.stream(analyst, { ...task, ...cancels })),
    "stream by hand": Stream.runDrain(Agent.stream(analyst, { ...task, ...cancels, acknowledge: "manual" })),
    resume: Stream.runDrain(Agent.resume(analyst, { ...ref, ...cancels })),
    "resume by hand": Stream.runDrain(Agent.resume(analyst, { ...ref, ...cancels, acknowledge: "manual" })),
    run: Effect.asVoid(Agent.run(analyst, { ...task, ...cancels })),
    "stream in a busy consumer": Stream.runForEach(Agent.stream(analyst, { ...task, ...cancels }), (update) =>
      update.text === "" ? Effect.void : Effect.sleep("1 hour")
    )
  }
  const names = ["stream", "stream by hand", "resume", "resume by hand", "run", "stream in a busy consumer"] as const
  const begin = (name: (typeof names)[number]) =>
    Effect.gen(function* () {
      if (name.startsWith("resume")) yield* passing(Agent.start(analyst, task))
      const fiber = yield* Effect.forkChild(ways[name])
      yield* elapse(1000)
      return fiber
    })

  it.effect.each(names)("cancel: an interruption of %s cancels the run at the provider, and frees it", (name) =>
    Effect.gen(function* () {
      const fiber = yield* begin(name)
      const [duration] = yield* passing(Effect.timed(Fiber.interrupt(fiber)))
      assert.isAtMost(Duration.toSeconds(duration), 1)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual(yield* count("cancel"), 1)
      assert.isTrue((yield* stateOf("r")).cancelled)
      assert.isNull((yield* recordOf("r")).lease)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "cancelled")
      const { reason } = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, ref))))
      assert.strictEqual(reason._tag, "RunCancelled")
    }).pipe(Effect.provide(inMemory(silent)))
  )

  it.effect("cancel: an interruption while the request is under way cancels what it bought", () => {
    const slow = modelWith(silent, (inner) => ({
      create: (request) => Stream.unwrap(Effect.delay(Effect.succeed(inner.create(request)), "3 seconds"))
    }))
    return Effect.gen(function* () {
      const fiber = yield* begin("stream")
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "cancelled")
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(Effect.provide(Layer.merge(slow, TokenStore.layerMemory)))
  })

  it.effect("cancel: what the provider does not take at once is sent again by whoever comes next", () => {
    let isAway = true
    const model = modelWith(silent, (inner) => ({
      cancel: (responseId) => Effect.suspend(() => (isAway ? Effect.fail(unreachable) : inner.cancel(responseId)))
    }))
    return Effect.gen(function* () {
      const fiber = yield* begin("stream")
      const [duration] = yield* passing(Effect.timed(Fiber.interrupt(fiber)))
      assert.isAtMost(Duration.toSeconds(duration), 11, "leaving is bounded")
      assert.isTrue((yield* stateOf("r")).cancelled, "the wish is recorded")
      assert.isNotNull((yield* recordOf("r")).due, "and work for anybody")
      isAway = false
      yield* elapse(31_000, 500)
      const { reason } = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, ref))), 500)
      assert.strictEqual(reason._tag, "RunCancelled")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
    }).pipe(Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("cancel: a foreground run was cancelled, and not only interrupted", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Stream.runDrain(Agent.stream(analyst, { ...task, ...cancels, background: false }))
      )
      yield* elapse(1000)
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "cancelled")
      const { reason } = yield* passing(Effect.flip(Agent.result(analyst, ref)))
      assert.strictEqual(reason._tag, "RunCancelled")
      assert.strictEqual(yield* count("cancel"), 0)
    }).pipe(Effect.provide(inMemory(silent)))
  )

  it.effect.each([
    ["a consumer that has enough", Stream.runDrain(Stream.take(Agent.stream(analyst, { ...task, ...cancels }), 3))],
    [
      "a consumer that fails",
      Effect.ignore(
        Stream.runForEach(Agent.stream(analyst, { ...task, ...cancels }), (update) =>
          update.text === "" ? Effect.void : Effect.fail("no")
        )
      )
    ]
  ] as const)("cancel: %s does not cancel the run", ([, consumer]) =>
    Effect.gen(function* () {
      yield* passing(Effect.asVoid(consumer))
      assert.strictEqual(yield* count("cancel"), 0)
      assert.isFalse((yield* stateOf("r")).cancelled)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "in_progress")
    }).pipe(Effect.provide(inMemory(silent)))
  )

  it.effect.each(["leave", undefined] as const)("%s: an interruption leaves the run alone", (onInterrupt) => {
    const how = onInterrupt === undefined ? {} : { onInterrupt }
    const each: ReadonlyArray<Failing> = [
      Stream.runDrain(Agent.stream(analyst, { ...task, ...how })),
      Stream.runDrain(Agent.resume(analyst, { ...ref, ...how })),
      Agent.run(analyst, { ...task, ...how })
    ]
    return Effect.gen(function* () {
      for (const effect of each) {
        const fiber = yield* Effect.forkChild(effect)
        yield* elapse(1000)
        yield* passing(Fiber.interrupt(fiber))
        assert.isFalse((yield* stateOf("r")).cancelled)
        assert.isNull((yield* recordOf("r")).lease)
      }
      assert.deepStrictEqual(
        (yield* requests).filter((operation) => operation === "cancel"),
        []
      )
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
    }).pipe(Effect.provide(inMemory(silent)))
  })

  it.effect("cancel: a run that is over stays as it ended", () =>
    Effect.gen(function* () {
      const read: Array<AgentUpdate.AgentUpdate> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, { ...task, ...cancels }), (update) =>
          Effect.andThen(
            Effect.sync(() => void read.push(update)),
            update.status === "completed" ? Effect.sleep("1 hour") : Effect.void
          )
        )
      )
      yield* elapse(1000)
      assert.strictEqual(read.at(-1)?.status, "completed")
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual(yield* count("cancel"), 0)
      const { due, lease } = yield* recordOf("r")
      assert.isNull(lease)
      assert.isNull(due)
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(inMemory([text("a"), completed])))
  )
})
