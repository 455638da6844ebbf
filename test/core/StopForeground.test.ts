// Guarantee 9: a foreground run, which only one process can stop, is stopped from another.
import { Agent, type AgentError, type AgentUpdate, BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count, recordOf, type Services, statusOf, textOf } from "../support/runs.ts"
import { makeProcess } from "../support/schedule.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r", background: false }
const ref = { runId: "r" }

/** What a look at a foreground response shows once its connection is closed. */
const shown = ["its end", "nothing new", "nothing at all"] as const

/**
 * A provider of foreground responses: each ends with its connection, and the request to cancel one is refused.
 */
const foreground = (steps: ReadonlyArray<ScriptedModel.Step>, shows: (typeof shown)[number] = "its end") => {
  const seen = { open: 0, refused: 0 }
  const layer = Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (inner) => ({
      ...inner,
      create: (request) =>
        Stream.suspend(() => {
          let id: string | undefined
          seen.open++
          return inner.create(request).pipe(
            Stream.tap((event) => Effect.sync(() => void (id ??= event.responseId))),
            Stream.ensuring(
              Effect.suspend(() => {
                seen.open--
                if (id === undefined || shows === "nothing new") return Effect.void
                return Effect.ignore(shows === "its end" ? inner.cancel(id) : inner.remove(id))
              })
            )
          )
        }),
      cancel: () =>
        Effect.suspend(() => {
          seen.refused++
          const description = "Cannot cancel a synchronous response."
          const reason = new AiError.InvalidRequestError({ description })
          return Effect.fail(AiError.make({ module: "Test", method: "cancel", reason }))
        })
    }))
  ).pipe(Layer.provideMerge(ScriptedModel.layer(steps)))
  return { layer, seen }
}

/** All updates of a run until it fails, and why it failed. */
const heard = Effect.fnUntraced(function* (
  updates: Stream.Stream<AgentUpdate.AgentUpdate, AgentError.AgentError, Services>
) {
  const read: Array<AgentUpdate.AgentUpdate> = []
  const error = yield* Effect.flip(Stream.runForEach(updates, (update) => Effect.sync(() => void read.push(update))))
  return { read, error }
})

const silent = [text("a"), pause("1 hour"), text("b"), completed]
const progressing = [...Array.from({ length: 600 }, () => [text("x"), pause("1 second")]).flat(), completed]

describe.each(stores)("a foreground run is stopped from another process, over the $name store", ({ layer: kept }) => {
  it.effect.each(shown)("E13: its holder is silent, and learns of it by a renewal; a look shows %s", (shows) => {
    const { layer, seen } = foreground(silent, shows)
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(heard(Agent.stream(analyst, input)))
      yield* elapse(1000)
      assert.strictEqual(seen.open, 1)
      const [duration, response] = yield* passing(Effect.timed(Agent.cancel(analyst, ref)), 100)
      // A third of a lease for the renewal, and one look; that the response is gone is confirmed by some more.
      assert.isAtMost(Duration.toSeconds(duration), 18)
      assert.strictEqual(response.status, "cancelled")
      const { error, read } = yield* passing(Fiber.join(holder))
      assert.strictEqual(error.reason._tag, "RunCancelled")
      assert.strictEqual(textOf(read), "a")
      assert.strictEqual(read.at(-1)?.status, "cancelled")
      assert.strictEqual(seen.open, 0, "the connection is closed, so nothing is written any more")
      assert.strictEqual(seen.refused, 0, "what the provider refuses is not asked of it")
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      const { due, lease } = yield* recordOf("r")
      assert.isNull(due)
      assert.isNull(lease)
    }).pipe(Effect.provide(Layer.merge(layer, kept)))
  })

  it.effect("E13: its holder makes progress, and learns of it in the same time, as it has no position to write", () => {
    const { layer, seen } = foreground(progressing)
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(Effect.timed(heard(Agent.stream(analyst, input))))
      yield* elapse(5500)
      const [duration, response] = yield* passing(Effect.timed(Agent.cancel(analyst, ref)))
      assert.strictEqual(response.status, "cancelled")
      assert.isAtMost(Duration.toSeconds(duration), 13)
      const [until, { error, read }] = yield* passing(Fiber.join(holder))
      assert.strictEqual(error.reason._tag, "RunCancelled")
      assert.isAtMost(Duration.toSeconds(until), 16)
      assert.isAtMost(textOf(read).length, 16)
      assert.strictEqual(seen.open, 0)
      assert.strictEqual(yield* statusOf("r"), "cancelled")
    }).pipe(Effect.provide(Layer.merge(layer, kept)))
  })

  it.effect("E13: its holder is dead: it is over when the lease is", () => {
    const { layer, seen } = foreground(silent)
    return Effect.gen(function* () {
      const holder = yield* makeProcess("the holder")
      const reading = yield* Effect.forkChild(holder.run(Stream.runDrain(Agent.stream(analyst, input))))
      yield* elapse(1000)
      yield* holder.die
      const [duration, response] = yield* passing(Effect.timed(Agent.cancel(analyst, ref)), 500)
      assert.strictEqual(response.status, "cancelled")
      assert.isAtMost(Duration.toSeconds(duration), 33)
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      assert.strictEqual(seen.refused, 0)
      const error = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, ref))))
      assert.strictEqual(error.reason._tag, "RunCancelled", "somebody asked for it")
      assert.strictEqual(yield* count("create"), 1)
      yield* Fiber.interrupt(reading)
    }).pipe(Effect.provide(Layer.merge(layer, kept)))
  })
})

describe("a foreground run is stopped from another process", () => {
  const over = (layer: ReturnType<typeof foreground>["layer"]) => Layer.merge(layer, TokenStore.layerMemory)
  /** A store whose hints are lost. */
  const deaf = changing(TokenStore.layerMemory, () => ({ wakeups: Stream.never }))

  it.effect("E13: while its request is under way: it is stopped once it is answered", () => {
    const { layer, seen } = foreground(silent)
    const slow = Layer.effect(
      BackgroundModel.BackgroundModel,
      Effect.map(BackgroundModel.BackgroundModel, (inner) => ({
        ...inner,
        create: (request) => Stream.unwrap(Effect.delay(Effect.succeed(inner.create(request)), "5 seconds"))
      }))
    ).pipe(Layer.provideMerge(layer))
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(heard(Agent.stream(analyst, input)))
      yield* elapse(1000)
      const [duration, response] = yield* passing(Effect.timed(Agent.cancel(analyst, ref)))
      assert.strictEqual(response.status, "cancelled")
      assert.isAtMost(Duration.toSeconds(duration), 13)
      const { error, read } = yield* passing(Fiber.join(holder))
      assert.strictEqual(error.reason._tag, "RunCancelled")
      assert.include(["", "a"], textOf(read))
      assert.strictEqual(seen.open, 0)
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(yield* statusOf("r"), "cancelled")
    }).pipe(Effect.provide(over(slow)))
  })

  it.effect("E13: while its consumer is busy with an update: the connection does not wait for the consumer", () => {
    const { layer, seen } = foreground(progressing)
    return Effect.gen(function* () {
      const read: Array<string> = []
      const holder = yield* Effect.forkChild(
        Effect.flip(
          Stream.runForEach(Agent.stream(analyst, input), (update) =>
            Effect.andThen(
              Effect.sync(() => void read.push(update.text)),
              update.text === "" ? Effect.void : Effect.sleep("10 minutes")
            )
          )
        )
      )
      yield* elapse(1000)
      const canceller = yield* Effect.forkChild(Agent.cancel(analyst, ref))
      yield* elapse(12_000, 100)
      assert.strictEqual(seen.open, 0)
      const error = yield* passing(Fiber.join(holder), 1000)
      assert.strictEqual(error.reason._tag, "RunCancelled")
      assert.strictEqual((yield* passing(Fiber.join(canceller))).status, "cancelled")
    }).pipe(Effect.provide(over(layer)))
  })

  const holders = {
    run: Effect.asVoid(Agent.run(analyst, input)),
    "a stream with manual acknowledgement": Stream.runDrain(Agent.stream(analyst, { ...input, acknowledge: "manual" }))
  }
  it.effect.each(["run", "a stream with manual acknowledgement"] as const)(
    "E13: its holder is %s: told that it was cancelled",
    (name) => {
      const { layer, seen } = foreground(silent)
      return Effect.gen(function* () {
        const holder = yield* Effect.forkChild(Effect.flip<unknown, AgentError.AgentError, Services>(holders[name]))
        yield* elapse(1000)
        yield* passing(Agent.cancel(analyst, { ...ref, wait: false }))
        const error = yield* passing(Fiber.join(holder), 100)
        assert.strictEqual(error.reason._tag, "RunCancelled")
        assert.strictEqual(seen.open, 0)
        assert.strictEqual(yield* statusOf("r"), "cancelled")
      }).pipe(Effect.provide(over(layer)))
    }
  )

  it.effect("E13: as it completes: told to both as completed, with all of it", () => {
    const { layer } = foreground([text("a"), pause("5 seconds"), text("b"), completed])
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(Agent.run(analyst, input))
      yield* elapse(1000)
      // The next renewal comes later than the end.
      const canceller = yield* Effect.forkChild(Agent.cancel(analyst, ref))
      const response = yield* passing(Fiber.join(holder), 100)
      assert.strictEqual(response.text, "ab")
      assert.strictEqual((yield* passing(Fiber.join(canceller))).status, "completed")
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(Layer.merge(layer, deaf)))
  })

  it.effect.each([
    { heard: true, within: 1 },
    { heard: false, within: 11 }
  ])("X8: its holder learns of a stop within $within s if hints are heard: $heard", ({ heard: hears, within }) => {
    const { layer } = foreground(silent)
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Agent.stream(analyst, input))))
      yield* elapse(1000)
      yield* Agent.cancel(analyst, { ...ref, wait: false })
      const [took, error] = yield* passing(Effect.timed(Fiber.join(holder)))
      assert.strictEqual(error.reason._tag, "RunCancelled")
      assert.isAtMost(Duration.toSeconds(took), within)
      if (!hears) assert.isAtLeast(Duration.toSeconds(took), 1)
    }).pipe(Effect.provide(Layer.merge(layer, hears ? TokenStore.layerMemory : deaf)))
  })

  it.effect("E13: after its holder left it: it was interrupted, and no cancel changes that", () => {
    const { layer, seen } = foreground(silent)
    return Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 3)))
      const looked = yield* passing(Agent.poll(analyst, ref))
      assert.strictEqual(looked.status, "failed")
      const response = yield* passing(Agent.cancel(analyst, ref))
      assert.strictEqual(response.status, "failed")
      const error = yield* passing(Effect.flip(Agent.result(analyst, ref)))
      assert.strictEqual(error.reason._tag, "RunInterrupted")
      assert.strictEqual(seen.refused, 0)
    }).pipe(Effect.provide(over(layer)))
  })
})
