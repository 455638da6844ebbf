// Runs that are recorded with their input, as work: which workers open them, and when.
import { Agent, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Duration, Effect, Exit, Layer, Stream } from "effect"
import { input, keptOf, ref, refusal, script, worker } from "../support/enqueued.ts"
import { analyst, count, recordOf, stateOf, statusOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { doneBy, launch, quick } from "../support/workers.ts"

describe.each(stores)("Agent.enqueue ($name)", ({ layer: store }) => {
  const over = (steps: Parameters<typeof ScriptedModel.layer>[0] = script, options: ScriptedModel.Options = {}) =>
    Layer.merge(ScriptedModel.layer(steps, options), store)

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
})
