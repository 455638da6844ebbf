// The clock jumping: deadlines, leases and waits go by monotonic time, whatever becomes of the wall clock.
import { Agent, BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Result, Stream } from "effect"
import { AiError } from "effect/ai"
import { off } from "../support/clock.ts"
import { analyst, count, recordOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, fail, keepalive, pause, queued, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const hour = 3_600_000

/** A clock that jumps by these hours, one jump after each of its seconds. */
const jumping = (hours: ReadonlyArray<number>) =>
  Layer.effect(
    Clock.Clock,
    Effect.map(Clock.Clock, (clock) =>
      off(clock, () => hours[Number(clock.monotonicTimeNanosUnsafe() / 1_000_000_000n) % hours.length]! * hour)
    )
  )

/** How an effect ends, and after how many seconds of monotonic time. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* Clock.monotonicTimeNanos
    const result = yield* passing(Effect.result(effect), 500)
    return [Number((yield* Clock.monotonicTimeNanos) - before) / 1e9, result] as const
  })

/** A provider whose clock does not jump. */
const truthful = (steps: ReadonlyArray<ScriptedModel.Step>) =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const model = yield* BackgroundModel.BackgroundModel
      return {
        ...model,
        create: (request: BackgroundModel.ModelRequest) =>
          Stream.provideService(model.create(request), Clock.Clock, clock),
        submit: (request: BackgroundModel.ModelRequest) =>
          Effect.provideService(model.submit(request), Clock.Clock, clock),
        resume: (responseId: string, options: { readonly after?: number }) =>
          Stream.provideService(model.resume(responseId, options), Clock.Clock, clock),
        retrieve: (responseId: string) => Effect.provideService(model.retrieve(responseId), Clock.Clock, clock)
      }
    })
  ).pipe(Layer.provideMerge(ScriptedModel.layer(steps)))

const jumps: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
  ["forwards", [0, 1, 2, 5, 24, 48, 100]],
  ["backwards", [0, -1, -2, -5, -24, -48, -100]],
  ["to and fro", [0, 48, -48, 3, -1]]
]

describe.each(jumps)("the wall clock jumping %s", (_, hours) => {
  const over = (steps: ReadonlyArray<ScriptedModel.Step>, policy: Partial<RunPolicy.RunPolicy> = {}) =>
    Layer.mergeAll(truthful(steps), TokenStore.layerMemory, RunPolicy.layer(policy))
  const under = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(effect, jumping(hours))
  const stream = Stream.runCollect(Agent.stream(analyst, input))
  const alive = Array.from({ length: 120 }, () => [pause("1 minute"), keepalive]).flat()

  it.effect("deadlines: a queued run stalls after as long as the policy says, and no sooner", () =>
    Effect.gen(function* () {
      const [seconds, result] = yield* timed(under(stream))
      assert.isTrue(Result.isFailure(result) && result.failure.reason._tag === "RunStalled")
      assert.strictEqual(seconds, 600)
    }).pipe(Effect.provide(over([queued, ...alive, completed], { maxQueued: Duration.minutes(10) })))
  )

  it.effect("idle timers: a silent connection is given up after as long as the policy says", () =>
    Effect.gen(function* () {
      const [seconds, result] = yield* timed(under(stream))
      assert.strictEqual(Result.isSuccess(result) && textOf(result.success), "ab")
      assert.isAtMost(seconds, 240)
      // 200 s of silence, 90 s each: given up twice, and not more often.
      assert.strictEqual(yield* count("resume"), 2)
    }).pipe(Effect.provide(over([text("a"), pause("200 seconds"), text("b"), completed])))
  )

  it.effect("retries: what the provider asks for is waited, and polls keep their pace", () =>
    Effect.gen(function* () {
      const [seconds, result] = yield* timed(under(stream))
      assert.strictEqual(Result.isSuccess(result) && textOf(result.success), "ab")
      assert.isAtLeast(seconds, 300)
      assert.isAtMost(seconds, 305)
      yield* Agent.start(analyst, { ...input, runId: "s" })
      const [polled] = yield* timed(under(Agent.result(analyst, { runId: "s" })))
      assert.isAtLeast(polled, 60)
      assert.isAtMost(polled, 63)
      assert.isAtMost(yield* count("retrieve"), 32)
    }).pipe(
      Effect.provide(
        over([
          fail(new AiError.RateLimitError({ retryAfter: Duration.minutes(4) })),
          text("a"),
          pause("1 minute"),
          text("b"),
          completed
        ])
      )
    )
  )

  for (const { layer, name } of stores) {
    it.effect(`leases, over the ${name} store: held while renewed, over when their time is, and not before`, () =>
      Effect.gen(function* () {
        const reasonOf = passing(
          under(Effect.result(Stream.runDrain(Stream.take(Agent.resume(analyst, ref), 1)))).pipe(
            Effect.map(Result.match({ onFailure: ({ reason }) => String(reason._tag), onSuccess: () => "free" }))
          )
        )
        const worker = yield* Effect.forkChild(under(stream))
        yield* elapse(1000)
        for (let i = 0; i < 20; i++) {
          yield* elapse(7000, 500)
          assert.strictEqual(yield* reasonOf, "RunLeased", `${i * 7} s later`)
        }
        yield* passing(Fiber.interrupt(worker))
        // A worker that is killed: its lease ends 30 s later.
        const store = yield* TokenStore.TokenStore
        const { runId } = yield* recordOf("r")
        yield* under(store.acquire(runId, { owner: "dead", ttl: Duration.seconds(30) }))
        for (let i = 1; i <= 9; i++) {
          yield* elapse(3000, 500)
          assert.strictEqual(yield* reasonOf, "RunLeased", `${i * 3} s after its death`)
        }
        yield* elapse(4000, 500)
        assert.strictEqual(yield* reasonOf, "free")
      }).pipe(Effect.provide(Layer.merge(truthful([text("a"), ...alive.slice(0, 10), text("b"), completed]), layer)))
    )
  }
})
