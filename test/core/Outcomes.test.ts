// Guarantees 7 and 9: outcomes that nobody knows at first, and stops that must be carried out. E and a number is a fault.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  type RunPolicy,
  RunPolicy as Policy,
  type RunRecord,
  Runs,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, type Result, Stream } from "effect"
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
          yield* until("the request is sent", Effect.map(has("Requested"), (is) => is))
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
        it.effect(`E2b: cannot be recorded by who is interrupted meanwhile (${kind}): the log tells it: ${verb}`, () => {
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
        })
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
})
