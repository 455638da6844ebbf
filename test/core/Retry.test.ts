// Guarantees 7 and 10: a run that ended without success is opened again (`Agent.retry`), and a response that something else
// opened is taken over (`Agent.adopt`).
import { Agent, BackgroundModel, Run, Runs } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { inTurn } from "../support/processes.ts"
import { analyst, count, recordOf, type Services, stateOf, statusOf, textOf } from "../support/runs.ts"
import { denied, modelWith, unreachable } from "../support/models.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, fail, failed, incomplete, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const good = [text("a"), text("b"), completed]
const long = [text("a"), pause("1 hour"), text("b"), completed]
const ran = passing(Effect.exit(Agent.run(analyst, input)))
const expired = Effect.gen(function* () {
  yield* passing(Agent.start(analyst, input))
  yield* (yield* BackgroundModel.BackgroundModel).remove("resp_1")
})

describe.each(stores)("Agent.retry ($name)", ({ layer: store }) => {
  interface Ended {
    readonly name: string
    readonly script: () => ReturnType<typeof inTurn>
    readonly options?: ScriptedModel.Options
    readonly end: Effect.Effect<unknown, unknown, Services>
    readonly status: Run.RunStatus
    readonly more?: { readonly mayBuyTwice: boolean }
    /** The response of the run that is opened again. */
    readonly next: string
  }
  const ends: ReadonlyArray<Ended> = [
    {
      name: "failed",
      script: () => inTurn([text("x"), failed("once")], good),
      end: ran,
      status: "failed",
      next: "resp_2"
    },
    {
      name: "was cancelled",
      script: () => inTurn(long, good),
      end: Effect.andThen(Agent.start(analyst, input), passing(Agent.cancel(analyst, ref))),
      status: "cancelled",
      next: "resp_2"
    },
    {
      name: "was refused",
      script: () => {
        const refusal = [fail(denied), ...good]
        return inTurn(refusal, refusal)
      },
      end: ran,
      status: "failed",
      next: "resp_1"
    },
    {
      name: "expired",
      script: () => inTurn(long, good),
      end: Effect.andThen(expired, passing(Effect.exit(Agent.result(analyst, ref)))),
      status: "expired",
      next: "resp_2"
    }
  ]
  it.effect.each(ends)("opens a run again that $name", ({ end, next, options, script, status }) =>
    Effect.gen(function* () {
      yield* end
      assert.strictEqual(yield* statusOf("r"), status)
      const before = yield* recordOf("r")
      const creates = yield* count("create")
      const response = yield* passing(Agent.retry(analyst, input))
      assert.strictEqual(response.runId, "r")
      assert.isFalse(Run.isOver(response.status))
      assert.deepStrictEqual(response.responseId, Option.some(next))
      assert.isTrue(Option.isSome(response.continuationToken))
      assert.isNull((yield* recordOf("r")).lease, "it is left")

      // Tokens of before are of another incarnation.
      for (const verb of [
        Stream.runDrain(Agent.resume(analyst, { continuationToken: before.position })),
        Stream.runDrain(Agent.watch(analyst, { continuationToken: before.position })),
        Effect.asVoid(Agent.poll(analyst, { continuationToken: before.position })),
        Effect.asVoid(Agent.cancel(analyst, { continuationToken: before.position }))
      ]) {
        const { reason } = yield* Effect.flip(verb)
        assert.strictEqual(reason._tag === "TokenInvalid" && reason.kind, "outdated")
      }

      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)))
      // A log still has what the consumer did not read of the turn that failed.
      const updates = rest.slice(before.logged === true ? rest.findIndex(({ retried }) => retried === true) : 0)
      assert.strictEqual(textOf(updates), "ab")
      assert.deepStrictEqual(
        updates.map(({ retried }) => retried),
        updates.map((_, i) => (i === 0 ? true : undefined)),
        "the first update says so, and no other"
      )
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual(yield* count("create"), creates + 1)
      assert.isAbove((yield* stateOf("r")).incarnation, before.incarnation)
      // What it ended with before is over.
      assert.strictEqual((yield* Agent.result(analyst, ref)).text, "ab")
      assert.strictEqual((yield* passing(Agent.run(analyst, input))).text, "ab")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script(), options), store)))
  )

  it.effect("opens a run that is unconfirmed only if told that it may buy twice", () => {
    let answers = false
    const model = modelWith(good, (inner) => ({
      create: (request) =>
        Stream.suspend(() =>
          answers
            ? inner.create(request)
            : Stream.unwrap(
                Effect.as(
                  inner.submit(request),
                  Stream.fail(new BackgroundModel.CreateUnconfirmed({ error: unreachable }))
                )
              )
        )
    }))
    return Effect.gen(function* () {
      assert.strictEqual((yield* passing(Effect.flip(Agent.run(analyst, input)))).reason._tag, "Unconfirmed")
      answers = true
      for (const more of [{}, { mayBuyTwice: false }]) {
        const { reason } = yield* Effect.flip(Agent.retry(analyst, { ...input, ...more }))
        assert.strictEqual(reason._tag, "Unconfirmed")
      }
      assert.strictEqual(yield* count("create"), 0)
      yield* passing(Agent.retry(analyst, { ...input, mayBuyTwice: true }))
      assert.strictEqual(yield* count("create"), 1)
      const updates = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)))
      assert.strictEqual(textOf(updates), "ab")
      assert.strictEqual(updates[0]?.retried, true)
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(Layer.merge(model, store)))
  })

  it.effect("refuses another input, and none if the run needs it, and changes nothing", () =>
    Effect.gen(function* () {
      yield* ran
      const before = yield* recordOf("r")
      const other = yield* Effect.flip(Agent.retry(analyst, { ...ref, input: "Something else" }))
      assert.strictEqual(other.reason._tag, "RunInputMismatch")
      const none = yield* passing(Effect.flip(Agent.retry(analyst, ref)))
      assert.strictEqual(none.reason._tag, "InvalidInput")
      assert.match(none.message, /give the input/)
      const bad = yield* Effect.flip(Agent.retry(analyst, { ...ref, input: " " }))
      assert.strictEqual(bad.reason._tag, "InvalidInput")
      assert.deepStrictEqual((yield* recordOf("r")).journal, before.journal)
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(inTurn([failed("once")], good)), store)))
  )

  it.effect("refuses a run that is under way, or ended well, and a second retry", () =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, input))
      const underWay = yield* Effect.flip(Agent.retry(analyst, input))
      assert.strictEqual(underWay.reason._tag, "InvalidInput")
      assert.match(underWay.message, /under way/)
      assert.strictEqual((yield* passing(Effect.flip(Agent.result(analyst, ref)))).reason._tag, "RunFailed")
      yield* passing(Agent.retry(analyst, input))
      const twice = yield* Effect.flip(Agent.retry(analyst, input))
      assert.strictEqual(twice.reason._tag, "InvalidInput")
      assert.strictEqual((yield* passing(Agent.result(analyst, ref))).text, "ab")
      const well = yield* Effect.flip(Agent.retry(analyst, input))
      assert.match(well.message, /ended well/)
      assert.strictEqual(yield* count("create"), 2)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(inTurn([pause("1 second"), failed("once")], good)), store)))
  )

  it.effect("of two at the same time opens one response", () =>
    Effect.gen(function* () {
      yield* ran
      const outcomes = yield* passing(
        Effect.forEach([1, 2, 3], () => Effect.result(Agent.retry(analyst, input)), { concurrency: "unbounded" })
      )
      assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Success").length, 1)
      for (const outcome of outcomes) {
        if (outcome._tag === "Failure") assert.include(["RunLeased", "InvalidInput"], outcome.failure.reason._tag)
      }
      assert.strictEqual(yield* count("create"), 2)
      assert.strictEqual((yield* passing(Agent.result(analyst, ref))).text, "ab")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(inTurn([failed("once")], good)), store)))
  )

  it.effect("can be done again if it fails again, and each time is one more response", () =>
    Effect.gen(function* () {
      yield* ran
      const incarnations = [(yield* stateOf("r")).incarnation]
      for (let i = 0; i < 3; i++) {
        yield* passing(Agent.retry(analyst, input))
        yield* passing(Effect.exit(Agent.result(analyst, ref)))
        incarnations.push((yield* stateOf("r")).incarnation)
      }
      assert.strictEqual(new Set(incarnations).size, 4)
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.deepStrictEqual(yield* stateOf("r").pipe(Effect.map(({ loose }) => loose)), [])
      assert.strictEqual(yield* count("create"), 4)
    }).pipe(
      Effect.provide(Layer.merge(ScriptedModel.layer(inTurn([failed("1")], [failed("2")], [failed("3")], good)), store))
    )
  )

  it.effect("says that it was refused again, and leaves the run as one that failed", () => {
    const model = modelWith(good, () => ({ create: () => Stream.fail(denied) }))
    return Effect.gen(function* () {
      yield* ran
      const { reason } = yield* passing(Effect.flip(Agent.retry(analyst, input)))
      assert.strictEqual(reason._tag === "AiError" && reason.reason._tag, "AuthenticationError")
      assert.strictEqual(yield* statusOf("r"), "failed")
      assert.isNull((yield* recordOf("r")).lease)
      assert.isNull((yield* recordOf("r")).due)
    }).pipe(Effect.provide(Layer.merge(model, store)))
  })

  it.effect("of a run that was adopted takes the input that it is given", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      yield* passing(Agent.start(analyst, { input: "elsewhere", runId: "elsewhere" }))
      yield* model.cancel("resp_1")
      yield* Agent.adopt(analyst, { responseId: "resp_1", runId: "r" })
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      yield* passing(Agent.retry(analyst, input))
      assert.strictEqual((yield* passing(Agent.result(analyst, ref))).text, "ab")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(inTurn(long, good)), store)))
  )
})

describe.each(stores)("Agent.adopt ($name)", ({ layer: store }) => {
  /** A response that another program opened. */
  const elsewhere = Effect.gen(function* () {
    const model = yield* BackgroundModel.BackgroundModel
    const request = yield* aRequest
    const first = yield* Effect.orDie(Stream.runHead(model.create({ ...request, runId: Run.RunId.make("elsewhere") })))
    return Option.getOrThrow(first).responseId!
  })
  const aRequest = Effect.gen(function* () {
    yield* passing(Agent.start(analyst, { input: "for its request", runId: "request" }))
    const { ledger } = yield* ScriptedModel.ScriptedModel
    return (yield* ledger).find(({ request }) => request !== undefined)!.request!
  })
  const soon = [text("a"), pause("5 seconds"), text("b"), completed]
  const withElsewhere = (script: ReadonlyArray<ScriptedModel.Step>) => Layer.merge(ScriptedModel.layer(script), store)

  it.effect("takes over a response, which is then streamed from its start, and ended, as any run", () =>
    Effect.gen(function* () {
      const responseId = yield* elsewhere
      const creates = yield* count("create")
      const adopted = yield* Agent.adopt(analyst, { responseId })
      assert.strictEqual(adopted.runId, responseId)
      assert.deepStrictEqual(adopted.responseId, Option.some(responseId))
      assert.strictEqual(adopted.status, "in_progress")
      const updates = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: responseId })), 100)
      assert.strictEqual(textOf(updates), "ab")
      assert.isUndefined(updates[0]?.retried)
      assert.strictEqual(yield* statusOf(responseId), "completed")
      assert.strictEqual(yield* count("create"), creates)
    }).pipe(Effect.provide(withElsewhere(soon)))
  )

  it.effect("twice, also at the same time, is one run", () =>
    Effect.gen(function* () {
      const responseId = yield* elsewhere
      const both = yield* passing(
        Effect.forEach([1, 2], () => Agent.adopt(analyst, { responseId }), { concurrency: "unbounded" })
      )
      const again = yield* Agent.adopt(analyst, { responseId })
      assert.deepStrictEqual(
        [...both, again].map(({ runId }) => runId as string),
        [responseId, responseId, responseId]
      )
      assert.strictEqual((yield* recordOf(responseId)).journal.length, 1)
      yield* Agent.adopt(analyst, { responseId, runId: "named" })
      yield* Agent.adopt(analyst, { responseId, runId: "named" })
      assert.strictEqual((yield* recordOf("named")).journal.length, 1)
    }).pipe(Effect.provide(withElsewhere(soon)))
  )

  it.effect("of a response that the provider does not have records nothing", () =>
    Effect.gen(function* () {
      for (const named of [{}, { runId: "r" }]) {
        const error = yield* Effect.flip(Agent.adopt(analyst, { responseId: "resp_404", ...named }))
        assert.strictEqual(error.reason._tag, "RunExpired")
      }
      assert.deepStrictEqual(yield* Stream.runCollect(Runs.list()), [])
    }).pipe(Effect.provide(withElsewhere(soon)))
  )

  it.effect("under an id that another run has is refused, and that run is left as it is", () =>
    Effect.gen(function* () {
      const responseId = yield* elsewhere
      yield* passing(Agent.start(analyst, input))
      const before = yield* recordOf("r")
      for (const agent of [analyst, Agent.make("poet")]) {
        const error = yield* Effect.flip(Agent.adopt(agent, { responseId, runId: "r" }))
        assert.strictEqual(error.reason._tag, "InvalidInput")
        assert.match(error.message, /another run id/)
      }
      assert.deepStrictEqual(yield* recordOf("r"), before)
    }).pipe(Effect.provide(withElsewhere(soon)))
  )

  it.effect("makes a run that stream, run and start continue by its id, and buy nothing", () =>
    Effect.gen(function* () {
      const responseId = yield* elsewhere
      yield* Agent.adopt(analyst, { responseId, runId: "r" })
      const creates = yield* count("create")
      const started = yield* passing(Agent.start(analyst, input))
      assert.deepStrictEqual(started.responseId, Option.some(responseId))
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)), 100)
      assert.strictEqual(textOf(updates), "ab")
      assert.strictEqual((yield* passing(Agent.run(analyst, input))).text, "ab")
      assert.strictEqual(yield* count("create"), creates)
      assert.strictEqual(yield* count("submit"), 0)
    }).pipe(Effect.provide(withElsewhere(soon)))
  )

  it.effect("of a response whose id cannot be a run's derives one that is always the same", () => {
    const wild = `resp/${"x".repeat(300)}`
    const model = modelWith(good, (inner) => ({
      retrieve: (responseId) => inner.retrieve(responseId === wild ? "resp_1" : responseId)
    }))
    return Effect.gen(function* () {
      yield* aRequest
      const first = yield* Agent.adopt(analyst, { responseId: wild })
      const second = yield* Agent.adopt(analyst, { responseId: wild })
      assert.match(first.runId, /^adopted-/)
      assert.strictEqual(second.runId, first.runId)
    }).pipe(Effect.provide(Layer.merge(model, store)))
  })

  it.effect("of a response that is over records its end", () =>
    Effect.gen(function* () {
      const responseId = yield* elsewhere
      const adopted = yield* Agent.adopt(analyst, { responseId })
      assert.strictEqual(adopted.status, "incomplete")
      assert.strictEqual(adopted.text, "a")
      assert.strictEqual(yield* statusOf(responseId), "incomplete")
      // Nobody has read it yet.
      assert.strictEqual(textOf(yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: responseId })))), "a")
    }).pipe(Effect.provide(withElsewhere([text("a"), incomplete()])))
  )
})
