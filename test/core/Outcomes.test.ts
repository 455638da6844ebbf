// Guarantees 7 and 9: outcomes that nobody knows at first, and stops that must be carried out. E and a number is a fault.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  type RunPolicy,
  type RunRecord,
  Runs,
  type TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, type Result, Stream } from "effect"
import { AiError } from "effect/ai"
import { changingModel, logging, outage, slowAnswers } from "../support/faults.ts"
import { analyst, count, recordOf, type Services, stateOf, textOf } from "../support/runs.ts"
import {
  atProvider,
  busy,
  journalOf,
  leasesEnd,
  leaseTime,
  makeProcess,
  note,
  type Operation,
  type Process,
  until
} from "../support/schedule.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, fail, pause, text } = ScriptedModel
type Script = ReadonlyArray<ScriptedModel.Step>
type Model = BackgroundModel.BackgroundModel["Service"]
type Store = Layer.Layer<TokenStore.TokenStore>

const runId = "r"
const ref = { runId }
const task = { input: "Hello", runId }

/** A response with a text every 100 ms. */
const paced: Script = [...Array.from({ length: 20 }, () => [text("x"), pause("100 millis")]).flat(), completed]
/** A response that would go on for long after the test. */
const long: Script = [text("a"), pause("10 hours"), text("b"), completed]

const aiError = (reason: AiError.AiErrorReason) => AiError.make({ module: "test", method: "request", reason })
const unavailable = aiError(new AiError.InternalProviderError({ description: "503" }))
const invalid = aiError(new AiError.InvalidRequestError({ description: "400" }))

/** The first response plays the first script, and so on; further ones play the last. */
const inTurn = (...scripts: ReadonlyArray<Script>) => {
  let next = 0
  return () => scripts[Math.min(next++, scripts.length - 1)]!
}

const two = (changes: Partial<RunPolicy.RunPolicy> = {}) =>
  Effect.forEach(["W0", "W1"], (name) => makeProcess(name, changes)) as Effect.Effect<
    [Process, Process],
    never,
    Services
  >

const begin = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => Effect.forkDetach(process.run(program))
const done = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => passing(process.run(program))

const reading = Effect.map(Stream.runCollect(Agent.stream(analyst, task)), textOf)
const resuming = Effect.map(Stream.runCollect(Agent.resume(analyst, ref)), textOf)

/** The verbs that open a response. */
const opening = {
  stream: reading,
  run: Effect.map(Agent.run(analyst, task), (response) => response.text),
  start: Effect.map(Agent.start(analyst, task), (response) => response.status)
}
type Opening = Effect.Effect<string, AgentError.AgentError, Services>
const openings = Object.entries(opening) as ReadonlyArray<[keyof typeof opening, Opening]>

/** A worker that reads every run to its end. */
const working = Layer.build(
  Runs.worker([analyst], { concurrency: 10, handle: ({ updates }) => Stream.runDrain(updates) })
).pipe(Effect.andThen(Effect.never), Effect.scoped)

const has = (tag: RunRecord.Fact["_tag"]) =>
  Effect.map(journalOf(runId), (journal) => journal.some((fact) => fact._tag === tag))
const comes = (tag: RunRecord.Fact["_tag"]) => until(tag, has(tag))

/** How the run ended. */
const endOf = Effect.map(stateOf(runId), ({ ended }) =>
  ended === undefined ? undefined : ended.reason === undefined ? ended.status : `${ended.status}: ${ended.reason}`
)

const failureOf = <A>(result: Result.Result<A, AgentError.AgentError>): AgentError.AgentError => {
  assert.strictEqual(result._tag, "Failure")
  return (result as Result.Failure<A, AgentError.AgentError>).failure
}

/** The error tells the response that was bought. */
const tells = (error: AgentError.AgentError, responseId = "resp_1") => {
  assert.strictEqual(error.responseId, responseId, error.message)
  assert.include(error.message, `'${responseId}'`)
}

describe.each(stores)("over the $name store", ({ layer }) => {
  const over = (
    script: Parameters<typeof ScriptedModel.layer>[0],
    change: (inner: Model) => Partial<Model> = () => ({}),
    store: Store = layer
  ) => Effect.provide(Layer.merge(changingModel(ScriptedModel.layer(script), change), store))

  describe("the name of a bought response", () => {
    const stealing = Agent.stream(analyst, { ...task, ifLeased: "steal" })

    for (const [verb, program] of openings) {
      it.effect(`E2a: comes after the run was stolen: it is recorded all the same: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, Effect.result(program))
          yield* elapse(150)
          const second = yield* done(w1, Effect.flip(Stream.runDrain(stealing)))
          assert.strictEqual(second.reason._tag, "Unconfirmed")
          const result = yield* passing(Fiber.join(first))
          // Who starts a run only has nothing more to write.
          if (verb !== "start") {
            assert.strictEqual(failureOf(result).reason._tag, "LeaseLost")
            tells(failureOf(result))
          }
          assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_1")
          assert.isNull((yield* recordOf(runId)).parked)
          assert.isTrue((yield* done(w1, reading)).endsWith("x"))
          assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, slowAnswers(300)))
      )

      it.effect(`E2a: comes after this process knows that it lost the run: the error tells it: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two({ leaseTime: Duration.millis(300) })
          const first = yield* begin(w0, Effect.result(program))
          yield* elapse(150)
          assert.strictEqual((yield* done(w1, Effect.flip(Stream.runDrain(stealing)))).reason._tag, "Unconfirmed")
          const error = failureOf(yield* passing(Fiber.join(first)))
          assert.strictEqual(error.reason._tag, "LeaseLost")
          tells(error)
          assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_1")
        }).pipe(over(paced, slowAnswers(1000)))
      )
    }

    it.effect("E2a: comes after the run was stolen from who opens it again: it is recorded all the same", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        yield* done(w0, Effect.flip(reading))
        const first = yield* begin(w0, Effect.result(Agent.retry(analyst, task)))
        yield* elapse(150)
        assert.strictEqual((yield* done(w1, Effect.flip(Stream.runDrain(stealing)))).reason._tag, "Unconfirmed")
        yield* passing(Fiber.join(first))
        assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_2")
        assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
        assert.strictEqual(yield* count("create"), 2)
      }).pipe(over(inTurn([failed("broken")], paced), slowAnswers(300)))
    )

    it.effect("E2a: comes after the run was stolen, unstreamed: it is recorded all the same", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const first = yield* begin(w0, Effect.result(Agent.start(analyst, task)))
        yield* elapse(150)
        assert.strictEqual((yield* done(w1, Effect.flip(Stream.runDrain(stealing)))).reason._tag, "Unconfirmed")
        yield* passing(Fiber.join(first))
        assert.strictEqual((yield* stateOf(runId)).turns[0]?.winner?.responseId, "resp_1")
        assert.strictEqual(yield* count("submit"), 1)
        assert.strictEqual(yield* count("create"), 0)
      }).pipe(
        over(paced, (inner) => ({
          ...slowAnswers(300)(inner),
          capabilities: { ...inner.capabilities, resume: false }
        }))
      )
    )

    for (const [verb, program] of openings) {
      it.effect(`E2b: cannot be recorded for longer than a lease: it is in the error and the log: ${verb}`, () => {
        const { layer: store, state } = outage(layer)
        const { layer: logger, lines } = logging()
        return Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, Effect.result(program))
          yield* until(
            "the request is sent",
            Effect.map(has("Requested"), (is) => is)
          )
          state.store = "is away"
          const error = failureOf(yield* passing(Fiber.join(first), 500))
          assert.include(["StoreFailed", "LeaseLost"], error.reason._tag)
          tells(error)
          assert.isNotEmpty(lines.filter((line) => /^Error r resp_1 .*could not be recorded/.test(line)))
          state.store = "works"
          assert.isFalse(yield* has("Accepted"))
        }).pipe(over(paced, slowAnswers(300), store), Effect.provide(logger))
      })

      it.effect(`E2b: is refused by the store for good: it is in the error and the log: ${verb}`, () => {
        const { layer: store, state } = outage(layer, ["record"])
        const { layer: logger, lines } = logging()
        return Effect.gen(function* () {
          const [w0] = yield* two()
          state.kind = "denied"
          state.store = "is away"
          const error = failureOf(yield* done(w0, Effect.result(program)))
          assert.strictEqual(error.reason._tag, "StoreFailed")
          tells(error)
          assert.isNotEmpty(lines.filter((line) => /^Error r resp_1 .*could not be recorded/.test(line)))
        }).pipe(over(paced, slowAnswers(300), store), Effect.provide(logger))
      })

      for (const kind of ["unavailable", "denied"] as const) {
        it.effect(
          `E2b: cannot be recorded by who is interrupted meanwhile (${kind}): the log tells it: ${verb}`,
          () => {
            const { layer: store, state } = outage(layer, ["record", "release"])
            const { layer: logger, lines } = logging()
            return Effect.gen(function* () {
              const [w0] = yield* two()
              state.kind = kind
              state.store = "is away"
              const first = yield* begin(w0, program)
              yield* elapse(150)
              yield* passing(Fiber.interrupt(first), 500)
              assert.isNotEmpty(lines.filter((line) => /^Error r resp_1 .*could not be recorded/.test(line)))
            }).pipe(over(paced, slowAnswers(300), store), Effect.provide(logger))
          }
        )
      }

      it.effect(`E2b: cannot be recorded for a while by who is interrupted: it is waited for: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, program)
          yield* comes("Requested")
          yield* lasting(3000)
          yield* passing(Fiber.interrupt(first))
          assert.isTrue(yield* has("Accepted"))
          assert.isNull((yield* recordOf(runId)).lease)
          assert.strictEqual(yield* done(w1, reading), "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, slowAnswers(300), store))
      })

      it.effect(`E2b: is recorded, and the answer lost: nothing is bought twice: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer, ["record", "commit"])
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, Effect.result(program))
          yield* comes("Requested")
          yield* lasting(3000, "loses answers")
          assert.strictEqual((yield* passing(Fiber.join(first)))._tag, "Success")
          assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, slowAnswers(300), store))
      })
    }

    for (const [verb, program] of openings) {
      it.effect(`E2a: is waited for by who is interrupted: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, program)
          yield* elapse(150)
          yield* passing(Fiber.interrupt(first))
          assert.isTrue(yield* has("Accepted"))
          assert.isNull((yield* recordOf(runId)).lease)
        }).pipe(over(long, slowAnswers(3000)))
      )

      it.effect(`E2a: is not waited for without end by who is interrupted: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, program)
          yield* elapse(150)
          const [duration] = yield* passing(Effect.timed(Fiber.interrupt(first)), 500)
          assert.isAtMost(Duration.toSeconds(duration), 11)
        }).pipe(over(long, slowAnswers(3_600_000)))
      )
    }

    it.effect("E2b: stands in the error of every verb that finds it in the record", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const first = yield* begin(w0, Effect.result(reading))
        yield* comes("Accepted")
        for (const verb of [
          reading,
          resuming,
          Agent.run(analyst, task),
          Agent.retry(analyst, ref),
          Agent.remove(analyst, ref)
        ]) {
          const error = yield* done(w1, Effect.flip(verb))
          assert.strictEqual(error.reason._tag, "RunLeased")
          tells(error)
        }
        yield* passing(Fiber.interrupt(first))
      }).pipe(over(long))
    )
  })

  describe("a stop", () => {
    /** Requests that answer like this, in this order, and then as they should. */
    const refusing = (operation: "cancel", ...answers: ReadonlyArray<AiError.AiError | "gone" | "silence">) => {
      let next = 0
      return (inner: Model): Partial<Model> => ({
        [operation]: (responseId: string) =>
          Effect.suspend((): ReturnType<Model["cancel"]> => {
            const answer = answers[next++]
            return answer === undefined
              ? inner.cancel(responseId)
              : answer === "silence"
                ? Effect.never
                : Effect.delay(
                    Effect.fail(answer === "gone" ? new BackgroundModel.ResponseGone({ responseId }) : answer),
                    20
                  )
          })
      })
    }
    const answers: ReadonlyArray<[string, ReadonlyArray<AiError.AiError | "gone" | "silence">]> = [
      ["503", [unavailable]],
      ["429 and 503", [busy, unavailable]],
      ["503 for minutes", Array.from({ length: 30 }, () => unavailable)],
      ["401, by a wrong key", [aiError(new AiError.AuthenticationError({ kind: "InvalidKey" }))]],
      ["404, by a gateway", ["gone"]],
      ["silence", ["silence"]]
    ]
    const isStopped = Effect.gen(function* () {
      yield* until(
        "resp_1 is cancelled",
        Effect.map(atProvider("resp_1"), (status) => status === "cancelled")
      )
      yield* comes("CancelSent")
      yield* comes("Ended")
      assert.strictEqual(yield* endOf, "cancelled")
    })
    /** Who goes on with the run. */
    const goingOn: ReadonlyArray<[string, Effect.Effect<unknown, AgentError.AgentError, Services>]> = [
      ["a worker", working],
      ["resume", resuming],
      ["stream", reading],
      ["run", Agent.run(analyst, task)]
    ]

    for (const [what, given] of answers) {
      it.effect(`E3a: is refused with ${what}: the holder sends it again`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, Effect.flip(reading))
          yield* comes("Accepted")
          yield* note(runId, { _tag: "CancelRequested" })
          yield* isStopped
          assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "RunCancelled")
        }).pipe(over(long, refusing("cancel", ...given)))
      )

      it.effect(`E3a: is refused with ${what}: a worker sends it again`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          yield* note(runId, { _tag: "CancelRequested" })
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, refusing("cancel", ...given)))
      )

      it.effect(`E3a: is refused with ${what}: who asked for it sends it again, or a worker`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          yield* done(w0, Effect.exit(Agent.cancel(analyst, { ...ref, wait: false })))
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, refusing("cancel", ...given)))
      )
    }

    it.effect("E3a: is refused: it is sent again while the run that asked for it is left", () =>
      Effect.gen(function* () {
        const [w0] = yield* two()
        const stream = Agent.stream(analyst, { ...task, onInterrupt: "cancel" })
        const first = yield* begin(w0, Stream.runDrain(stream))
        yield* comes("Accepted")
        yield* passing(Fiber.interrupt(first))
        assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
        assert.isTrue(yield* has("CancelSent"))
      }).pipe(over(long, refusing("cancel", unavailable)))
    )

    it.effect("E3a: is taken, and the store refuses to record that: it is not sent without end", () => {
      const { layer: store, state } = outage(layer, ["record"])
      return Effect.gen(function* () {
        const [w0] = yield* two()
        const first = yield* begin(w0, Effect.flip(reading))
        yield* comes("Accepted")
        yield* note(runId, { _tag: "CancelRequested" })
        state.kind = "denied"
        state.store = "is away"
        assert.strictEqual((yield* passing(Fiber.join(first), 1000)).reason._tag, "RunCancelled")
        assert.strictEqual(yield* count("cancel"), 1)
      }).pipe(over(long, undefined, store))
    })

    it.effect("E3a: is refused for a response that nobody waits for: it is sent again", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two({ onUnconfirmed: "restart" })
        const request = w0.stop("model.create", "after")
        yield* begin(w0, Effect.exit(reading))
        yield* request.reached
        yield* w0.stall
        yield* leasesEnd
        assert.strictEqual(yield* done(w1, reading), "a")
        yield* request.goOn
        yield* begin(w1, working)
        yield* until(
          "resp_1 is cancelled",
          Effect.map(atProvider("resp_1"), (status) => status === "cancelled")
        )
      }).pipe(over(inTurn(long, [text("a"), completed]), refusing("cancel", unavailable)))
    )

    for (const [who, program] of goingOn) {
      it.effect(`E3b: is sent by ${who}, if who asked for it died`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          const cancel = w0.stop("model.cancel", "before")
          yield* begin(w0, Agent.cancel(analyst, ref))
          yield* cancel.reached
          yield* w0.die
          assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
          yield* begin(w1, Effect.exit(program))
          yield* isStopped
        }).pipe(over(long))
      )
    }

    const moments: ReadonlyArray<[Operation, "before" | "after"]> = [
      ["record CancelRequested", "after"],
      ["model.cancel", "before"],
      ["model.cancel", "after"],
      ["record CancelSent", "before"],
      ["record CancelSent", "after"],
      ["model.retrieve", "before"],
      ["model.retrieve", "after"]
    ]
    for (const [operation, where] of moments) {
      it.effect(`E3c: is carried out, if who asked for it is interrupted ${where} '${operation}'`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, Agent.start(analyst, task))
          const stop = w0.stop(operation, where)
          const canceller = yield* begin(w0, Agent.cancel(analyst, ref))
          yield* stop.reached
          const interrupted = yield* Effect.forkDetach(Fiber.interrupt(canceller))
          yield* stop.goOn
          yield* passing(Fiber.join(interrupted))
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long))
      )
    }

    it.effect("E3c: is carried out by who holds the run, though who asked for it is interrupted", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const first = yield* begin(w0, Effect.flip(reading))
        yield* comes("Accepted")
        const stop = w1.stop("model.cancel", "before")
        const canceller = yield* begin(w1, Agent.cancel(analyst, ref))
        yield* stop.reached
        yield* passing(Fiber.interrupt(canceller))
        yield* isStopped
        assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "RunCancelled")
      }).pipe(over(long))
    )

    const stalls = { onStall: "cancel", maxSilence: Duration.seconds(10) } as const
    const following: ReadonlyArray<[string, Effect.Effect<unknown, AgentError.AgentError, Services>]> = [
      ["stream", reading],
      ["run", Agent.run(analyst, task)],
      ["result", Effect.andThen(Agent.start(analyst, task), Agent.result(analyst, ref))],
      ["resume, polled", Effect.andThen(Agent.start(analyst, task), resuming)]
    ]
    for (const [verb, program] of following) {
      const unstreamed = (inner: Model): Partial<Model> =>
        verb === "resume, polled" ? { capabilities: { ...inner.capabilities, resume: false } } : {}

      it.effect(`E3d: of a run that stalled is refused with 503: it is sent again: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two(stalls)
          assert.strictEqual((yield* done(w0, Effect.flip(program))).reason._tag, "RunStalled")
          assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, (inner) => ({ ...unstreamed(inner), ...refusing("cancel", unavailable)(inner) })))
      )

      it.effect(`E3d: of a run that stalled is refused until it is left: a worker sends it: ${verb}`, () => {
        const refused = Array.from({ length: 8 }, () => unavailable)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two(stalls)
          assert.strictEqual((yield* done(w0, Effect.flip(program))).reason._tag, "RunStalled")
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, (inner) => ({ ...unstreamed(inner), ...refusing("cancel", ...refused)(inner) })))
      })

      it.effect(`E3d: of a run that stalled while the store is away for a second: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two(stalls)
          const first = yield* begin(w0, Effect.flip(program))
          yield* comes("Accepted")
          yield* elapse(9500)
          yield* lasting(1500)
          assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "RunStalled")
          yield* elapse(2000)
          assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
          yield* begin(w1, working)
          yield* isStopped
        }).pipe(over(long, unstreamed, store))
      })
    }

    for (const kind of ["unavailable", "denied"] as const) {
      for (const [how, changes] of [
        ["of a run that stalled", stalls],
        ["of a stream that is interrupted", {}]
      ] as const) {
        it.effect(`E3d: ${how} cannot be recorded (${kind}): the log tells it`, () => {
          const { layer: store, state } = outage(layer, ["record"])
          const { layer: logger, lines } = logging()
          return Effect.gen(function* () {
            const [w0] = yield* two(changes)
            const stream = Agent.stream(analyst, { ...task, onInterrupt: "cancel" })
            const first = yield* begin(w0, Effect.exit(Stream.runDrain(stream)))
            yield* comes("Accepted")
            state.kind = kind
            state.store = "is away"
            if (changes === stalls) yield* passing(Fiber.await(first))
            else yield* passing(Fiber.interrupt(first))
            assert.lengthOf(
              lines.filter((line) => line.startsWith("Error r resp_1 baton: a cancel could not be recorded")),
              1
            )
          }).pipe(over(long, undefined, store), Effect.provide(logger))
        })
      }
    }

    it.effect("E3d: of a foreground run that stalled: its connection is closed, and the run has ended", () =>
      Effect.gen(function* () {
        const [w0] = yield* two(stalls)
        const stream = Stream.runDrain(Agent.stream(analyst, { ...task, background: false }))
        yield* done(w0, Effect.flip(stream))
        assert.isTrue(yield* has("CancelRequested"))
        assert.strictEqual(
          yield* done(
            w0,
            Effect.map(Effect.flip(resuming), ({ reason }) => reason._tag)
          ),
          "RunCancelled"
        )
      }).pipe(over(long))
    )

    for (const onUnconfirmed of ["fail", "restart"] as const) {
      for (const [operation, where] of [
        ["model.create", "before"],
        ["model.create", "after"],
        ["commit Requested", "after"]
      ] as const) {
        it.effect(
          `E3e: of a run whose opener died ${where} '${operation}' (${onUnconfirmed}): it does not end as cancelled`,
          () =>
            Effect.gen(function* () {
              const [w0, w1] = yield* two({ onUnconfirmed })
              const stop = w0.stop(operation, where)
              yield* begin(w0, Effect.exit(reading))
              yield* stop.reached
              yield* w0.die
              const sent = yield* count("create")
              yield* done(w1, Agent.cancel(analyst, { ...ref, wait: false }))
              assert.isUndefined(yield* endOf)
              yield* elapse(2 * Duration.toMillis(leaseTime), 1000)
              yield* begin(w1, working)
              yield* comes("Ended")
              assert.strictEqual(yield* endOf, "failed: unconfirmed")
              assert.strictEqual((yield* stateOf(runId)).ended?.unresolved?.length, 1)
              assert.strictEqual((yield* done(w1, Agent.cancel(analyst, ref))).status, "failed")
              assert.strictEqual(yield* count("create"), sent)
            }).pipe(over(long))
        )
      }
    }

    it.effect("E3e: of a run whose opener stands still: its late response is cancelled", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const request = w0.stop("model.create", "after")
        const first = yield* begin(w0, Effect.exit(reading))
        yield* request.reached
        yield* w0.stall
        yield* leasesEnd
        assert.strictEqual((yield* done(w1, Agent.cancel(analyst, ref))).status, "failed")
        yield* request.goOn
        yield* passing(Fiber.await(first))
        yield* begin(w1, working)
        yield* until(
          "resp_1 is cancelled",
          Effect.map(atProvider("resp_1"), (status) => status === "cancelled")
        )
        assert.strictEqual(yield* endOf, "failed: unconfirmed")
      }).pipe(over(long))
    )
  })

  describe("a refusal", () => {
    const refused = (error: AiError.AiError): Script => [fail(error), ...paced]
    /** The store is away from shortly before the answer comes. */
    const awayAtTheAnswer =
      (away: Effect.Effect<unknown>) =>
      (inner: Model): Partial<Model> => ({
        create: (request) =>
          Stream.unwrap(Effect.as(Effect.andThen(Effect.delay(away, 300), Effect.sleep(1)), inner.create(request)))
      })

    for (const [verb, program] of openings) {
      for (const millis of [20, 1000]) {
        it.effect(`E7b: for good, while the store is away for ${millis} ms, is recorded: ${verb}`, () => {
          const { lasting, layer: store, state } = outage(layer)
          return Effect.gen(function* () {
            const [w0, w1] = yield* two()
            const first = yield* begin(w0, Effect.flip(program))
            assert.deepStrictEqual((yield* passing(Fiber.join(first), 10)).reason, invalid)
            assert.isAbove(state.failures, 0)
            assert.strictEqual(yield* endOf, "failed: refused")
            assert.deepStrictEqual((yield* done(w1, Effect.flip(reading))).reason, invalid)
            assert.strictEqual(yield* count("create"), 1)
          }).pipe(over(refused(invalid), awayAtTheAnswer(lasting(millis)), store))
        })
      }

      it.effect(
        `E7b: for now, while the store is away for 100 ms, is recorded, and the request sent again: ${verb}`,
        () => {
          const { lasting, layer: store, state } = outage(layer)
          return Effect.gen(function* () {
            const [w0, w1] = yield* two()
            const first = yield* begin(w0, Effect.exit(program))
            assert.strictEqual((yield* passing(Fiber.join(first), 10))._tag, "Success")
            assert.isAbove(state.failures, 0)
            assert.strictEqual((yield* done(w1, Agent.result(analyst, ref))).text, "x".repeat(20))
            assert.strictEqual(yield* count("create"), 2)
          }).pipe(over(refused(busy), awayAtTheAnswer(lasting(100)), store))
        }
      )

      it.effect(`E7b: whose record's answer is lost, is recorded: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer, ["record"])
        return Effect.gen(function* () {
          const [w0] = yield* two()
          const first = yield* begin(w0, Effect.flip(program))
          yield* comes("Requested")
          yield* lasting(1000, "loses answers")
          assert.deepStrictEqual((yield* passing(Fiber.join(first), 10)).reason, invalid)
          assert.strictEqual(yield* endOf, "failed: refused")
        }).pipe(over(refused(invalid), slowAnswers(300), store))
      })

      it.effect(`E7b: that comes while the run is left and the store is away is recorded: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const first = yield* begin(w0, program)
          yield* comes("Requested")
          yield* lasting(1000)
          yield* passing(Fiber.interrupt(first), 10)
          assert.isTrue(yield* has("Refused"))
          assert.deepStrictEqual((yield* done(w1, Effect.flip(reading))).reason, invalid)
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(refused(invalid), slowAnswers(300), store))
      })

      it.effect(`E7b: an intent whose answer is lost while the store is away is withdrawn: ${verb}`, () => {
        const { layer: store, state } = outage(layer, ["commit", "record"])
        return Effect.gen(function* () {
          const [w0, w1] = yield* two()
          const intent = w0.stop("commit Requested", "after", { lost: true })
          const first = yield* begin(w0, Effect.flip(program))
          yield* intent.reached
          state.store = "is away"
          yield* intent.goOn
          yield* elapse(1000)
          state.store = "works"
          assert.strictEqual((yield* passing(Fiber.join(first))).reason._tag, "StoreFailed")
          assert.strictEqual(yield* done(w1, reading), "x".repeat(20))
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(over(paced, undefined, store))
      })
    }
  })
})
