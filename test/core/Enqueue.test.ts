// Runs that are recorded with their input by a process that never talks to the provider: what verbs make of them.
import { inspect } from "node:util"
import { Agent, type AgentError, type BackgroundModel, Run, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Option, Stream, Tracer } from "effect"
import { input, ref, refusal, script, worker } from "../support/enqueued.ts"
import { logged } from "../support/logs.ts"
import { analyst, count, recordOf, statusOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { doneBy, launch } from "../support/workers.ts"

const { failed, text } = ScriptedModel
const night = Agent.make("night")

describe.each(stores)("Agent.enqueue ($name)", ({ layer: store }) => {
  const over = (steps: Parameters<typeof ScriptedModel.layer>[0] = script, options: ScriptedModel.Options = {}) =>
    Layer.merge(ScriptedModel.layer(steps, options), store)

  it.effect("needs a store and no model, and answers a run that is queued", () =>
    Effect.gen(function* () {
      const response = yield* Agent.enqueue(night, { ...input, session: { previousResponseId: "resp_0" } })
      assert.strictEqual(response.status, "queued")
      assert.strictEqual(response.runId, "r")
      assert.strictEqual(response.text, "")
      assert.deepStrictEqual(response.responseId, Option.none())
      assert.deepStrictEqual(response.session, { previousResponseId: "resp_0" })
      assert.isTrue(Option.isSome(response.continuationToken))
      const record = yield* recordOf("r")
      assert.isTrue(record.background, "by default it outlives its worker")
      assert.isTrue(record.handled)
      assert.strictEqual(record.input, "ended")
      assert.isNull(record.lease)
      const named = yield* Agent.enqueue(Agent.make("front", { background: false }), { input: "Hello" })
      assert.isFalse((yield* recordOf(named.runId)).background)
    }).pipe(Effect.provide(store))
  )

  it.effect("repeated it is one run, also once it is over; with another input it is refused", () =>
    Effect.gen(function* () {
      const first = yield* Agent.enqueue(analyst, input)
      const record = yield* recordOf("r")
      assert.deepStrictEqual(yield* Agent.enqueue(analyst, { ...input, notBefore: new Date(1e12) }), first)
      assert.deepStrictEqual(yield* recordOf("r"), record)
      assert.strictEqual((yield* refusal(Agent.enqueue(analyst, { ...input, input: "Bye" })))._tag, "RunInputMismatch")
      assert.strictEqual((yield* refusal(Agent.enqueue(night, input)))._tag, "RunInputMismatch")
      const close = yield* launch(worker())
      yield* elapse(5000)
      const again = yield* Agent.enqueue(analyst, input)
      assert.strictEqual(again.status, "completed")
      assert.deepStrictEqual(again.responseId, Option.some("resp_1"))
      assert.isTrue(Option.isNone(again.continuationToken))
      yield* elapse(5000)
      assert.strictEqual(yield* count("create"), 1)
      yield* close
    }).pipe(Effect.provide(over()))
  )

  it.effect("it does not help a run that was recorded without its input, and says so", () =>
    Effect.gen(function* () {
      const inner = yield* TokenStore.TokenStore
      yield* Agent.enqueue(analyst, { ...input, runId: "like" })
      const { digest = "" } = yield* recordOf("like")
      yield* inner.create({ runId: Run.RunId.make("r"), agent: "analyst", digest, background: true, session: {} })
      yield* elapse(1)
      assert.strictEqual((yield* refusal(Agent.enqueue(analyst, input)))._tag, "RunNotOpened")
    }).pipe(Effect.provide(store))
  )

  it.effect("an input that is too large is refused, with its size, the limit and a way out; nothing is recorded", () =>
    Effect.gen(function* () {
      const limited = RunPolicy.layer({ maxInput: 1000 })
      const error = yield* Effect.flip(
        Effect.provide(Agent.enqueue(analyst, { ...input, input: "é".repeat(500) }), limited)
      )
      const { reason } = error
      assert.strictEqual(reason._tag, "InputTooLarge")
      if (reason._tag !== "InputTooLarge") return
      assert.isAbove(reason.bytes, 1000, "bytes are counted, not characters")
      assert.strictEqual(reason.limit, 1000)
      assert.match(error.message, new RegExp(`'r'.*${reason.bytes} bytes.*1000.*Agent\\.start`, "u"))
      assert.isFalse(error.isRetryable)
      assert.strictEqual((yield* refusal(Runs.get("r")))._tag, "RunNotFound")
      yield* Effect.provide(Agent.enqueue(analyst, { ...input, input: "e".repeat(500) }), limited)
      const default_ = yield* refusal(Agent.enqueue(analyst, { input: "e".repeat(1024 * 1024) }))
      assert.strictEqual(default_._tag === "InputTooLarge" && default_.limit, 1024 * 1024)
    }).pipe(Effect.provide(store))
  )

  it.effect("bad arguments are typed errors, and nothing is recorded", () =>
    Effect.gen(function* () {
      for (const bad of [
        Agent.enqueue(analyst, { ...input, input: " " }),
        Agent.enqueue(analyst, { ...input, runId: "a/b" }),
        Agent.enqueue(analyst, { ...input, notBefore: new Date(Number.NaN) }),
        Agent.enqueue(Agent.make(""), input)
      ]) {
        assert.strictEqual((yield* refusal(bad))._tag, "InvalidInput")
      }
      assert.strictEqual((yield* Stream.runCollect(Runs.list())).length, 0)
    }).pipe(Effect.provide(store))
  )

  it.effect("poll and watch take it for queued, and wait for the worker", () =>
    Effect.gen(function* () {
      const { continuationToken } = yield* Agent.enqueue(analyst, { ...input, notBefore: new Date(30_000) })
      const token = Option.getOrThrow(continuationToken)
      for (const at of [ref, { continuationToken: token }]) {
        const { response, tokenIsThere } = yield* Effect.map(Agent.poll(analyst, at), (polled) => ({
          response: polled,
          tokenIsThere: Option.isSome(polled.continuationToken)
        }))
        assert.strictEqual(response.status, "queued")
        assert.isTrue(tokenIsThere)
      }
      const watched = yield* Effect.forkChild(Stream.runCollect(Agent.watch(analyst, { continuationToken: token })))
      const close = yield* launch(worker())
      yield* elapse(29_000, 500)
      assert.strictEqual(watched.pollUnsafe(), undefined)
      yield* elapse(10_000, 500)
      assert.strictEqual(textOf(yield* doneBy(watched)), "ab")
      yield* close
    }).pipe(Effect.provide(over()))
  )

  const openers: ReadonlyArray<
    readonly [
      string,
      Effect.Effect<string, AgentError.AgentError, TokenStore.TokenStore | BackgroundModel.BackgroundModel>
    ]
  > = [
    ["resume", Effect.map(Stream.runCollect(Agent.resume(analyst, ref)), textOf)],
    ["stream with the same input", Effect.map(Stream.runCollect(Agent.stream(analyst, input)), textOf)],
    ["run with the same input", Effect.map(Agent.run(analyst, input), (response) => response.text)],
    [
      "start with the same input",
      Effect.andThen(
        Agent.start(analyst, input),
        Effect.map(Agent.result(analyst, ref), (response) => response.text)
      )
    ]
  ]
  it.effect.each(openers)("%s opens it at once, and no worker opens it again", ([, open]) =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, notBefore: new Date(3_600_000) })
      assert.strictEqual(yield* passing(open), "ab")
      const close = yield* launch(worker())
      yield* elapse(10_000)
      assert.strictEqual(yield* count("create"), 1)
      yield* close
    }).pipe(Effect.provide(over()))
  )

  const ends = () => {
    let n = 0
    return () => (n++ === 0 ? [text("x"), failed("once")] : script)
  }

  it.effect("retry opens it again without its input, which is kept until it ends well", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, input)
      const close = yield* launch(worker())
      yield* elapse(5000)
      assert.strictEqual(yield* statusOf("r"), "failed")
      assert.strictEqual((yield* recordOf("r")).input, "ended")
      yield* passing(Agent.retry(analyst, ref))
      yield* elapse(5000)
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual(yield* count("create"), 2)
      assert.strictEqual((yield* recordOf("r")).input, undefined)
      yield* close
    }).pipe(Effect.provide(over(ends())))
  )

  it.effect("retry asks for the input that was kept only until it was accepted", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, keepInput: "accepted" })
      const close = yield* launch(worker())
      yield* elapse(5000)
      assert.strictEqual(yield* statusOf("r"), "failed")
      assert.strictEqual((yield* recordOf("r")).input, undefined)
      const reason = yield* refusal(Agent.retry(analyst, ref))
      assert.strictEqual(reason._tag, "InvalidInput")
      assert.match(reason.message, /give the input that it was started with/)
      assert.strictEqual((yield* refusal(Agent.retry(analyst, { ...ref, input: "Bye" })))._tag, "RunInputMismatch")
      yield* passing(Agent.retry(analyst, input))
      yield* elapse(5000)
      assert.strictEqual(yield* statusOf("r"), "completed")
      yield* close
    }).pipe(Effect.provide(over(ends())))
  )

  it.effect("its input is in no list, log, span, token or error", () => {
    const secret = "c0ntent-of-the-customer"
    const { layer: logs, lines } = logged()
    const told: Array<unknown> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        told.push(span)
        return span
      }
    })
    const marked = { input: `Look at ${secret}`, runId: "r" }
    return Effect.gen(function* () {
      const response = yield* Agent.enqueue(analyst, marked)
      told.push(response)
      const note = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(effect), (exit) => {
          told.push(exit)
          if (Exit.isFailure(exit)) told.push(Cause.pretty(exit.cause))
        })
      const shared = yield* TokenStore.TokenStore
      const look = Effect.gen(function* () {
        yield* note(Stream.runCollect(Runs.list()))
        yield* note(Runs.get("r"))
        yield* note(Runs.count())
        yield* note(Agent.poll(analyst, ref))
        yield* note(shared.read(Run.RunId.make("r")))
      })
      yield* look
      yield* note(Agent.enqueue(night, marked))
      yield* note(Agent.enqueue(analyst, { ...marked, input: `Other ${secret}` }))
      yield* note(Effect.provide(Agent.enqueue(analyst, { ...marked, runId: "s" }), RunPolicy.layer({ maxInput: 10 })))
      // @ts-expect-error a JavaScript caller may pass anything
      yield* note(Agent.enqueue(analyst, { input: [{ role: "user", content: [{ type: secret, text: 1 }] }] }))
      yield* note(Agent.enqueue(analyst, { ...marked, runId: "s", notBefore: new Date(Number.NaN) }))
      yield* note(Agent.retry(analyst, ref))
      const other = Agent.make("analyst", { version: "2", background: true })
      const wrong = yield* launch(worker([], other))
      yield* elapse(5000)
      yield* wrong
      const close = yield* launch(worker())
      yield* elapse(60_000, 500)
      yield* look
      yield* close
      // What is kept is no prompt, as somebody wrote into the store.
      yield* shared.create(
        { runId: Run.RunId.make("torn"), agent: "analyst", background: true, session: {} },
        { handled: true, input: { text: JSON.stringify({ content: [secret] }), until: "ended" } }
      )
      yield* note(Stream.runCollect(Agent.resume(analyst, { runId: "torn" })))
      const second = yield* launch(worker())
      yield* elapse(60_000, 500)
      yield* second
      // Nobody can open it, and no worker tries again and again.
      assert.include((yield* recordOf("torn")).parked?.reason, "no prompt")
      assert.strictEqual(yield* count("create"), 1)
      const shown = [...told, ...lines].map((one) =>
        one instanceof Tracer.NativeSpan ? spanText(one) : inspected(one)
      )
      assert.isAbove(shown.length, 20)
      for (const one of shown) assert.notInclude(one, secret)
    }).pipe(Effect.provide([over(), logs, Layer.succeed(Tracer.Tracer, tracer)]))
  })
})

const inspected = (value: unknown) => inspect(value, { depth: 20, maxStringLength: null, maxArrayLength: null })

const spanText = ({ attributes, events, name, status }: Tracer.NativeSpan) =>
  inspected([name, [...attributes], events, status])
