// How long a run may stand still, and what becomes of it then.
import { Agent, BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schedule, Stream } from "effect"
import { modelWith } from "../support/models.ts"
import { analyst, count, doneWith, recordOf, textOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, keepalive, pause, queued, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const over = (
  steps: ReadonlyArray<ScriptedModel.Step>,
  policy: Partial<RunPolicy.RunPolicy>,
  options?: ScriptedModel.Options
) => Layer.mergeAll(ScriptedModel.layer(steps, options), TokenStore.layerMemory, RunPolicy.layer(policy))
const alive = Array.from({ length: 120 }, () => [pause("1 minute"), keepalive]).flat()

/** Reads until the run stalls; answers why, and after how many seconds. */
const stall = Effect.gen(function* () {
  const [duration, error] = yield* passing(
    Effect.timed(Effect.flip(Stream.runDrain(Agent.stream(analyst, input)))),
    1000
  )
  assert.isTrue(error.reason._tag === "RunStalled" && error.isRetryable)
  return [error.message, Duration.toSeconds(duration)] as const
})

describe("a run that stands still", () => {
  it.effect("queued for too long: stalled, and cancelled at the provider if the policy says so", () =>
    Effect.gen(function* () {
      const [message, seconds] = yield* stall
      assert.match(message, /queued/)
      assert.strictEqual(seconds, 600)
      assert.strictEqual(yield* count("cancel"), 1)
    }).pipe(Effect.provide(over([queued, ...alive, completed], { maxQueued: Duration.minutes(10), onStall: "cancel" })))
  )

  it.effect("silent for too long, keepalives aside: stalled, and left alone; resumed later, it goes on", () =>
    Effect.gen(function* () {
      const [message, seconds] = yield* stall
      assert.match(message, /nothing new/)
      assert.strictEqual(seconds, 1800)
      assert.strictEqual(yield* count("cancel"), 0)
      assert.isNotNull(doneWith(yield* recordOf("r")))
      assert.isNull((yield* recordOf("r")).lease)
      let rest = ""
      const resume = Stream.runForEach(Agent.resume(analyst, { runId: "r" }), (update) =>
        Effect.sync(() => void (rest += update.text))
      )
      yield* passing(Effect.retry(resume, { times: 10 }), 1000)
      assert.strictEqual(rest, "b")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over([text("a"), ...alive, text("b"), completed], { maxSilence: Duration.minutes(30) })))
  )

  it.effect("polled without anything new for too long", () =>
    Effect.gen(function* () {
      const [message, seconds] = yield* stall
      assert.match(message, /nothing new/)
      assert.isAtMost(seconds, 1900)
    }).pipe(
      Effect.provide(
        over(
          [text("a"), pause("1 minute"), ScriptedModel.disconnect, ...alive, completed],
          { maxSilence: Duration.minutes(30) },
          { replayFor: 0 }
        )
      )
    )
  )

  it.effect("followed for too long, whatever it says", () =>
    Effect.gen(function* () {
      const [message, seconds] = yield* stall
      assert.match(message, /it is under way for longer than 20m/)
      assert.strictEqual(seconds, 1200)
    }).pipe(
      Effect.provide(
        over([...Array.from({ length: 100 }, () => [text("x"), pause("1 minute")]).flat(), completed], {
          maxFollowed: Duration.minutes(20)
        })
      )
    )
  )

  it.effect("is not stalled while it progresses", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)), 1000)
      assert.strictEqual(textOf(updates), "x".repeat(100))
    }).pipe(
      Effect.provide(
        over([...Array.from({ length: 100 }, () => [text("x"), pause("1 minute")]).flat(), completed], {
          maxQueued: Duration.minutes(2),
          maxSilence: Duration.minutes(2)
        })
      )
    )
  )

  it.effect("is not stalled because its consumer is slow, and neither is its connection idle", () =>
    Effect.gen(function* () {
      const read: Array<string> = []
      const slow = Stream.runForEach(Agent.stream(analyst, input), (update) =>
        Effect.sync(() => void read.push(update.text)).pipe(
          Effect.andThen(update.text === "a" ? Effect.sleep("180 minutes") : Effect.void)
        )
      )
      yield* passing(slow, 1000)
      assert.strictEqual(read.join(""), "ab")
      assert.strictEqual(yield* count("resume"), 0)
    }).pipe(
      Effect.provide(
        // When the consumer asks again, the next text is half a minute away.
        over([text("a"), pause(Duration.minutes(180.5)), text("b"), completed], {
          maxSilence: Duration.minutes(2),
          idleTimeout: Duration.minutes(1)
        })
      )
    )
  )

  it.effect("stalls those too who wait for its result", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const waiting = Effect.timed(Effect.flip(Agent.result(analyst, { runId: "r" })))
      const [duration, error] = yield* passing(waiting, 1000)
      assert.strictEqual(error.reason._tag, "RunStalled")
      assert.strictEqual(Duration.toMinutes(duration), 10)
      assert.strictEqual(yield* count("cancel"), 1)
    }).pipe(Effect.provide(over([queued, ...alive, completed], { maxQueued: Duration.minutes(10), onStall: "cancel" })))
  )

  it.effect("before anything named its response, is Unconfirmed, and there is nothing to cancel", () =>
    Effect.gen(function* () {
      const [duration, error] = yield* passing(Effect.timed(Effect.flip(Agent.run(analyst, input))), 1000)
      assert.strictEqual(error.reason._tag, "Unconfirmed")
      assert.strictEqual(Duration.toMinutes(duration), 10)
      assert.strictEqual(yield* count("cancel"), 0)
    }).pipe(
      Effect.provide(unnamed),
      Effect.provide(over([completed], { maxQueued: Duration.minutes(10), onStall: "cancel" }))
    )
  )
})

describe("limits count from when the provider accepted the run, in whatever process", () => {
  const ref = { runId: "r" }
  const verbs = {
    resume: Stream.runDrain(Agent.resume(analyst, ref)),
    watch: Stream.runDrain(Agent.watch(analyst, ref)),
    result: Effect.asVoid(Agent.result(analyst, ref))
  }
  const names = ["resume", "watch", "result"] as const
  const minutes = Array.from({ length: 100 }, () => [text("x"), pause("1 minute")]).flat()

  it.effect.each(names)("%s of a run that was queued elsewhere waits for what is left of maxQueued", (name) =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(480_000, 1000)
      const [duration, error] = yield* passing(Effect.timed(Effect.flip(verbs[name])), 1000)
      assert.match(error.message, /it is queued for longer than 10m/)
      assert.isTrue(error.reason._tag === "RunStalled" && error.isRetryable)
      assert.strictEqual(Math.round(Duration.toSeconds(duration)), 120)
    }).pipe(Effect.provide(over([queued, ...alive, completed], { maxQueued: Duration.minutes(10) })))
  )

  it.effect.each(names)("%s of a run that is under way elsewhere waits for what is left of maxFollowed", (name) =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 4)))
      yield* elapse(900_000, 1000)
      const [duration, error] = yield* passing(Effect.timed(Effect.flip(verbs[name])), 1000)
      assert.match(error.message, /it is under way for longer than 20m/)
      assert.strictEqual(Math.round(Duration.toSeconds(duration)), 300)
    }).pipe(Effect.provide(over([...minutes, completed], { maxFollowed: Duration.minutes(20) })))
  )

  it.effect.each(names)("%s of a run that was started long ago, and is not queued any more, is not stalled", (name) => {
    const slow = modelWith([...minutes.slice(0, 40), completed], (inner) => ({
      resume: (responseId, options) =>
        Stream.unwrap(Effect.delay(Effect.succeed(inner.resume(responseId, options)), "1 second")),
      retrieve: (responseId) => Effect.delay(inner.retrieve(responseId), "1 second")
    }))
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(900_000, 1000)
      yield* passing(verbs[name], 1000)
    }).pipe(
      Effect.provide(RunPolicy.layer({ maxQueued: Duration.minutes(10) })),
      Effect.provide(Layer.merge(slow, TokenStore.layerMemory))
    )
  })
})

describe("a run whose model demands a window", () => {
  const demands = () => ({ streamed: false, window: Duration.hours(2) })
  const ref = { runId: "r" }
  /** Queued for an hour and a half, then done. */
  const late = [queued, pause("90 minutes"), text("done"), completed]
  const whole = Effect.map(Stream.runCollect(Agent.stream(analyst, input)), textOf)
  const ways = {
    stream: whole,
    run: Effect.map(Agent.run(analyst, input), (response) => response.text),
    "start, then result": Effect.andThen(
      Agent.start(analyst, input),
      Effect.map(Agent.result(analyst, ref), (response) => response.text)
    ),
    "start, then resume": Effect.andThen(
      Agent.start(analyst, input),
      Effect.map(Stream.runCollect(Agent.resume(analyst, ref)), textOf)
    )
  }

  it.effect.each(["stream", "run", "start, then result", "start, then resume"] as const)(
    "P4: %s opens it unstreamed, polls it at its pace, and does not hold it to be stalled",
    (name) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* passing(ways[name], 1000), "done")
        const { ledger } = yield* ScriptedModel.ScriptedModel
        const operations = (yield* ledger).map(({ operation }) => operation)
        assert.deepStrictEqual([...new Set(operations)], ["submit", "retrieve"])
        // Two hours in 240 looks: every half minute, for an hour and a half.
        const looks = operations.filter((operation) => operation === "retrieve").length
        assert.isAtLeast(looks, 175)
        assert.isAtMost(looks, 184)
      }).pipe(Effect.provide(over(late, { maxQueued: Duration.hours(1) }, { demands })))
  )

  it.effect("P4: is stalled when it is queued for longer than its window and the policy allow", () =>
    Effect.gen(function* () {
      const [message, seconds] = yield* stall
      assert.match(message, /it is queued for longer than 3h/)
      assert.strictEqual(Math.round(seconds), 3 * 3600)
    }).pipe(Effect.provide(over([queued, pause("9 hours"), completed], { maxQueued: Duration.hours(1) }, { demands })))
  )
})

/** A model that answers a create request with signs of life, and with nothing else. */
const unnamed = Layer.effect(
  BackgroundModel.BackgroundModel,
  Effect.map(BackgroundModel.BackgroundModel, (model) => ({
    ...model,
    create: () =>
      Stream.fromEffectSchedule(Effect.succeed({ statements: [], keepalive: true }), Schedule.spaced("1 minute"))
  }))
)
