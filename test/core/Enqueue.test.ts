// Runs that are recorded with their input by a process that never talks to the provider, and opened by a worker.
import { inspect } from "node:util"
import { Agent, type AgentError, type BackgroundModel, Run, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Duration, Effect, Exit, Layer, Option, Stream, Tracer } from "effect"
import { logged } from "../support/logs.ts"
import { analyst, count, recordOf, stateOf, statusOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { doneBy, launch, quick } from "../support/workers.ts"

const { completed, failed, pause, text } = ScriptedModel

const script = [text("a"), pause("1 second"), text("b"), completed]
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const night = Agent.make("night")

/** A worker that reads all that its runs say into `said`. */
const worker = (said: Array<string> = [], agent: Agent.Agent = analyst) =>
  Runs.worker([agent], {
    ...quick,
    handle: ({ updates }) => Stream.runForEach(updates, (update) => Effect.sync(() => void said.push(update.text)))
  })

/** The reason of the failure. */
const refusal = <A, R>(effect: Effect.Effect<A, AgentError.AgentError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

/** The input of a run as its store keeps it; it is nobody's then. */
const keptOf = (runId: string) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const {
      input: kept,
      lease,
      record
    } = yield* store.acquire(Run.RunId.make(runId), {
      owner: "test",
      ttl: Duration.seconds(1)
    })
    yield* store.release(lease, { seen: record.journal.length, due: Duration.infinity, attempt: "keep" })
    return kept
  })

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

  it.effect("a worker opens it as a stream, with the agent's own instructions, and brings it to its end", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, session: { previousResponseId: "resp_0" } })
      const said: Array<string> = []
      const close = yield* launch(worker(said))
      yield* elapse(5000)
      assert.strictEqual(said.join(""), "ab")
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.isTrue((yield* stateOf("r")).delivered)
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const [first, ...more] = yield* ledger
      assert.strictEqual(first?.operation, "create")
      assert.strictEqual(first?.request?.instructions, analyst.instructions)
      assert.strictEqual(first?.request?.previousResponseId, "resp_0")
      assert.include(JSON.stringify(first?.request?.prompt), "Hello")
      assert.deepStrictEqual(more, [], "it was followed on the connection that opened it")
      assert.strictEqual(yield* keptOf("r"), undefined, "the input goes with the good end")
      yield* close
    }).pipe(Effect.provide(over()))
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

  const moments: ReadonlyArray<readonly [string, (millis: number) => DateTime.DateTime | Date]> = [
    ["a Date", (millis) => new Date(millis)],
    ["a DateTime", (millis) => DateTime.makeUnsafe(millis)]
  ]
  it.effect.each(moments)("workers leave it alone until its time, which is %s", ([, at]) =>
    Effect.gen(function* () {
      yield* elapse(10_000)
      yield* Agent.enqueue(analyst, { ...input, notBefore: at(70_000) })
      yield* Agent.enqueue(analyst, { input: "At once", runId: "past", notBefore: at(5000) })
      const close = yield* launch(worker())
      yield* elapse(55_000, 500)
      assert.strictEqual(yield* statusOf("past"), "completed")
      assert.strictEqual(yield* statusOf("r"), "queued")
      assert.strictEqual(yield* count("create"), 1)
      yield* elapse(10_000, 500)
      assert.strictEqual(yield* statusOf("r"), "completed")
      yield* close
    }).pipe(Effect.provide(over()))
  )

  it.effect("a cancel before its time ends it, and buys nothing", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, notBefore: new Date(3_600_000) })
      assert.strictEqual((yield* passing(Agent.cancel(analyst, ref))).status, "cancelled")
      const close = yield* launch(worker())
      yield* elapse(7_200_000, 10_000)
      assert.strictEqual(yield* count("create"), 0)
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      assert.isTrue((yield* stateOf("r")).delivered, "its handle was told")
      yield* close
    }).pipe(Effect.provide(over()))
  )

  it.effect(
    "another version of the agent does not open it: no request is sent until one of the right version comes",
    () =>
      Effect.gen(function* () {
        const first = Agent.make("analyst", { version: "1", background: true })
        const second = Agent.make("analyst", { version: "2", background: true })
        yield* Agent.enqueue(first, input)
        const said: Array<string> = []
        const wrong = yield* launch(worker(said, second))
        yield* elapse(120_000, 500)
        assert.strictEqual(yield* count("create"), 0)
        assert.deepStrictEqual((yield* recordOf("r")).journal, [], "not even the intent")
        // Both would be at it in turns.
        yield* wrong
        const right = yield* launch(worker(said, first))
        yield* elapse(120_000, 500)
        assert.strictEqual(said.join(""), "ab")
        assert.strictEqual(yield* count("create"), 1)
        yield* right
      }).pipe(Effect.provide(over()))
  )

  it.effect("a worker that dies between its claim and the request: another opens it, bought once", () =>
    Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      let dead = false
      const alive = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.suspend(() => (dead ? Effect.never : effect)) as Effect.Effect<A, E>
      const dying = Layer.succeed(TokenStore.TokenStore, {
        ...shared,
        commit: (lease, commit) => {
          dead ||= commit.facts?.some(({ _tag }) => _tag === "Requested") === true
          return alive(shared.commit(lease, commit))
        },
        record: (id, fact, seen) => alive(shared.record(id, fact, seen)),
        renew: (lease, ttl, seen) => alive(shared.renew(lease, ttl, seen)),
        claim: (options) => alive(shared.claim(options)),
        release: (lease, options) => alive(shared.release(lease, options))
      })
      yield* Agent.enqueue(analyst, input)
      const first = yield* launch(Layer.provide(worker(), dying))
      yield* elapse(5000)
      assert.isTrue(dead)
      assert.isNotNull((yield* recordOf("r")).lease)
      const said: Array<string> = []
      const second = yield* launch(worker(said))
      yield* elapse(20_000, 100)
      assert.strictEqual(yield* count("create"), 0, "its lease lasts")
      yield* elapse(40_000, 100)
      assert.strictEqual(said.join(""), "ab")
      assert.strictEqual(yield* count("create"), 1)
      yield* second
      yield* first
    }).pipe(Effect.provide(over()))
  )

  it.effect("a worker whose model cannot run it in the background parks it, and says why", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, input)
      let handled = 0
      const close = yield* launch(Runs.worker([analyst], { ...quick, handle: () => Effect.sync(() => void handled++) }))
      yield* elapse(300_000, 1000)
      const { due, parked } = yield* recordOf("r")
      assert.match(parked?.reason ?? "", /cannot run in the background/)
      assert.isNull(due)
      assert.strictEqual(handled, 0)
      assert.strictEqual(yield* count("create"), 0)
      for (const verb of [
        Stream.runDrain(Agent.resume(analyst, ref)),
        Stream.runDrain(Agent.stream(Agent.make("analyst"), input)),
        Effect.asVoid(Agent.start(Agent.make("analyst"), input))
      ]) {
        assert.strictEqual((yield* passing(refusal(verb)))._tag, "BackgroundUnsupported")
      }
      assert.strictEqual(yield* count("create"), 0)
      yield* close
    }).pipe(Effect.provide(over(script, { capabilities: { background: false } })))
  )

  it.effect("a foreground run is opened and followed by its worker", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, background: false })
      const said: Array<string> = []
      const close = yield* launch(worker(said))
      yield* elapse(5000)
      assert.strictEqual(said.join(""), "ab")
      assert.strictEqual(yield* statusOf("r"), "completed")
      yield* close
    }).pipe(Effect.provide(over(script, { capabilities: { background: false } })))
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

  it.effect("result waits for its time however far it is, and only then for as long as the policy says", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, notBefore: new Date(86_400_000) })
      const calm = RunPolicy.layer({ maxQueued: Duration.minutes(5) })
      const result = yield* Effect.forkChild(Effect.provide(Effect.exit(Agent.result(analyst, ref)), calm))
      yield* elapse(86_390_000, 60_000)
      assert.strictEqual(result.pollUnsafe(), undefined)
      yield* elapse(600_000, 10_000)
      const ended = yield* doneBy(result)
      assert.isTrue(Exit.isFailure(ended) && Cause.pretty(ended.cause).includes("it is queued for longer than 5m"))
      const close = yield* launch(worker())
      assert.strictEqual((yield* passing(Agent.result(analyst, ref))).text, "ab")
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
