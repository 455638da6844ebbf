// Guarantee 12, as far as it can be seen from outside: what a run carries along does not grow with the run.
import { Agent, ContinuationToken, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Metric, Option, Schedule, Stream } from "effect"
import { analyst } from "../support/runs.ts"
import { Recorder, recording } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { close, completed, disconnect, pause, text } = ScriptedModel

/** Two thousand texts of ten deltas each, one after the other, each closed before the next. */
const script = [
  ...Array.from({ length: 2000 }, (_, item) => [
    ...Array.from(Array(10).keys(), (i) => text(`word ${i} `, item)),
    close(item),
    ...(item % 100 === 0 ? [pause("300 millis")] : [])
  ]).flat(),
  completed
]

describe("20,000 updates", () => {
  it.effect("carry tokens that do not grow, and write as seldom as time says", () =>
    Effect.gen(function* () {
      const recorder = yield* Recorder
      let largest = 0
      let updates = 0
      yield* passing(
        Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "r" }), ({ continuationToken }) => {
          updates++
          if (Option.isNone(continuationToken)) return Effect.void
          const { items, lanes, open } = continuationToken.value.delivered
          assert.isAtMost(items.length + lanes.length + open.length, 3)
          return updates % 1000 !== 0
            ? Effect.void
            : Effect.map(ContinuationToken.encode(continuationToken.value), (encoded) => {
                largest = Math.max(largest, encoded.length)
              })
        })
      )
      assert.isAbove(updates, 20_000)
      assert.isAtMost(largest, 200)
      // 20 pauses of 300 ms: two writes each at most, and those at the start and the end.
      assert.isAtMost(recorder.commits.length, 60)
      const sizes = recorder.commits.map(({ commit }) => JSON.stringify(commit).length)
      // The last one tells the end of the response and of the run, with its usage.
      assert.isAtMost(Math.max(...sizes.slice(0, -1)), 450)
      assert.isAtMost(sizes.at(-1) ?? 0, 850)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), recording(TokenStore.layerMemory))))
  )
})

describe("a run that takes its time", () => {
  /** The most fibers that live at once while a run is followed to its end. */
  const mostFibers = (steps: ReadonlyArray<ScriptedModel.Step>, options: ScriptedModel.Options) =>
    Effect.suspend(() => {
      let live = 0
      let most = 0
      const counting: Metric.FiberRuntimeMetricsService = {
        recordFiberStart: () => {
          most = Math.max(most, ++live)
        },
        recordFiberEnd: () => {
          live--
        }
      }
      return passing(Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId: "r" })), 1000).pipe(
        Effect.provideService(Metric.FiberRuntimeMetrics, counting),
        Effect.provide([
          ScriptedModel.layer(steps, options),
          TokenStore.layerMemory,
          RunPolicy.layer({ maxSilence: Duration.hours(9), reconnect: Schedule.spaced("10 seconds") })
        ]),
        Effect.map(() => most)
      )
    })

  it.effect("holds no more fibers after thousands of looks than after one", () =>
    Effect.gen(function* () {
      const polled = (hours: number) =>
        mostFibers([text("a"), disconnect, pause(Duration.hours(hours)), completed], { replayFor: 0 })
      const few = yield* polled(0)
      assert.isAtMost(yield* polled(4), few + 5)
    })
  )

  it.effect("holds no more fibers after hundreds of reconnects than after one", () =>
    Effect.gen(function* () {
      const cut = (times: number) =>
        mostFibers(
          [text("a"), ...Array.from({ length: times }, () => [disconnect, pause("1 minute")]).flat(), completed],
          {}
        )
      const few = yield* cut(1)
      assert.isAtMost(yield* cut(200), few + 5)
    })
  )

  it.effect("leaves no fiber behind when it is left, between two reads too", () =>
    Effect.suspend(() => {
      let live = 0
      const counting: Metric.FiberRuntimeMetricsService = {
        recordFiberStart: () => void live++,
        recordFiberEnd: () => void live--
      }
      const left = (runId: string) =>
        Agent.stream(analyst, { input: "Hello", runId }).pipe(
          Stream.takeUntil((update) => update.text === "b"),
          Stream.runDrain,
          passing
        )
      return Effect.gen(function* () {
        yield* left("first")
        const before = live
        for (let run = 0; run < 20; run++) yield* left(`r-${run}`)
        assert.strictEqual(live, before)
      }).pipe(
        Effect.provideService(Metric.FiberRuntimeMetrics, counting),
        Effect.provide(
          Layer.merge(
            ScriptedModel.layer([text("a"), pause("1 second"), text("b"), pause("1 second"), text("c"), completed]),
            TokenStore.layerMemory
          )
        )
      )
    })
  )
})
