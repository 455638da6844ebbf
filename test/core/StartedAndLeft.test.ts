// Guarantee 10: a run whose process started it and left, or is gone: what others are told of it.
import { Agent, type AgentError, BackgroundModel, Run, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { inMemory, usingTokens } from "../support/models.ts"
import {
  analyst,
  count,
  halting,
  recordOf,
  requests,
  type Services,
  stateOf,
  statusOf,
  textOf
} from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }

describe("a run that was started and left", () => {
  const ref = { runId: "r" }

  it.effect("N1: is watched live, and its text comes in the pieces in which it was written", () =>
    Effect.gen(function* () {
      const started = yield* passing(Agent.start(analyst, input))
      assert.isFalse(Run.isOver(started.status))
      assert.deepStrictEqual(yield* requests, ["create"], "as a stream")
      assert.isNull((yield* recordOf("r")).lease, "and left")
      const pieces: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Agent.watch(analyst, ref), ({ text: piece }) => Effect.sync(() => void pieces.push(piece)))
      )
      yield* elapse(100)
      assert.deepStrictEqual(
        pieces.filter((piece) => piece !== ""),
        ["a", "b", "c"],
        "before the rest is written"
      )
      yield* passing(Fiber.join(fiber))
      assert.deepStrictEqual(
        pieces.filter((piece) => piece !== ""),
        ["a", "b", "c", "d", "e", "f"]
      )
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(yield* count("retrieve"), 0, "nothing was polled")
    }).pipe(Effect.provide(inMemory(halting)))
  )

  it.effect("N1: a model that cannot resume a stream is asked for none, and is polled", () =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, input))
      assert.deepStrictEqual(yield* requests, ["submit"])
      assert.strictEqual(textOf(yield* passing(Stream.runCollect(Agent.watch(analyst, ref)))), "abcdef")
    }).pipe(Effect.provide(inMemory(halting, { capabilities: { resume: false } })))
  )

  const ends = {
    watch: Stream.runDrain(Agent.watch(analyst, ref)),
    result: Effect.asVoid(Agent.result(analyst, ref)),
    poll: Effect.asVoid(Agent.poll(analyst, ref))
  }
  it.effect.each(["watch", "result", "poll"] as const)(
    "N4: whoever sees its end records it, with usage and finish reason: %s",
    (verb) =>
      Effect.gen(function* () {
        yield* passing(Agent.start(analyst, input))
        if (verb === "poll") yield* elapse(10_000)
        yield* passing(ends[verb])
        assert.strictEqual(yield* statusOf("r"), "completed")
        const { ended, turns } = yield* stateOf("r")
        assert.strictEqual(ended?.status, "completed")
        assert.strictEqual(turns[0]?.end?.finish, "stop")
        assert.strictEqual(turns[0]?.end?.usage?.inputTokens.total, 3)
        assert.strictEqual(turns[0]?.end?.usage?.outputTokens.total, 7)
        const { due, lease } = yield* recordOf("r")
        assert.isNull(due, "no worker needs to look at it")
        assert.isNull(lease)
        const store = yield* TokenStore.TokenStore
        const listed = yield* store.list({ limit: 10, status: ["completed"] })
        assert.deepStrictEqual(
          listed.items.map(({ runId }) => runId),
          [(yield* recordOf("r")).runId]
        )
      }).pipe(Effect.provide(Layer.merge(usingTokens(halting, 3, 7), TokenStore.layerMemory)))
  )
})

describe("a foreground run whose process is gone", () => {
  const ref = { runId: "r" }
  const long = [text("a"), pause("1 hour"), text("b"), completed]
  const verbs = {
    resume: Stream.runDrain(Agent.resume(analyst, ref)),
    stream: Stream.runDrain(Agent.stream(analyst, { ...input, background: false })),
    run: Effect.asVoid(Agent.run(analyst, { ...input, background: false })),
    watch: Stream.runDrain(Agent.watch(analyst, ref)),
    result: Effect.asVoid(Agent.result(analyst, ref))
  }
  const cases = (["resume", "stream", "run", "watch", "result"] as const).flatMap((verb) =>
    [false, true].map((isKnown) => [verb, isKnown] as const)
  )
  it.effect.each(cases)(
    "N2: %s says what ended it, and what to do (the provider ended it too: %s)",
    ([verb, isKnown]) =>
      Effect.gen(function* () {
        yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { ...input, background: false }), 3)))
        // A provider ends a foreground response with its connection.
        if (isKnown) yield* (yield* BackgroundModel.BackgroundModel).cancel("resp_1")
        const error = yield* passing(Effect.flip<unknown, AgentError.AgentError, Services>(verbs[verb]), 1000)
        assert.strictEqual(error.reason._tag, "RunInterrupted")
        assert.isFalse(error.isRetryable)
        assert.match(error.message, /Run 'r' of agent 'analyst'.*foreground.*process.*background: true/)
        assert.strictEqual(yield* statusOf("r"), "failed")
        assert.isNull((yield* recordOf("r")).due, "it is over")
        assert.strictEqual(yield* count("create"), 1)
      }).pipe(Effect.provide(inMemory(long)))
  )
})
