// Guarantee 4: what a replay is refused with says nothing about the run. A look does.
import { Agent, BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { aiError, modelWith } from "../support/models.ts"
import { joined } from "../support/pieces.ts"
import { analyst, count, statusOf, textOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { close, completed, disconnect, pause, text } = ScriptedModel
type Model = BackgroundModel.BackgroundModel["Service"]
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const steps = [
  text("Hello "),
  disconnect,
  text("wor"),
  close(0),
  text("ld", 1),
  pause("3 seconds"),
  text("!", 1),
  completed
]

const over = (change: (inner: Model) => Partial<Model>, script: ReadonlyArray<ScriptedModel.Step> = steps) =>
  Layer.merge(modelWith(script, change), TokenStore.layerMemory)

const refusals = {
  "500": aiError(new AiError.InternalProviderError({ description: "500" })),
  "405": aiError(new AiError.InvalidRequestError({ description: "405 Method Not Allowed" })),
  "404": new BackgroundModel.ResponseGone({ responseId: "resp_1" }),
  "401": aiError(new AiError.AuthenticationError({ kind: "InvalidKey" }))
}
/** How often a replay is asked for until the run is polled. */
const asked = { "500": 2, "405": 1, "404": 2, "401": 1 }
const each = ["500", "405", "404", "401"] as const

describe("a replay that is refused for good, of a run that can be looked at", () => {
  const refusing = (status: (typeof each)[number]) => () => {
    let times = 0
    return {
      layer: over((inner) => ({
        resume: () =>
          Stream.suspend(() => {
            times++
            return Stream.fail(refusals[status])
          }),
        retrieve: inner.retrieve
      })),
      times: () => times
    }
  }

  it.effect.each(each)("E11: with %s: the run is polled, and exactly the rest is delivered", (status) => {
    const { layer, times } = refusing(status)()
    return Effect.gen(function* () {
      const whole = yield* passing(Stream.runCollect(Agent.stream(analyst, input))).pipe(
        Effect.provide(over(() => ({})))
      )
      const [duration, read] = yield* passing(Effect.timed(Stream.runCollect(Agent.stream(analyst, input)))).pipe(
        Effect.provide(layer)
      )
      assert.deepStrictEqual(joined(read), joined(whole))
      assert.deepStrictEqual([...new Set(read.map(({ origin }) => origin))], ["live", "snapshot"])
      assert.strictEqual(read.at(-1)?.status, "completed")
      assert.strictEqual(times(), asked[status])
      assert.isAtMost(Duration.toSeconds(duration), 8)
    })
  })

  it.effect.each(each)("E11: with %s: a run that another process left is polled as well", (status) => {
    const { layer } = refusing(status)()
    return Effect.gen(function* () {
      const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 4)))
      const tail = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)))
      assert.strictEqual(textOf([...head, ...tail]), "Hello world!")
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(layer))
  })

  it.effect.each(["500", "404"] as const)(
    "E11: with %s, once: it is tried once more, and nothing is polled",
    (status) => {
      let refused = 0
      const layer = over((inner) => ({
        resume: (responseId, options) =>
          Stream.suspend(() => (refused++ === 0 ? Stream.fail(refusals[status]) : inner.resume(responseId, options)))
      }))
      return Effect.gen(function* () {
        const read = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
        assert.strictEqual(textOf(read), "Hello world!")
        assert.deepStrictEqual([...new Set(read.map(({ origin }) => origin))], ["live", "replay"])
      }).pipe(Effect.provide(layer))
    }
  )
})

describe("a replay that brings nothing but an end", () => {
  /** An answer that stays open after what it says. */
  const open = (...events: ReadonlyArray<BackgroundModel.ModelEvent>) =>
    Stream.concat(Stream.fromIterable(events), Stream.never)

  it.effect("E17: after a keepalive, and stays open: the end comes at once", () => {
    let last = 0
    let terminal: BackgroundModel.ModelEvent | undefined
    const layer = over(
      (inner) => ({
        create: (request) =>
          Stream.filter(inner.create(request), (event) => {
            if (event.terminal === undefined) last = event.sequenceNumber ?? last
            else terminal = event
            return event.terminal === undefined
          }),
        resume: () =>
          Stream.suspend(() =>
            open(
              { sequenceNumber: last + 1, statements: [], keepalive: true },
              ...(terminal === undefined ? [] : [{ ...terminal, sequenceNumber: last + 2 }])
            )
          )
      }),
      [text("all of it"), completed]
    )
    return Effect.gen(function* () {
      const [duration, read] = yield* passing(Effect.timed(Stream.runCollect(Agent.stream(analyst, input))))
      assert.strictEqual(textOf(read), "all of it")
      assert.strictEqual(read.at(-1)?.status, "completed")
      assert.isAtMost(Duration.toSeconds(duration), 2)
      assert.strictEqual(yield* count("retrieve"), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("E17: or nothing at all, ten thousand times over: no frame is kept of any", () => {
    const depths: Array<number> = []
    const layer = over(
      (inner) => ({
        resume: (responseId, options) => {
          // How deep the fiber is that follows the run.
          const { _stack } = Fiber.getCurrent() as unknown as { readonly _stack: ReadonlyArray<unknown> }
          depths.push(_stack.length)
          return depths.length > 10_000 ? inner.resume(responseId, options) : Stream.empty
        }
      }),
      [text("a"), disconnect, pause("10 hours"), text("b"), completed]
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
      const read = yield* passing(Fiber.join(fiber), 10_000)
      assert.strictEqual(textOf(read), "ab")
      assert.isAbove(depths.length, 10_000)
      assert.strictEqual(Math.max(...depths.slice(10)), Math.min(...depths.slice(10)))
    }).pipe(Effect.provide(RunPolicy.layer({ reconnect: Schedule.spaced("3 seconds") })), Effect.provide(layer))
  })
})

describe("a stream that ends with the position of a viewer", () => {
  it.effect("E11: a viewer whose replay is refused for good polls as well", () =>
    Effect.gen(function* () {
      const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 4)))
      const continuationToken = Option.getOrThrow(head.at(-1)!.continuationToken)
      const tail = yield* passing(Stream.runCollect(Agent.watch(analyst, { continuationToken })))
      assert.strictEqual(textOf([...head, ...tail]), "Hello world!")
    }).pipe(Effect.provide(over(() => ({ resume: () => Stream.fail(refusals["405"]) }))))
  )
})
