// A provider that says once that it does not have a response may be a gateway, or a wrong key for a second: that is no end.
import { Agent, BackgroundModel, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import { modelWith } from "../support/models.ts"
import { analyst, count, recordOf, stateOf, statusOf, textOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, disconnect, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const steps = [text("a"), text("b"), disconnect, text("c"), pause("3 seconds"), text("d"), completed]
const over = (options: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)

/** Nobody has recorded that the response of this run is gone. */
const isKept = (runId: string) =>
  Effect.map(recordOf(runId), ({ journal }) =>
    assert.isFalse(journal.some((fact) => fact._tag === "ResponseEnded" && fact.status === "expired"))
  )

/** Lets a worker bring runs to their end; what it read of each. */
const worked = Effect.fnUntraced(function* (millis: number) {
  const texts = new Map<string, string>()
  const scope = yield* Scope.make()
  const worker = Runs.worker([analyst], {
    concurrency: 50,
    claimEvery: "500 millis",
    startJitter: "0 millis",
    handle: ({ runId, updates }) =>
      Stream.runForEach(updates, (update) =>
        Effect.sync(() => void texts.set(runId, (texts.get(runId) ?? "") + update.text))
      )
  })
  yield* Layer.buildWithScope(Layer.fresh(worker), scope)
  yield* elapse(millis, 100)
  yield* passing(Scope.close(scope, Exit.void))
  return texts
})

describe("a provider that says once that it does not have a response", () => {
  it.effect("E1: for a replay: the run is replayed again, and nothing is lost", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.strictEqual(textOf(updates), "abcd")
      assert.deepStrictEqual([...new Set(updates.map(({ origin }) => origin))], ["live", "replay"])
      assert.strictEqual(yield* count("resume"), 2)
      yield* isKept("r")
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(over({ gone: { resume: 1 } })))
  )

  const twice = { gone: { retrieve: 2 }, replayFor: 0 }
  const ways = {
    stream: Effect.map(Stream.runCollect(Agent.stream(analyst, input)), textOf),
    run: Effect.map(Agent.run(analyst, input), (response) => response.text),
    result: Effect.andThen(
      Agent.start(analyst, input),
      Effect.map(Agent.result(analyst, ref), (response) => response.text)
    ),
    watch: Effect.andThen(
      Agent.start(analyst, input),
      Effect.map(Stream.runCollect(Agent.watch(analyst, ref)), textOf)
    ),
    poll: Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* Effect.sleep("5 seconds")
      return (yield* Agent.poll(analyst, ref)).text
    }),
    cancel: Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* Effect.sleep("5 seconds")
      return (yield* Agent.cancel(analyst, ref)).text
    })
  }
  it.effect.each(["stream", "run", "result", "watch", "poll", "cancel"] as const)(
    "E1: for two looks of %s: nothing is recorded of it, and nothing is lost",
    (name) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* passing(ways[name]), "abcd")
        yield* isKept("r")
        assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
      }).pipe(Effect.provide(over(twice)))
  )

  it.effect("E1: for two looks of a worker: it brings the run to its end", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const texts = yield* worked(20_000)
      assert.strictEqual(texts.get("r"), "abcd")
      yield* isKept("r")
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
    }).pipe(Effect.provide(over(twice)))
  )

  it.effect.each([
    ["a live run", steps],
    ["a run that is over", [text("ab"), text("cd"), completed]]
  ] as const)("E1: a worker with a wrong key for a second ends none of 27 runs: %s", ([, script]) => {
    const condition = { wrongUntil: 0, refused: 0 }
    const wrong = (responseId: string) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now >= condition.wrongUntil) return Effect.void
        condition.refused++
        return Effect.fail(new BackgroundModel.ResponseGone({ responseId }))
      })
    const model = modelWith(script, (inner) => ({
      resume: (responseId, options) => Stream.unwrap(Effect.as(wrong(responseId), inner.resume(responseId, options))),
      retrieve: (responseId) => Effect.andThen(wrong(responseId), inner.retrieve(responseId)),
      cancel: (responseId) => Effect.andThen(wrong(responseId), inner.cancel(responseId))
    }))
    return Effect.gen(function* () {
      const ids = Array.from({ length: 27 }, (_, i) => `r-${i}`)
      for (const runId of ids) yield* Agent.start(analyst, { input: "Hello", runId })
      condition.wrongUntil = (yield* Clock.currentTimeMillis) + 1000
      const texts = yield* worked(60_000)
      assert.isAtLeast(condition.refused, 27)
      for (const runId of ids) {
        assert.strictEqual(texts.get(runId), "abcd", runId)
        yield* isKept(runId)
        assert.strictEqual((yield* stateOf(runId)).ended?.status, "completed")
      }
    }).pipe(Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("E1: and goes on saying so, is believed: once for all, without an update, with the position kept", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 4)))
      const { position } = yield* recordOf("r")
      const model = yield* BackgroundModel.BackgroundModel
      yield* model.remove("resp_1")
      const [duration, error] = yield* passing(
        Effect.timed(Effect.flip(Stream.runForEach(Agent.resume(analyst, ref), () => Effect.die("an update"))))
      )
      assert.strictEqual(error.reason._tag, "RunExpired")
      assert.isAtLeast(Duration.toSeconds(duration), 2)
      assert.isAtMost(Duration.toSeconds(duration), 10)
      assert.strictEqual((yield* stateOf("r")).ended?.status, "expired")
      assert.deepStrictEqual((yield* recordOf("r")).position, position)
    }).pipe(Effect.provide(RunPolicy.layer({ leaseRetry: Schedule.spaced("1 second") })), Effect.provide(over({})))
  )
})
