// Guarantee 4 for whoever polls: an outage of the provider, or its refusals for now, end no wait for a run.
import { Agent, type BackgroundModel, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { AiError } from "effect/ai"
import { aiError, modelWith, unreachable } from "../support/models.ts"
import { analyst, recordOf, stateOf, textOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
type Model = BackgroundModel.BackgroundModel["Service"]
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const steps = [text("a"), pause("5 seconds"), text("b"), pause("20 seconds"), text("c"), completed]

/** A provider that is away for so long, from a second after its first request on. */
const away = (millis: number, error: AiError.AiError, options: ScriptedModel.Options = {}) => {
  const seen = { failed: 0 }
  let from: number | undefined
  const reached = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    from ??= now + 1000
    if (now < from || now >= from + millis) return Effect.void
    seen.failed++
    return Effect.fail(error)
  })
  const change = (inner: Model): Partial<Model> => ({
    create: (request) => Stream.unwrap(Effect.as(Effect.orDie(reached), inner.create(request))),
    resume: (responseId, asked) => Stream.unwrap(Effect.as(reached, inner.resume(responseId, asked))),
    retrieve: (responseId) => Effect.andThen(reached, inner.retrieve(responseId)),
    cancel: (responseId) => Effect.andThen(reached, inner.cancel(responseId))
  })
  return { seen, layer: Layer.merge(modelWith(steps, change, options), TokenStore.layerMemory) }
}

const limited = aiError(new AiError.RateLimitError({ retryAfter: Duration.seconds(7) }))
const outages: ReadonlyArray<readonly [string, number, AiError.AiError]> = [
  ["every connection is reset for 15 s", 15_000, unreachable],
  ["every connection is reset for 60 s", 60_000, unreachable],
  ["every request is refused for now for 60 s", 60_000, limited]
]

describe.each(outages)("E10: while %s", (_, millis, error) => {
  it.effect("a cancel that nobody can take now is taken in the end", () => {
    const { layer, seen } = away(millis, error)
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(1500, 100)
      const response = yield* passing(Agent.cancel(analyst, ref), 100)
      assert.isTrue(["cancelled", "completed"].includes(response.status))
      assert.isAtLeast(seen.failed, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a result is waited for", () => {
    const { layer, seen } = away(millis, error)
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const [duration, response] = yield* passing(Effect.timed(Agent.result(analyst, ref)), 100)
      assert.strictEqual(response.text, "abc")
      assert.isAtLeast(seen.failed, 2)
      assert.isAtMost(seen.failed, 25)
      assert.isAtMost(Duration.toSeconds(duration), Math.max(26, millis / 1000) + 14)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the end of a run that is cancelled, and goes on all the same, is waited for", () => {
    const { layer, seen } = away(millis, error, { cancels: false })
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const response = yield* passing(Agent.cancel(analyst, ref), 100)
      assert.strictEqual(response.text, "abc")
      assert.isAtLeast(seen.failed, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["replays", Duration.infinity],
    ["polls", Duration.zero]
  ] as const)("a worker that %s brings the run to its end in one attempt", ([, replayFor]) => {
    const { layer, seen } = away(millis, error, { replayFor })
    const attempts: Array<number> = []
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(900, 100)
      const scope = yield* Scope.make()
      let said = ""
      const worker = Runs.worker([analyst], {
        concurrency: 10,
        claimEvery: "500 millis",
        startJitter: "0 millis",
        handle: ({ attempt, updates }) => {
          attempts.push(attempt)
          return Stream.runForEach(updates, (update) => Effect.sync(() => void (said += update.text)))
        }
      })
      yield* Layer.buildWithScope(Layer.fresh(worker), scope)
      yield* elapse(120_000, 500)
      assert.deepStrictEqual(attempts, [1])
      assert.strictEqual(said, "abc")
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
      assert.isTrue((yield* stateOf("r")).delivered)
      if (replayFor === Duration.zero) assert.isAtLeast(seen.failed, 2)
      yield* passing(Scope.close(scope, Exit.void))
    }).pipe(Effect.provide(layer))
  })

  it.effect("and a consumer that is done before the run is: the worker sees it to its end", () => {
    const { layer, seen } = away(millis, error, { replayFor: 0 })
    let calls = 0
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(900, 100)
      const scope = yield* Scope.make()
      const worker = Runs.worker([analyst], {
        concurrency: 10,
        claimEvery: "500 millis",
        startJitter: "0 millis",
        handle: () => Effect.sync(() => void calls++)
      })
      yield* Layer.buildWithScope(Layer.fresh(worker), scope)
      yield* elapse(120_000, 500)
      assert.strictEqual(calls, 1)
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
      assert.isNull((yield* recordOf("r")).parked)
      assert.isAtLeast(seen.failed, 2)
      yield* passing(Scope.close(scope, Exit.void))
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["streams", Duration.infinity],
    ["polls", Duration.zero]
  ] as const)("a stream that %s goes on", ([, replayFor]) => {
    const { layer } = away(millis, error, { replayFor })
    return Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(2000, 100)
      const updates = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 100)
      assert.strictEqual(textOf(updates), "abc")
    }).pipe(Effect.provide(layer))
  })
})

const hints = [
  ["says when to come again", Duration.seconds(1)],
  ["does not say when to come again", undefined]
] as const

describe.each(hints)("E10: a provider that allows five looks a second, and %s", (...[, retryAfter]) => {
  /** Looks and refusals, by the second of the run. An answer takes its time. */
  const limiting = () => {
    const looks = new Map<number, number>()
    const refusals = new Map<number, number>()
    const change = (inner: Model): Partial<Model> => ({
      retrieve: (responseId) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const second = Math.floor(now / 1000)
          const before = looks.get(second) ?? 0
          looks.set(second, before + 1)
          if (before < 5) return Effect.delay(inner.retrieve(responseId), "200 millis")
          refusals.set(second, (refusals.get(second) ?? 0) + 1)
          const limit = new AiError.RateLimitError(retryAfter === undefined ? {} : { retryAfter })
          return Effect.delay(Effect.fail(aiError(limit)), "100 millis")
        })
    })
    const script = [text("a"), pause("1 minute"), text("b"), completed]
    return {
      refusals,
      looks,
      layer: Layer.merge(modelWith(script, change, { capabilities: { resume: false } }), TokenStore.layerMemory)
    }
  }
  const ids = Array.from({ length: 50 }, (_, i) => `r-${i}`)
  const ways = {
    "wait for results": (runId: string) => Effect.map(Agent.result(analyst, { runId }), (response) => response.text),
    "poll streams": (runId: string) => Effect.map(Stream.runCollect(Agent.resume(analyst, { runId })), textOf)
  }

  it.effect.each(["wait for results", "poll streams"] as const)("fifty that %s share one pace, and all end", (name) => {
    const { layer, looks, refusals } = limiting()
    return Effect.gen(function* () {
      for (const runId of ids) yield* Agent.start(analyst, { input: "Hello", runId })
      const fiber = yield* Effect.forkChild(Effect.forEach(ids, ways[name], { concurrency: "unbounded" }))
      const [duration, texts] = yield* passing(Effect.timed(Fiber.join(fiber)), 50)
      assert.deepStrictEqual(new Set(texts), new Set(["ab"]))
      const begin = Math.min(...looks.keys())
      const after = (seconds: number) =>
        [...refusals].flatMap(([second, refused]) => (second - begin > seconds ? [refused] : []))
      // Fifty that begin together know nothing of the limit yet.
      assert.isAtMost(Math.max(0, ...after(0)), 8)
      assert.isAtMost(Math.max(0, ...after(10)), 3)
      assert.isAtMost(
        after(0).reduce((sum, refused) => sum + refused, 0),
        60
      )
      assert.isAtMost(Duration.toSeconds(duration), 120)
    }).pipe(Effect.provide(RunPolicy.layer({ leaseTime: Duration.minutes(5) })), Effect.provide(layer))
  })
})
