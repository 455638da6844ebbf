// Guarantees 9 and 10: stopping is not leaving, and every end is told as it was.
import { Agent, type AgentUpdate, BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count, recordOf, requests, statusOf, textOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, fail, failed, incomplete, pause, text } = ScriptedModel
const over = (steps: ReadonlyArray<ScriptedModel.Step>, options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)

const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

/** What a consumer is given, and how its stream ended. */
const heard = Effect.fnUntraced(function* <E, R>(stream: Stream.Stream<AgentUpdate.AgentUpdate, E, R>) {
  const updates: Array<AgentUpdate.AgentUpdate> = []
  const exit = yield* Effect.result(Stream.runForEach(stream, (update) => Effect.sync(() => void updates.push(update))))
  return { updates, failure: exit._tag === "Failure" ? exit.failure : undefined }
})

const reasonOf = <A, R>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

const scenario = (
  name: string,
  steps: ReadonlyArray<ScriptedModel.Step>,
  end: {
    readonly status: string
    readonly reason?: string
    readonly finish?: string
  }
) =>
  describe(name, () => {
    it.effect("streamed, resumed, run, watched", () =>
      Effect.gen(function* () {
        const first = yield* passing(heard(Agent.stream(analyst, input)))
        assert.strictEqual(first.updates.at(-1)?.status, end.status)
        assert.isTrue(Option.isNone(first.updates.at(-1)!.continuationToken))
        assert.isTrue(first.updates.slice(0, -1).every((update) => Option.isSome(update.continuationToken)))
        assert.strictEqual(first.failure?.reason._tag, end.reason)
        const again = yield* passing(heard(Agent.resume(analyst, ref)))
        assert.deepStrictEqual(again.updates, [])
        assert.deepStrictEqual(again.failure?.reason, first.failure?.reason)
        const watched = yield* passing(heard(Agent.watch(analyst, ref)))
        assert.strictEqual(textOf(watched.updates), textOf(first.updates))
        assert.strictEqual(watched.failure?.reason._tag, end.reason)
        const run = yield* passing(Effect.result(Agent.run(analyst, input)))
        if (end.reason === undefined) {
          assert.isTrue(run._tag === "Success" && Option.getOrNull(run.success.finishReason) === end.finish)
        } else {
          assert.isTrue(run._tag === "Failure" && run.failure.reason._tag === end.reason)
        }
        assert.strictEqual(yield* statusOf("r"), end.status)
        assert.strictEqual(yield* count("create"), 1)
      }).pipe(Effect.provide(over(steps)))
    )

    it.effect("started and polled", () =>
      Effect.gen(function* () {
        const started = yield* Agent.start(analyst, input)
        assert.strictEqual(started.status, "in_progress")
        assert.strictEqual(started.text, "")
        assert.isTrue(Option.isSome(started.continuationToken))
        yield* elapse(2000)
        const polled = yield* Agent.poll(analyst, ref)
        assert.strictEqual(polled.status, end.status)
        assert.isTrue(Option.isNone(polled.continuationToken))
        assert.strictEqual(polled.text, "ab")
        // What failed is no part of the conversation.
        assert.deepStrictEqual(polled.session, end.reason === undefined ? { previousResponseId: "resp_1" } : {})
        const result = yield* passing(Effect.result(Agent.result(analyst, ref)))
        assert.strictEqual(result._tag === "Failure" ? result.failure.reason._tag : undefined, end.reason)
        // Polling claims no position: whoever streams the run still reads all of it.
        const streamed = yield* passing(heard(Agent.resume(analyst, ref)))
        assert.strictEqual(textOf(streamed.updates), "ab")
        assert.strictEqual(streamed.failure?.reason._tag, end.reason)
      }).pipe(Effect.provide(over(steps)))
    )
  })

const written = [text("a"), pause("1 second"), text("b")]
scenario("completed", [...written, completed], { status: "completed", finish: "stop" })
scenario("incomplete", [...written, incomplete("length")], { status: "incomplete", finish: "length" })
scenario("failed", [...written, failed("the model is ill")], { status: "failed", reason: "RunFailed" })

describe("expired", () => {
  it.effect("E1: a response that the provider no longer has fails the run, without an update", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 3)))
      const { position } = yield* recordOf("r")
      yield* BackgroundModel.BackgroundModel.use((model) => model.remove("resp_1"))
      const [duration, rest] = yield* passing(Effect.timed(heard(Agent.resume(analyst, ref))))
      assert.deepStrictEqual(rest.updates, [])
      assert.strictEqual(rest.failure?.reason._tag, "RunExpired")
      // One answer may be that of a gateway.
      assert.strictEqual(yield* count("retrieve"), 5)
      assert.isAtLeast(Duration.toMillis(duration), 1000)
      assert.deepStrictEqual((yield* recordOf("r")).position, position)
      assert.strictEqual(yield* reasonOf(passing(Stream.runDrain(Agent.resume(analyst, ref)))), "RunExpired")
      assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "expired")
    }).pipe(Effect.provide(over([...written, completed])))
  )
})

describe("cancel", () => {
  const long = [text("a"), pause("1 hour"), text("b"), completed]

  it.effect("stop versus disconnect: leaving a stream is not cancelling", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      yield* elapse(1000)
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual(yield* count("cancel"), 0)
      assert.isNull((yield* recordOf("r")).lease)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "in_progress")
    }).pipe(Effect.provide(over(long)))
  )

  it.effect("from elsewhere: who advances the run and who watches it are told, after their last update", () =>
    Effect.gen(function* () {
      const worker = yield* Effect.forkChild(heard(Agent.stream(analyst, input)))
      yield* elapse(500)
      const watcher = yield* Effect.forkChild(heard(Agent.watch(analyst, ref)))
      yield* elapse(500)
      const response = yield* passing(Agent.cancel(analyst, ref))
      assert.strictEqual(response.status, "cancelled")
      // At a real provider the stream ends by itself; here the connection is silent until it is given up.
      for (const fiber of [worker, watcher]) {
        const { failure, updates } = yield* passing(Fiber.join(fiber), 1000)
        assert.strictEqual(failure?.reason._tag, "RunCancelled")
        assert.strictEqual(updates.at(-1)?.status, "cancelled")
      }
      assert.strictEqual(yield* reasonOf(Stream.runDrain(Agent.resume(analyst, ref))), "RunCancelled")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over(long)))
  )

  it.effect("of a run that is over: told as it ended, and nothing is changed", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, input))
      const response = yield* passing(Agent.cancel(analyst, ref))
      assert.strictEqual(response.status, "completed")
      assert.strictEqual(response.text, "ab")
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(over([text("a"), text("b"), completed])))
  )

  it.effect("without waiting: returns once the provider was asked", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const response = yield* Agent.cancel(analyst, { ...ref, wait: false })
      assert.strictEqual(response.status, "cancelled")
      assert.deepStrictEqual(yield* requests, ["create", "cancel", "retrieve"])
    }).pipe(Effect.provide(over(long)))
  )

  it.effect("before anything was opened: nothing ever is", () =>
    Effect.gen(function* () {
      const refused = yield* passing(Effect.flip(Agent.run(analyst, input)))
      assert.strictEqual(refused.reason._tag, "AiError")
      const creates = yield* count("create")
      const response = yield* passing(Agent.cancel(analyst, ref))
      assert.strictEqual(response.status, "cancelled")
      assert.strictEqual(yield* reasonOf(passing(Agent.run(analyst, input))), "RunCancelled")
      assert.strictEqual((yield* passing(Agent.start(analyst, input))).status, "cancelled")
      assert.strictEqual(yield* count("create"), creates)
      assert.strictEqual(yield* count("submit"), 0)
    }).pipe(
      Effect.provide(RunPolicy.layer({ requestRetry: Schedule.recurs(0) })),
      Effect.provide(over([fail(new AiError.RateLimitError({})), text("a"), completed]))
    )
  )

  it.effect("of a run whose request was refused for good: it has failed, and nothing is changed", () =>
    Effect.gen(function* () {
      const refused = yield* passing(Effect.flip(Agent.run(analyst, input)))
      assert.strictEqual(refused.reason._tag === "AiError" && refused.reason.reason._tag, "AuthenticationError")
      assert.strictEqual(yield* statusOf("r"), "failed")
      const response = yield* passing(Agent.cancel(analyst, ref))
      assert.strictEqual(response.status, "failed")
      assert.isTrue(Option.isNone(response.continuationToken))
      const again = yield* passing(Effect.flip(Agent.run(analyst, input)))
      assert.deepStrictEqual(again.reason, refused.reason)
      assert.deepStrictEqual(yield* requests, ["create"])
      assert.isFalse((yield* recordOf("r")).journal.some(({ _tag }) => _tag === "CancelRequested"))
    }).pipe(Effect.provide(over([fail(new AiError.AuthenticationError({ kind: "InvalidKey" })), text("a"), completed])))
  )

  it.effect("while a refused request waits to be sent again: it is not sent", () =>
    Effect.gen(function* () {
      const worker = yield* Effect.forkChild(heard(Agent.stream(analyst, input)))
      yield* elapse(1000)
      const canceller = yield* Effect.forkChild(Agent.cancel(analyst, ref))
      const [duration, { failure }] = yield* passing(Effect.timed(Fiber.join(worker)), 1000)
      // It learns of the cancel by its next renewal, and does not wait for the minute to be over.
      assert.isAtMost(Duration.toSeconds(duration), 15)
      assert.strictEqual(failure?.reason._tag, "RunCancelled")
      assert.strictEqual((yield* passing(Fiber.join(canceller), 1000)).status, "cancelled")
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(yield* statusOf("r"), "cancelled")
    }).pipe(
      Effect.provide(
        over([fail(new AiError.RateLimitError({ retryAfter: Duration.minutes(1) })), text("a"), completed])
      )
    )
  )

  it.effect("while the request is under way: passed on as soon as there is something to cancel", () =>
    Effect.gen(function* () {
      const worker = yield* Effect.forkChild(heard(Agent.stream(analyst, input)))
      yield* elapse(100)
      const canceller = yield* Effect.forkChild(Agent.cancel(analyst, ref))
      const { failure } = yield* passing(Fiber.join(worker), 1000)
      assert.strictEqual(failure?.reason._tag, "RunCancelled")
      assert.strictEqual((yield* passing(Fiber.join(canceller), 1000)).status, "cancelled")
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(yield* count("cancel"), 1)
    }).pipe(Effect.provide(slowCreate(over(long))))
  )
})

/** A model that takes a second to answer a create request. */
const slowCreate = <R>(layer: Layer.Layer<BackgroundModel.BackgroundModel | R>) =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (model) => ({
      ...model,
      create: (request: BackgroundModel.ModelRequest) =>
        Stream.unwrap(
          Effect.delay(
            Effect.sync(() => model.create(request)),
            "1 second"
          )
        )
    }))
  ).pipe(Layer.provideMerge(layer))

describe("remove", () => {
  it.effect("forgets the run at the provider and in the store", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, input))
      yield* Agent.remove(analyst, ref)
      assert.strictEqual(yield* count("remove"), 1)
      assert.strictEqual(yield* reasonOf(Agent.poll(analyst, ref)), "RunNotFound")
    }).pipe(Effect.provide(over([completed])))
  )

  it.effect("is refused while a worker advances the run", () =>
    Effect.gen(function* () {
      yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      yield* elapse(100)
      assert.strictEqual(yield* reasonOf(Agent.remove(analyst, ref)), "RunLeased")
      assert.strictEqual(yield* count("remove"), 0)
    }).pipe(Effect.provide(over([pause("1 hour"), completed])), Effect.provide(RunPolicy.layer({})))
  )
})
