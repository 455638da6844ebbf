// Guarantees 3 and 6: how often positions are written, and one worker at a time.
import { Agent, type AgentUpdate, RunPolicy, TokenStore, TokenStoreError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Metric, Option, Stream } from "effect"
import { analyst, doneWith, recordOf, statusOf, textOf } from "../support/runs.ts"
import { changing, Recorder, recording } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const away = new TokenStoreError.TokenStoreError({ operation: "commit", kind: "unavailable", description: "away" })

type Store = Layer.Layer<TokenStore.TokenStore>
const over = (steps: ReadonlyArray<ScriptedModel.Step>, store: Store = TokenStore.layerMemory) =>
  Layer.merge(ScriptedModel.layer(steps), store)

/** A hundred texts, one every 20 ms; then a silence; then the end. */
const paced = [
  ...Array.from({ length: 100 }, () => [text("x"), pause("20 millis")]).flat(),
  pause("5 seconds"),
  completed
]

describe("the cadence", () => {
  it.effect(
    "writes at most every 200 ms while updates flow, the latest, and the last one while the model is silent",
    () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder
        const fiber = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
        yield* elapse(4000, 10)
        const positions = recorder.commits.filter(({ commit }) => commit.facts === undefined)
        for (const [i, { at }] of positions.entries()) {
          if (i > 0) assert.isAtLeast(at - positions[i - 1]!.at, 200)
        }
        assert.isAtLeast(positions.length, 9)
        assert.isAtMost(positions.length, 12)
        // The consumer asked for more after the last update, and the model is silent.
        assert.strictEqual((yield* recordOf("r")).position.sequenceNumber, 102)
        yield* passing(Fiber.interrupt(fiber))
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(paced), recording(TokenStore.layerMemory))))
  )

  it.effect("has one write in flight, however slow the store", () => {
    let inFlight = 0
    let most = 0
    const slow = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() => {
          most = Math.max(most, ++inFlight)
          return Effect.sleep("700 millis")
        }).pipe(Effect.andThen(inner.commit(lease, commit)), Effect.ensuring(Effect.sync(() => void inFlight--)))
    }))
    return Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
      assert.strictEqual(most, 1)
      assert.isNull(doneWith(yield* recordOf("r")))
    }).pipe(Effect.provide(over(paced, slow)))
  })

  it.effect("writes at once when the stream is left, and when the last update is finished with", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 5)), 1)
      assert.strictEqual((yield* recordOf("r")).position.sequenceNumber, 4)
      yield* passing(Stream.runDrain(Agent.resume(analyst, ref)), 500)
      assert.isNull(doneWith(yield* recordOf("r")))
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(Effect.provide(over(paced)))
  )

  it.effect("a last write that fails, or hangs, is counted and bounded, and is no defect", () => {
    let broken: "no" | "fails" | "hangs" = "no"
    const store = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() =>
          broken === "no" ? inner.commit(lease, commit) : broken === "fails" ? Effect.fail(away) : Effect.never
        )
    }))
    const failures = Effect.map(Metric.snapshot, (metrics) => {
      const counter = metrics.find(({ id }) => id === "baton.final_writes.failed")
      return counter?.type === "Counter" ? Number(counter.state.count) : 0
    })
    return Effect.gen(function* () {
      const before = yield* failures
      for (const how of ["fails", "hangs"] as const) {
        broken = "no"
        const fiber = yield* Effect.forkChild(
          Effect.timed(
            Stream.runForEach(Stream.take(Agent.stream(analyst, { ...input, runId: how }), 5), (update) =>
              Effect.sync(() => {
                if (update.text !== "") broken = how
              })
            )
          )
        )
        const [duration] = yield* passing(Fiber.join(fiber))
        assert.isAtMost(Duration.toSeconds(duration), 6)
      }
      assert.strictEqual((yield* failures) - before, 2)
    }).pipe(Effect.provide(over(paced, store)))
  })
})

describe("the lease", () => {
  const long = [text("a"), pause("10 minutes"), text("b"), completed]

  it.effect("keeps a second worker out, for as long as the first advances the run, and is free at once after it", () =>
    Effect.gen(function* () {
      const first = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      yield* elapse(120_000, 1000)
      const error = yield* Effect.flip(Stream.runDrain(Agent.resume(analyst, ref)))
      assert.isTrue(error.isRetryable)
      const { lease } = yield* recordOf("r")
      assert.isTrue(
        error.reason._tag === "RunLeased" &&
          error.reason.owner === lease?.owner &&
          error.reason.until === lease.expiresAt
      )
      const watched = yield* passing(Stream.runCollect(Stream.take(Agent.watch(analyst, ref), 4)))
      assert.strictEqual(textOf(watched), "a")
      yield* passing(Fiber.interrupt(first))
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 1000)
      assert.strictEqual(textOf(rest), "b")
    }).pipe(Effect.provide(over(long)))
  )

  it.effect("is released after a failure, a defect, and an early end", () =>
    Effect.gen(function* () {
      const updates = Agent.stream(analyst, input)
      yield* passing(Effect.exit(Stream.runForEach(updates, () => Effect.fail("no"))))
      assert.isNull((yield* recordOf("r")).lease)
      yield* passing(Effect.exit(Stream.runForEach(updates, () => Effect.die("no"))))
      assert.isNull((yield* recordOf("r")).lease)
      yield* passing(Stream.runHead(updates))
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(Effect.provide(over(long)))
  )

  it.effect(
    "two workers on one run at once, one paused for longer than its lease: the stale one delivers no more, commits nothing, and says so",
    () => {
      let renewals = true
      // The store of a worker whose renewals do not arrive, and who does not hear of it.
      const cutOff = changing(TokenStore.layerMemory, (inner) => ({
        renew: (lease, ttl, seen) => Effect.suspend(() => (renewals ? inner.renew(lease, ttl, seen) : Effect.never))
      }))
      return Effect.gen(function* () {
        const recorder = yield* Recorder
        const delivered: Array<AgentUpdate.AgentUpdate> = []
        const stale = yield* Effect.forkChild(
          Stream.runForEach(Agent.stream(analyst, input), (update) => {
            delivered.push(update)
            // Its consumer holds one update for longer than the lease.
            return update.text === "b" ? Effect.sleep("5 minutes") : Effect.void
          })
        )
        yield* elapse(25_000, 500)
        renewals = false
        yield* elapse(60_000, 500)
        renewals = true
        const other = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 500)
        const fence = recorder.commits.at(-1)!.lease.fence
        const error = yield* passing(Effect.flip(Fiber.join(stale)), 1000)
        assert.strictEqual(error.reason._tag, "LeaseLost")
        assert.strictEqual(textOf(delivered), "ab")
        assert.strictEqual(textOf(other), "bcd")
        assert.isNull(doneWith(yield* recordOf("r")))
        assert.strictEqual(yield* statusOf("r"), "completed")
        assert.isAbove(fence, recorder.commits[0]!.lease.fence)
        assert.isTrue(
          recorder.commits
            .slice(recorder.commits.findIndex(({ lease }) => lease.fence === fence))
            .every(({ lease }) => lease.fence === fence)
        )
      }).pipe(
        Effect.provide(
          Layer.merge(
            ScriptedModel.layer([text("a"), pause("20 seconds"), text("b"), text("c"), text("d"), completed]),
            recording(cutOff)
          )
        )
      )
    }
  )

  it.effect("stolen while this worker believes in its own: the next write is refused, and ends it", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const stale = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      yield* elapse(1000)
      const { lease, runId } = yield* recordOf("r")
      yield* store.release({ runId, ...lease! }, { seen: 99, due: Duration.zero, attempt: "back" })
      const ttl = Duration.minutes(1)
      const taken = yield* store.acquire(runId, { owner: "other", ttl })
      assert.isAbove(taken.lease.fence, lease!.fence)
      const [took, error] = yield* passing(Effect.timed(Effect.flip(Fiber.join(stale))), 100)
      assert.strictEqual(error.reason._tag, "LeaseLost")
      // The next renewal comes seconds later.
      assert.isAtMost(Duration.toMillis(took), 1000)
      assert.strictEqual((yield* recordOf("r")).ordinal, taken.record.ordinal)
    }).pipe(Effect.provide(over(paced)))
  )

  it.live("over while the process stood still: noticed before the next update is delivered", () =>
    Effect.gen(function* () {
      const delivered: Array<string> = []
      const standStill = Effect.sync(() => {
        const until = performance.now() + 1200
        while (performance.now() < until);
      })
      const error = yield* Effect.flip(
        Stream.runForEach(Agent.stream(analyst, input), (update) => {
          delivered.push(update.text)
          return update.text === "a" ? standStill : Effect.void
        })
      )
      assert.strictEqual(error.reason._tag, "LeaseLost")
      assert.strictEqual(delivered.join(""), "a")
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.seconds(1) })),
      Effect.provide(over([text("a"), text("b"), text("c"), completed]))
    )
  )

  it.effect("lost while the network is silent: noticed without waiting for the model", () => {
    const cutOff = changing(TokenStore.layerMemory, () => ({ renew: () => Effect.never }))
    return Effect.gen(function* () {
      const [duration, error] = yield* passing(
        Effect.timed(Effect.flip(Stream.runDrain(Agent.stream(analyst, input)))),
        500
      )
      assert.strictEqual(error.reason._tag, "LeaseLost")
      assert.isAtMost(Duration.toSeconds(duration), 31)
    }).pipe(Effect.provide(over(long, cutOff)))
  })

  it.effect(
    "with the store away, delivery goes on until the lease is over; a store back in time is not noticed",
    () => {
      let isAway = false
      const store = changing(TokenStore.layerMemory, (inner) => ({
        commit: (lease, commit) => Effect.suspend(() => (isAway ? Effect.fail(away) : inner.commit(lease, commit))),
        renew: (lease, ttl, seen) => Effect.suspend(() => (isAway ? Effect.fail(away) : inner.renew(lease, ttl, seen)))
      }))
      const steps = [...Array.from({ length: 120 }, () => [text("x"), pause("1 second")]).flat(), completed]
      return Effect.gen(function* () {
        const short = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, { ...input, runId: "short" })))
        yield* elapse(12_000, 100)
        isAway = true
        yield* elapse(15_000, 100)
        isAway = false
        assert.strictEqual(textOf(yield* passing(Fiber.join(short))), "x".repeat(120))
        const delivered: Array<string> = []
        const reading = yield* Effect.forkChild(
          Stream.runForEach(Agent.stream(analyst, { ...input, runId: "long" }), (update) =>
            Effect.sync(() => void delivered.push(update.text))
          )
        )
        yield* elapse(12_000, 100)
        isAway = true
        const error = yield* passing(Effect.flip(Fiber.join(reading)))
        assert.strictEqual(error.reason._tag, "StoreFailed")
        assert.isTrue(error.isRetryable)
        const before = delivered.join("").length
        assert.isAtLeast(before, 30)
        isAway = false
        yield* elapse(31_000, 500)
        const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "long" })), 500)
        assert.isAtLeast(before + textOf(rest).length, 120)
        assert.isTrue(
          rest.every(({ continuationToken, status }) => Option.isSome(continuationToken) || status === "completed")
        )
      }).pipe(Effect.provide(over(steps, store)), Effect.provide(RunPolicy.layer({})))
    }
  )
})
