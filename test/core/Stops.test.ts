// Guarantee 9: a run that only one process can stop, one whose stream is interrupted, and the session that is left behind.
import {
  Agent,
  type AgentError,
  type AgentUpdate,
  BackgroundModel,
  RunPolicy,
  Session,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count, recordOf, requests, type Services, stateOf, statusOf, textOf } from "../support/runs.ts"
import { modelWith, unreachable } from "../support/models.ts"
import { atProvider, makeProcess } from "../support/schedule.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, incomplete, pause, queued, text } = ScriptedModel
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

describe.each(stores)("sessions, over the $name store", ({ layer: kept }) => {
  /** The second run ends like this, all others complete. */
  const second = (steps: ReadonlyArray<ScriptedModel.Step>) =>
    Layer.merge(
      ScriptedModel.layer(({ runId }) => (runId === "two" ? steps : [text("fine"), completed])),
      kept
    )
  const previous = Effect.gen(function* () {
    const { ledger } = yield* ScriptedModel.ScriptedModel
    return (yield* ledger).flatMap(({ operation, request }) =>
      operation === "create" || operation === "submit" ? [request?.previousResponseId] : []
    )
  })
  const two = { runId: "two" }
  const waits = [text("a"), pause("1 hour"), completed]
  type Case = readonly [
    string,
    ReadonlyArray<ScriptedModel.Step>,
    Effect.Effect<unknown, AgentError.AgentError, Services>,
    string
  ]
  const cases: ReadonlyArray<Case> = [
    ["that failed", [text("a"), failed("out of order")], Agent.result(analyst, two), "failed"],
    ["that was cancelled", waits, Agent.cancel(analyst, two), "cancelled"],
    ["that is queued", [queued, pause("1 hour"), completed], Agent.poll(analyst, two), "queued"],
    ["that is in progress", waits, Agent.poll(analyst, two), "in_progress"],
    [
      "that expired",
      waits,
      Effect.gen(function* () {
        const model = yield* BackgroundModel.BackgroundModel
        yield* Effect.orDie(model.remove("resp_2"))
        return yield* Agent.result(analyst, two)
      }),
      "expired"
    ]
  ]
  it.effect.each(cases)(
    "E14: the session of a run %s is the one before, and the next run goes on",
    ([, steps, act, status]) =>
      Effect.gen(function* () {
        const first = yield* passing(Agent.run(analyst, { input: "One", runId: "one", session: Session.make() }))
        assert.deepStrictEqual(first.session, { previousResponseId: "resp_1" })
        const started = yield* passing(Agent.start(analyst, { input: "Two", runId: "two", session: first.session }))
        assert.deepStrictEqual(started.session, first.session)
        yield* passing(Effect.exit(act), 500)
        const looked = yield* passing(Agent.poll(analyst, two))
        assert.strictEqual(looked.status, status)
        assert.deepStrictEqual(looked.session, first.session)
        const third = yield* passing(Agent.run(analyst, { input: "Three", runId: "three", session: looked.session }))
        assert.strictEqual(third.text, "fine")
        assert.deepStrictEqual(third.session, { previousResponseId: "resp_3" })
        assert.deepStrictEqual(yield* previous, [undefined, "resp_1", "resp_1"])
      }).pipe(Effect.provide(second(steps)))
  )

  it.effect("E14: a run that was cut short belongs to its session", () =>
    Effect.gen(function* () {
      const first = yield* passing(Agent.run(analyst, { input: "One", runId: "one", session: Session.make() }))
      const cut = yield* passing(Agent.run(analyst, { input: "Two", runId: "two", session: first.session }))
      assert.strictEqual(cut.status, "incomplete")
      assert.deepStrictEqual(cut.session, { previousResponseId: "resp_2" })
    }).pipe(Effect.provide(second([text("a"), incomplete()])))
  )

  it.effect("E14: a run that was retried extends its session once it completes", () =>
    Effect.gen(function* () {
      const first = yield* passing(Agent.run(analyst, { input: "One", runId: "one", session: Session.make() }))
      const task = { input: "Two", runId: "two", session: first.session }
      yield* passing(Effect.flip(Agent.run(analyst, task)))
      const again = yield* passing(Agent.retry(analyst, { input: "Two", runId: "two" }))
      assert.deepStrictEqual(again.session, first.session)
      const done = yield* passing(Agent.result(analyst, two))
      assert.deepStrictEqual(done.session, { previousResponseId: "resp_3" })
      assert.deepStrictEqual(yield* previous, [undefined, "resp_1", "resp_1"])
      assert.strictEqual((yield* stateOf("two")).turns.length, 1)
    }).pipe(
      Effect.provide(RunPolicy.layer({})),
      Effect.provide(
        Layer.unwrap(
          Effect.sync(() => {
            let tries = 0
            return Layer.merge(
              ScriptedModel.layer(({ runId }) =>
                runId === "two" && ++tries === 1 ? [text("a"), failed("once")] : [text("fine"), completed]
              ),
              kept
            )
          })
        )
      )
    )
  )
})

describe("onInterrupt", () => {
  type Failing = Effect.Effect<unknown, AgentError.AgentError, Services>
  const task = { input: "Hello", runId: "r" }
  const over = (steps: ReadonlyArray<ScriptedModel.Step>) =>
    Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)
  const cancels = { onInterrupt: "cancel" } as const
  const ways = {
    stream: Stream.runDrain(Agent.stream(analyst, { ...task, ...cancels })),
    "stream by hand": Stream.runDrain(Agent.stream(analyst, { ...task, ...cancels, acknowledge: "manual" })),
    resume: Stream.runDrain(Agent.resume(analyst, { ...ref, ...cancels })),
    "resume by hand": Stream.runDrain(Agent.resume(analyst, { ...ref, ...cancels, acknowledge: "manual" })),
    run: Effect.asVoid(Agent.run(analyst, { ...task, ...cancels })),
    "stream in a busy consumer": Stream.runForEach(Agent.stream(analyst, { ...task, ...cancels }), (update) =>
      update.text === "" ? Effect.void : Effect.sleep("1 hour")
    )
  }
  const names = ["stream", "stream by hand", "resume", "resume by hand", "run", "stream in a busy consumer"] as const
  const begin = (name: (typeof names)[number]) =>
    Effect.gen(function* () {
      if (name.startsWith("resume")) yield* passing(Agent.start(analyst, task))
      const fiber = yield* Effect.forkChild(ways[name])
      yield* elapse(1000)
      return fiber
    })

  it.effect.each(names)("cancel: an interruption of %s cancels the run at the provider, and frees it", (name) =>
    Effect.gen(function* () {
      const fiber = yield* begin(name)
      const [duration] = yield* passing(Effect.timed(Fiber.interrupt(fiber)))
      assert.isAtMost(Duration.toSeconds(duration), 1)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual(yield* count("cancel"), 1)
      assert.isTrue((yield* stateOf("r")).cancelled)
      assert.isNull((yield* recordOf("r")).lease)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "cancelled")
      const { reason } = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, ref))))
      assert.strictEqual(reason._tag, "RunCancelled")
    }).pipe(Effect.provide(over(silent)))
  )

  it.effect("cancel: an interruption while the request is under way cancels what it bought", () => {
    const slow = modelWith(silent, (inner) => ({
      create: (request) => Stream.unwrap(Effect.delay(Effect.succeed(inner.create(request)), "3 seconds"))
    }))
    return Effect.gen(function* () {
      const fiber = yield* begin("stream")
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "cancelled")
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(Effect.provide(Layer.merge(slow, TokenStore.layerMemory)))
  })

  it.effect("cancel: what the provider does not take at once is sent again by whoever comes next", () => {
    let isAway = true
    const model = modelWith(silent, (inner) => ({
      cancel: (responseId) => Effect.suspend(() => (isAway ? Effect.fail(unreachable) : inner.cancel(responseId)))
    }))
    return Effect.gen(function* () {
      const fiber = yield* begin("stream")
      const [duration] = yield* passing(Effect.timed(Fiber.interrupt(fiber)))
      assert.isAtMost(Duration.toSeconds(duration), 11, "leaving is bounded")
      assert.isTrue((yield* stateOf("r")).cancelled, "the wish is recorded")
      assert.isNotNull((yield* recordOf("r")).due, "and work for anybody")
      isAway = false
      yield* elapse(31_000, 500)
      const { reason } = yield* passing(Effect.flip(Stream.runDrain(Agent.resume(analyst, ref))), 500)
      assert.strictEqual(reason._tag, "RunCancelled")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
    }).pipe(Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("cancel: a foreground run was cancelled, and not only interrupted", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Stream.runDrain(Agent.stream(analyst, { ...task, ...cancels, background: false }))
      )
      yield* elapse(1000)
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "cancelled")
      const { reason } = yield* passing(Effect.flip(Agent.result(analyst, ref)))
      assert.strictEqual(reason._tag, "RunCancelled")
      assert.strictEqual(yield* count("cancel"), 0)
    }).pipe(Effect.provide(over(silent)))
  )

  it.effect.each([
    ["a consumer that has enough", Stream.runDrain(Stream.take(Agent.stream(analyst, { ...task, ...cancels }), 3))],
    [
      "a consumer that fails",
      Effect.ignore(
        Stream.runForEach(Agent.stream(analyst, { ...task, ...cancels }), (update) =>
          update.text === "" ? Effect.void : Effect.fail("no")
        )
      )
    ]
  ] as const)("cancel: %s does not cancel the run", ([, consumer]) =>
    Effect.gen(function* () {
      yield* passing(Effect.asVoid(consumer))
      assert.strictEqual(yield* count("cancel"), 0)
      assert.isFalse((yield* stateOf("r")).cancelled)
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "in_progress")
    }).pipe(Effect.provide(over(silent)))
  )

  it.effect.each(["leave", undefined] as const)("%s: an interruption leaves the run alone", (onInterrupt) => {
    const how = onInterrupt === undefined ? {} : { onInterrupt }
    const each: ReadonlyArray<Failing> = [
      Stream.runDrain(Agent.stream(analyst, { ...task, ...how })),
      Stream.runDrain(Agent.resume(analyst, { ...ref, ...how })),
      Agent.run(analyst, { ...task, ...how })
    ]
    return Effect.gen(function* () {
      for (const effect of each) {
        const fiber = yield* Effect.forkChild(effect)
        yield* elapse(1000)
        yield* passing(Fiber.interrupt(fiber))
        assert.isFalse((yield* stateOf("r")).cancelled)
        assert.isNull((yield* recordOf("r")).lease)
      }
      assert.deepStrictEqual(
        (yield* requests).filter((operation) => operation === "cancel"),
        []
      )
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
    }).pipe(Effect.provide(over(silent)))
  })

  it.effect("cancel: a run that is over stays as it ended", () =>
    Effect.gen(function* () {
      const read: Array<AgentUpdate.AgentUpdate> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, { ...task, ...cancels }), (update) =>
          Effect.andThen(
            Effect.sync(() => void read.push(update)),
            update.status === "completed" ? Effect.sleep("1 hour") : Effect.void
          )
        )
      )
      yield* elapse(1000)
      assert.strictEqual(read.at(-1)?.status, "completed")
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual(yield* count("cancel"), 0)
      const { due, lease } = yield* recordOf("r")
      assert.isNull(lease)
      assert.isNull(due)
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(over([text("a"), completed])))
  )
})
