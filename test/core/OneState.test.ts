// Guarantee 10: a run has one state, whichever verb is asked, also if it was never opened, or the provider forgot it (E17, E19).
import { Agent, type AgentError, BackgroundModel, Run, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import { denied, inMemory, modelWith } from "../support/models.ts"
import { analyst, count, findRecord, reasonOf, recordOf, type Services, stateOf, statusOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { leaveBegun } from "../support/workers.ts"

const { completed, fail, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const script = [text("a"), pause("1 second"), text("b"), completed]
const idOfR = Run.RunId.make("r")

describe.each(stores)("a run that is never opened, over the $name store", ({ layer: kept }) => {
  const recorded = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    // Its starter died before it took the run.
    yield* store.create(
      { runId: idOfR, agent: "analyst", digest: "of the input", background: true, session: {} },
      { due: Duration.seconds(60) }
    )
  })
  const forEver = { duration: "10 minutes", orElse: () => Effect.die("it waits for ever") } as const
  const verbs = {
    watch: Effect.timeoutOrElse(Stream.runDrain(Agent.watch(analyst, ref)), forEver),
    result: Effect.timeoutOrElse(Effect.asVoid(Agent.result(analyst, ref)), forEver),
    resume: Stream.runDrain(Agent.resume(analyst, ref))
  }
  it.effect.each(["watch", "result"] as const)(
    "E17: %s waits while somebody may be about to open it, then says so",
    (verb) =>
      Effect.gen(function* () {
        yield* recorded
        assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "queued")
        const [waited, first] = yield* passing(Effect.timed(Effect.flip(verbs[verb])), 500)
        assert.strictEqual(first.reason._tag, "RunNotOpened")
        assert.isAtLeast(Duration.toSeconds(waited), 59)
        assert.isAtMost(Duration.toSeconds(waited), 64)
        for (const again of [verbs.watch, verbs.result, verbs.resume, Effect.asVoid(Agent.poll(analyst, ref))]) {
          const [duration, error] = yield* passing(Effect.timed(Effect.flip(again)))
          assert.strictEqual(error.reason._tag, "RunNotOpened")
          assert.isAtMost(Duration.toSeconds(duration), 1)
        }
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), kept)))
  )

  it.effect("E17: watch and result of a run whose request is never answered say so", () =>
    Effect.gen(function* () {
      const starting = yield* Effect.forkChild(Effect.flip(Agent.run(analyst, input)))
      yield* elapse(1000)
      const viewers = yield* Effect.forEach([verbs.watch, verbs.result], (verb) => Effect.forkChild(Effect.flip(verb)))
      yield* elapse(10_000, 500)
      assert.isTrue(
        viewers.every((viewer) => viewer.pollUnsafe() === undefined),
        "while it is under way, they wait"
      )
      assert.strictEqual((yield* passing(Fiber.join(starting), 1000)).reason._tag, "Unconfirmed")
      const [duration, errors] = yield* passing(Effect.timed(Fiber.joinAll(viewers)))
      for (const { reason } of errors) assert.strictEqual(reason._tag, "Unconfirmed")
      assert.isAtMost(Duration.toSeconds(duration), 5)
    }).pipe(
      Effect.provide(
        Layer.merge(
          modelWith(script, () => ({ create: () => Stream.never })),
          kept
        )
      )
    )
  )
})

describe("a run that completed, and whose response the provider then forgot", () => {
  it.effect("E17: is completed, and not expired", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, input))
      const model = yield* BackgroundModel.BackgroundModel
      yield* model.remove("resp_1")
      assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "completed")
      assert.strictEqual((yield* passing(Agent.cancel(analyst, ref))).status, "completed")
      assert.strictEqual(yield* statusOf("r"), "completed")
      // Its consumer had all of it.
      assert.deepStrictEqual(yield* passing(Stream.runCollect(Agent.resume(analyst, ref))), [])
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(inMemory(script)))
  )

  const verbs = {
    result: Effect.asVoid(Agent.result(analyst, ref)),
    run: Effect.asVoid(Agent.run(analyst, input)),
    watch: Stream.runDrain(Agent.watch(analyst, ref)),
    resume: Stream.runDrain(Agent.resume(analyst, ref))
  }
  it.effect.each(["result", "run", "watch", "resume"] as const)(
    "E17: %s does not take what cannot be read any more for an empty output",
    (verb) =>
      Effect.gen(function* () {
        yield* leaveBegun("r")
        yield* elapse(5000)
        // Somebody saw the end, but the consumer did not read the rest.
        assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "completed")
        const model = yield* BackgroundModel.BackgroundModel
        yield* model.remove("resp_1")
        const before = yield* recordOf("r")
        const reason = yield* reasonOf(verbs[verb])
        assert.strictEqual(reason._tag, "RunExpired")
        assert.deepStrictEqual((yield* recordOf("r")).position, before.position)
        assert.isFalse((yield* stateOf("r")).delivered)
        assert.strictEqual(yield* statusOf("r"), "completed")
      }).pipe(Effect.provide(inMemory(script)))
  )
})

describe.each(stores)("one state: a run that ended before a response was opened ($name)", ({ layer: kept }) => {
  type Program = Effect.Effect<unknown, unknown, Services>
  const refused = passing(Effect.exit(Agent.run(analyst, input)))
  const abandoned = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const digest = (yield* recordOf("r")).digest!
    const { lease } = yield* store.acquire(idOfR, { owner: "x", ttl: Duration.minutes(1) })
    yield* store.remove(lease, { force: true })
    yield* store.create({ runId: idOfR, agent: "analyst", digest, background: true, session: {} })
  })
  const parkedNow = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const { lease, record } = yield* store.acquire(idOfR, { owner: "x", ttl: Duration.minutes(1) })
    const seen = record.journal.length
    yield* store.release(lease, { seen, due: Duration.infinity, parked: "for a test", attempt: "keep" })
  })
  const cancelled = passing(Agent.cancel(analyst, ref))
  const good = [text("a"), completed]
  const cases: ReadonlyArray<
    readonly [string, ReadonlyArray<ScriptedModel.Step>, ScriptedModel.Options, Program, Run.RunStatus, string]
  > = [
    ["as refused", [fail(denied), ...good], {}, refused, "failed", "AiError"],
    [
      "as cancelled",
      good,
      {},
      Effect.andThen(refused, Effect.andThen(abandoned, cancelled)),
      "cancelled",
      "RunCancelled"
    ],
    [
      "as given up",
      good,
      {},
      Effect.andThen(refused, Effect.andThen(abandoned, Effect.andThen(parkedNow, Runs.discard("r")))),
      "cancelled",
      "RunCancelled"
    ],
    ["as unconfirmed", good, { confirms: false }, Effect.andThen(refused, cancelled), "failed", "Unconfirmed"]
  ]
  it.effect.each(cases)(
    "E19: %s: every verb says so, and nothing is asked of the provider",
    ([, steps, options, end, status, reason]) =>
      Effect.gen(function* () {
        yield* end
        const creates = yield* count("create")
        const failing: Record<string, Effect.Effect<unknown, AgentError.AgentError, Services>> = {
          stream: Stream.runDrain(Agent.stream(analyst, input)),
          "stream, by hand": Stream.runDrain(Agent.stream(analyst, { ...input, acknowledge: "manual" })),
          run: Agent.run(analyst, input),
          resume: Stream.runDrain(Agent.resume(analyst, ref)),
          watch: Stream.runDrain(Agent.watch(analyst, ref)),
          result: Agent.result(analyst, ref)
        }
        for (const [verb, effect] of Object.entries(failing)) {
          assert.strictEqual((yield* reasonOf(effect))._tag, reason, verb)
        }
        const telling = {
          poll: Agent.poll(analyst, ref),
          start: Agent.start(analyst, input),
          cancel: Agent.cancel(analyst, ref),
          "cancel, without waiting": Agent.cancel(analyst, { ...ref, wait: false })
        }
        for (const [verb, effect] of Object.entries(telling)) {
          const response = yield* passing(effect)
          assert.strictEqual(response.status, status, verb)
          assert.isTrue(Option.isNone(response.continuationToken), verb)
          assert.isTrue(Option.isNone(response.responseId), verb)
        }
        // As do the record, the list, and workers.
        assert.strictEqual(yield* statusOf("r"), status)
        const { due, lease, parked } = yield* recordOf("r")
        assert.isNull(due)
        assert.isNull(lease)
        assert.isNull(parked)
        const listed = yield* Stream.runCollect(Runs.list({ status: [status] }))
        assert.deepStrictEqual(
          listed.map(({ runId }) => runId),
          [idOfR]
        )
        const open = Runs.list({ status: ["queued", "in_progress", "waiting"] })
        assert.deepStrictEqual(yield* Stream.runCollect(open), [])
        assert.strictEqual(yield* count("create"), creates)
        for (const operation of ["submit", "resume", "retrieve", "cancel"] as const) {
          assert.strictEqual(yield* count(operation), 0, operation)
        }
        yield* passing(Agent.remove(analyst, { ...ref, force: true }))
        assert.isUndefined(yield* findRecord("r"))
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps, options), kept)))
  )
})
