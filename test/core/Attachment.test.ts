// Guarantee 4: a stream ends only at a terminal event, and only progress resets the schedule.
import { Agent, BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, Ref, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { denied, modelWith, unreachable } from "../support/models.ts"
import { analyst, count, requests, textOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { completed, disconnect, fail, keepalive, pause, text } = ScriptedModel
const over = (steps: ReadonlyArray<ScriptedModel.Step>, options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)
const input = { input: "Hello", runId: "r" }
const read = passing(Stream.runCollect(Agent.stream(analyst, input)), 500)

const network = new AiError.NetworkError({ reason: "TransportError", method: "GET", url: "https://example.com" })

describe("an attachment", () => {
  it.effect("that ends, breaks, or ends again is opened again where it was", () =>
    Effect.gen(function* () {
      assert.strictEqual(textOf(yield* read), "abcd")
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const afters = (yield* ledger).flatMap(({ operation, after }) => (operation === "resume" ? [after] : []))
      // created 0, in progress 1, start 2, a 3 | b 4 | c 5
      assert.deepStrictEqual(afters, [3, 4, 5])
    }).pipe(
      Effect.provide(
        over([text("a"), disconnect, text("b"), fail(network), text("c"), disconnect, text("d"), completed])
      )
    )
  )

  it.effect("in the middle of an event of several parts goes on with the part after", () =>
    Effect.gen(function* () {
      const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 5)))
      const tail = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
      assert.deepStrictEqual([textOf(head), textOf(tail)], ["ab", "cd"])
      const { ledger } = yield* ScriptedModel.ScriptedModel
      assert.strictEqual((yield* ledger).at(-1)?.after, 2)
    }).pipe(Effect.provide(over([text(["a", "b", "c"]), text("d"), completed])))
  )

  it.effect("that is silent for longer than the policy allows is given up, and keepalives are signs of life", () =>
    Effect.gen(function* () {
      assert.strictEqual(textOf(yield* read), "ab")
      // 80 s between keepalives is life; 200 s of silence is given up twice.
      assert.deepStrictEqual(yield* requests, ["create", "resume", "resume"])
    }).pipe(
      Effect.provide(
        over([
          text("a"),
          ...Array.from({ length: 10 }, () => [pause("80 seconds"), keepalive]).flat(),
          pause("200 seconds"),
          text("b"),
          completed
        ])
      )
    )
  )

  const silentAgain = [...Array.from({ length: 50 }, () => [keepalive, disconnect]).flat(), pause("1 hour"), completed]

  it.effect("that brings only keepalives, of a run that no look shows alive: the schedule comes to its end", () =>
    Effect.gen(function* () {
      const error = yield* passing(Effect.flip(Agent.run(analyst, input)), 500)
      assert.strictEqual(error.reason._tag === "AiError" && error.reason.reason._tag, "NetworkError")
      assert.isTrue(error.isRetryable)
      assert.isAtMost(yield* count("resume"), 5)
    }).pipe(
      Effect.provide(RunPolicy.layer({ reconnect: Schedule.recurs(5) })),
      Effect.provide(
        Layer.merge(
          modelWith(silentAgain, () => ({ retrieve: () => Effect.fail(unreachable) })),
          TokenStore.layerMemory
        )
      )
    )
  )

  it.effect.each([
    ["is never answered", () => Effect.never],
    ["shows it alive", undefined]
  ] as const)(
    "that brings only keepalives, of a run whose look %s, is stalled if the policy limits its silence",
    ([, retrieve]) =>
      Effect.gen(function* () {
        const [duration, error] = yield* passing(Effect.timed(Effect.flip(Agent.run(analyst, input))), 500)
        assert.strictEqual(error.reason._tag, "RunStalled")
        assert.isTrue(error.isRetryable)
        assert.strictEqual(Math.round(Duration.toSeconds(duration)), 300)
      }).pipe(
        Effect.provide(RunPolicy.layer({ maxSilence: Duration.minutes(5) })),
        Effect.provide(
          Layer.merge(
            modelWith(silentAgain, () => (retrieve === undefined ? {} : { retrieve })),
            TokenStore.layerMemory
          )
        )
      )
  )

  it.effect("E12: that closes without an event thirty times, while each look shows the run alive, goes on", () => {
    const attached: Array<number> = []
    const closing = (inner: BackgroundModel.BackgroundModel["Service"]) => ({
      resume: (responseId: string, options: { readonly after?: number }) =>
        Stream.unwrap(
          Effect.gen(function* () {
            attached.push(yield* Clock.currentTimeMillis)
            return attached.length > 30
              ? inner.resume(responseId, options)
              : Stream.drain(Stream.fromEffect(Effect.sleep("1 second")))
          })
        )
    })
    return Effect.gen(function* () {
      const [duration, updates] = yield* passing(Effect.timed(Stream.runCollect(Agent.stream(analyst, input))), 500)
      assert.strictEqual(textOf(updates), "ab")
      assert.deepStrictEqual([...new Set(updates.map(({ origin }) => origin))], ["live", "replay"])
      assert.isAtMost(Duration.toMinutes(duration), 11)
      // The pauses grow and stay long, so that a run that is alive is not asked after more and more often.
      const gaps = attached.slice(1).map((at, i) => at - attached[i]!)
      for (const [i, gap] of gaps.slice(8, 30).entries()) assert.isAtLeast(gap, 6000, `pause ${i + 8}`)
      assert.isAtMost(yield* count("retrieve"), 40)
    }).pipe(
      Effect.provide(
        Layer.merge(
          modelWith([text("a"), disconnect, pause("10 minutes"), text("b"), completed], closing),
          TokenStore.layerMemory
        )
      )
    )
  })

  it.effect("that brings one event each time goes on for ever", () =>
    Effect.gen(function* () {
      assert.strictEqual(textOf(yield* read), "x".repeat(60))
      assert.strictEqual(yield* count("resume"), 60)
    }).pipe(
      Effect.provide(RunPolicy.layer({ reconnect: Schedule.recurs(2) })),
      Effect.provide(over([...Array.from({ length: 60 }, () => [text("x"), disconnect]).flat(), completed]))
    )
  )

  it.effect("waits as long as the provider asks, above a minute too", () =>
    Effect.gen(function* () {
      const [duration] = yield* passing(Effect.timed(Stream.runDrain(Agent.stream(analyst, input))), 500)
      assert.isAtLeast(Duration.toSeconds(duration), 600)
      assert.isAtMost(Duration.toSeconds(duration), 610)
    }).pipe(
      Effect.provide(
        over([text("a"), fail(new AiError.RateLimitError({ retryAfter: Duration.minutes(10) })), text("b"), completed])
      )
    )
  )

  it.effect("that fails for good is settled by a look: the run goes on", () =>
    Effect.gen(function* () {
      assert.strictEqual(textOf(yield* read), "ab")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over([text("a"), fail(denied), text("b"), completed])))
  )

  it.effect("that is refused for good, as the look is, fails the stream, and the run can be resumed later", () => {
    let isDenied = true
    const refusing = (inner: BackgroundModel.BackgroundModel["Service"]) => ({
      resume: (responseId: string, options: { readonly after?: number }) =>
        Stream.suspend(() => (isDenied ? Stream.fail(denied) : inner.resume(responseId, options))),
      retrieve: (responseId: string) =>
        Effect.suspend(() => (isDenied ? Effect.fail(denied) : inner.retrieve(responseId)))
    })
    return Effect.gen(function* () {
      const [duration, error] = yield* passing(Effect.timed(Effect.flip(Agent.run(analyst, input))))
      assert.strictEqual(error.reason._tag === "AiError" && error.reason.reason._tag, "AuthenticationError")
      assert.isAtMost(Duration.toSeconds(duration), 2)
      isDenied = false
      assert.strictEqual((yield* passing(Agent.run(analyst, input))).text, "ab")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(
      Effect.provide(
        Layer.merge(modelWith([text("a"), disconnect, text("b"), completed], refusing), TokenStore.layerMemory)
      )
    )
  })

  it.effect("whose events come twice, and once more, delivers each once", () =>
    Effect.gen(function* () {
      assert.strictEqual(textOf(yield* read), "abc")
    }).pipe(Effect.provide(twice(over([text("a"), disconnect, text(["b", "c"]), completed]))))
  )

  it.effect("falls back to polling where the replay is refused, and polls on the policy's schedule", () =>
    Effect.gen(function* () {
      const [duration, updates] = yield* passing(Effect.timed(Stream.runCollect(Agent.stream(analyst, input))), 500)
      assert.strictEqual(textOf(updates), "abc")
      assert.deepStrictEqual(
        updates.map(({ origin }) => origin).filter((origin, i, all) => origin !== all[i - 1]),
        ["live", "snapshot"]
      )
      assert.isAtMost(Duration.toSeconds(duration), 65)
      assert.isAtMost(yield* count("retrieve"), 31)
    }).pipe(
      Effect.provide(
        over([text("a"), pause("10 seconds"), disconnect, text("b"), pause("50 seconds"), text("c"), completed], {
          replayFor: "1 second"
        })
      )
    )
  )

  it.effect("polled for longer than the policy says is stalled, and can be resumed", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const error = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, { runId: "r" }))), 500)
      assert.strictEqual(error.reason._tag, "RunStalled")
      assert.strictEqual(yield* count("retrieve"), 4)
      const result = yield* passing(Effect.flip(Agent.result(analyst, { runId: "r" })), 500)
      assert.strictEqual(result.reason._tag, "RunStalled")
    }).pipe(
      Effect.provide(RunPolicy.layer({ pollEvery: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 })) })),
      // A response that cannot be streamed again is polled.
      Effect.provide(over([pause("1 hour"), completed], { capabilities: { resume: false } }))
    )
  )
})

/** A model whose every connection says all of the last ten events again, and everything twice. */
const twice = <R>(layer: Layer.Layer<BackgroundModel.BackgroundModel | R>) =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      const said = yield* Ref.make<ReadonlyArray<BackgroundModel.ModelEvent>>([])
      const repeating = <E>(events: Stream.Stream<BackgroundModel.ModelEvent, E>) =>
        Stream.fromEffect(Ref.get(said)).pipe(
          Stream.flatMap(Stream.fromIterable),
          Stream.concat(
            events.pipe(
              Stream.tap((event) => Ref.update(said, (all) => [...all, event].slice(-10))),
              Stream.flatMap((event) => Stream.make(event, event))
            )
          )
        )
      return {
        ...model,
        create: (request: BackgroundModel.ModelRequest) => repeating(model.create(request)),
        resume: (responseId: string, options: { readonly after?: number }) =>
          repeating(model.resume(responseId, options))
      }
    })
  ).pipe(Layer.provideMerge(layer))
