// The shortest schedules that broke simpler designs: workers that stand still beyond their lease and go on, answers that
// are lost, and cancels, removals and retries by others in between. X and a number is the rule that each proves.
import {
  Agent,
  BackgroundModel,
  Run,
  RunEngine,
  type RunPolicy,
  type RunRecord,
  RunState,
  Runs,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel, TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { Prompt } from "effect/ai"
import { byTestClock, storeOn } from "../redis/store.ts"
import { call } from "../support/journals.ts"
import { describeShared } from "../support/redisServer.ts"
import { analyst, count, textOf } from "../support/runs.ts"
import {
  atProvider,
  awaited,
  busy,
  journalOf,
  leasesEnd,
  makeProcess,
  note,
  type Process,
  stateOf,
  until
} from "../support/schedule.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, pause, text } = ScriptedModel
type Script = ReadonlyArray<ScriptedModel.Step>

const runId = "r"
const ref = { runId }
const task = { input: "Hello", runId }
const idOf = Run.RunId.make

const quick: Script = [text("a"), completed]
/** A response that would go on for long after the test. */
const long: Script = [text("a"), pause("10 hours"), text("b"), completed]

/** The first response plays the first script, and so on; further ones play the last. */
const inTurn = (...scripts: ReadonlyArray<Script>) => {
  let next = 0
  return () => scripts[Math.min(next++, scripts.length - 1)]!
}

const patient: Partial<RunPolicy.RunPolicy> = { closeTimeout: Duration.minutes(5) }
const restarting: Partial<RunPolicy.RunPolicy> = { ...patient, onUnconfirmed: "restart" }

const three = (changes: Partial<RunPolicy.RunPolicy> = patient) =>
  Effect.forEach(["W0", "W1", "W2"], (name) => makeProcess(name, changes)) as Effect.Effect<
    [Process, Process, Process],
    never,
    TokenStore.TokenStore | BackgroundModel.BackgroundModel
  >

/** Processes that hear no hint of the store. */
const withoutHints = Effect.updateService(TokenStore.TokenStore, (store) => ({ ...store, wakeups: Stream.never }))

/** The text of the run, read to its end. */
const reading = Effect.map(Stream.runCollect(Agent.stream(analyst, task)), textOf)
const why = Effect.map(Effect.flip(reading), ({ reason }) => reason._tag)

// What stands still at the end of a test is not waited for.
const begin = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => Effect.forkDetach(process.run(program))
const done = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => passing(process.run(program))

/** A worker that reads every run to its end. */
const working = Layer.build(
  Runs.worker([analyst], { concurrency: 10, handle: ({ updates }) => Stream.runDrain(updates) })
).pipe(Effect.andThen(Effect.never), Effect.scoped)

const has = (tag: RunRecord.Fact["_tag"], responseId?: string) =>
  Effect.map(journalOf(runId), (journal) =>
    journal.some(
      (fact) =>
        fact._tag === tag && (responseId === undefined || ("responseId" in fact && fact.responseId === responseId))
    )
  )
const comes = (tag: RunRecord.Fact["_tag"], responseId?: string) =>
  until(`${tag} ${responseId ?? ""}`, has(tag, responseId))
const isCancelled = (responseId: string) =>
  until(
    `${responseId} is cancelled`,
    Effect.map(atProvider(responseId), (status) => status === "cancelled")
  )

/** How the run ended. */
const endOf = Effect.map(stateOf(runId), ({ ended }) => {
  assert.isDefined(ended)
  const { reason, status, unresolved } = ended!
  return { status, reason, unresolved: unresolved?.length ?? 0 }
})

/** A process stands still with its request on the way, until others may take its run. */
const stallsIn = Effect.fnUntraced(function* (
  process: Process,
  operation: "model.create" | "commit Requested",
  where: "before" | "after",
  options?: Parameters<Process["stop"]>[2]
) {
  const stop = process.stop(operation, where, options)
  const fiber = yield* begin(process, Effect.exit(reading))
  yield* stop.reached
  yield* process.stall
  yield* leasesEnd
  return { ...stop, exit: passing(Fiber.join(fiber)) }
})

const schedules = (layer: Layer.Layer<TokenStore.TokenStore>): void => {
  const over = (
    script: Parameters<typeof ScriptedModel.layer>[0],
    options?: Parameters<typeof ScriptedModel.layer>[1]
  ) => Effect.provide(Layer.merge(ScriptedModel.layer(script, options), layer))
  const test = (
    name: string,
    program: () => Effect.Effect<
      void,
      unknown,
      TokenStore.TokenStore | BackgroundModel.BackgroundModel | ScriptedModel.ScriptedModel
    >,
    script: () => Parameters<typeof ScriptedModel.layer>[0] = () => quick,
    options?: Parameters<typeof ScriptedModel.layer>[1]
  ) => it.effect(name, () => over(script(), options)(Effect.suspend(program)), 60_000)

  test(
    "X1: a response that becomes known while its cancelled run is being ended is found, and cancelled",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      w0.stop("model.cancel", "before")
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      const w1End = w1.stop("conclude Ended", "before")
      const canceller = yield* begin(w1, Agent.cancel(analyst, { ...ref, wait: false }))
      yield* w1End.reached
      yield* w0Request.goOn
      yield* comes("Accepted")
      yield* w0.die
      yield* w1End.goOn
      yield* passing(Fiber.await(canceller))
      yield* begin(w2, working)
      yield* comes("Ended")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.deepStrictEqual(yield* endOf, { status: "cancelled", reason: undefined, unresolved: 0 })
    }),
    () => long
  )

  test(
    "X1: a response that becomes known after its cancelled run has ended is found, and cancelled",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      w0.stop("model.cancel", "before")
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      assert.strictEqual((yield* done(w1, Agent.cancel(analyst, ref))).status, "failed")
      yield* w0Request.goOn
      yield* comes("Accepted")
      yield* w0.die
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
      yield* begin(w2, working)
      yield* comes("CancelSent", "resp_1")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.deepStrictEqual(yield* endOf, { status: "failed", reason: "unconfirmed", unresolved: 1 })
    }),
    () => long
  )

  test(
    "X2: an end is decided by all that is in the journal",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      const w0Intent = w0.stop("commit Requested", "after")
      yield* begin(w0, Effect.exit(reading))
      yield* w0Intent.reached
      yield* w0.stall
      yield* note(runId, { _tag: "CancelRequested" })
      yield* leasesEnd
      const w1End = w1.stop("commit Ended", "before")
      const w1Reading = yield* begin(w1, why)
      yield* w1End.reached
      yield* w0Intent.goOn
      yield* comes("Refused")
      yield* w1End.goOn
      assert.strictEqual(yield* passing(Fiber.join(w1Reading)), "RunCancelled")
      assert.deepStrictEqual(yield* endOf, { status: "cancelled", reason: undefined, unresolved: 0 })
      assert.strictEqual(yield* count("create"), 0)
    })
  )

  test(
    "X3: who lost the run still records that its request was refused",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      const w0Request = yield* stallsIn(w0, "model.create", "before", { refusal: busy })
      yield* w0Request.goOn
      assert.isTrue(Exit.isFailure(yield* w0Request.exit))
      assert.strictEqual(yield* done(w1, reading), "a")
      assert.strictEqual(yield* count("create"), 1)
    })
  )

  test(
    "X4: an intent whose answer was lost is withdrawn, though the run was lost meanwhile",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      const w0Intent = yield* stallsIn(w0, "commit Requested", "after", { lost: true })
      yield* w0Intent.goOn
      assert.isTrue(Exit.isFailure(yield* w0Intent.exit))
      assert.isTrue(yield* has("Requested"))
      assert.strictEqual(yield* done(w1, reading), "a")
      assert.strictEqual(yield* count("create"), 1)
    })
  )

  test(
    "X5: what is said of a try of one worker is not said of that of another",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      const w0Intent = yield* stallsIn(w0, "commit Requested", "before")
      yield* w0Intent.goOn
      assert.isTrue(Exit.isFailure(yield* w0Intent.exit))
      assert.isTrue(yield* has("Refused"))
      w1.lose("model.create")
      assert.strictEqual(yield* done(w1, why), "Unconfirmed")
      assert.strictEqual(yield* done(w2, why), "Unconfirmed")
      assert.strictEqual(yield* count("create"), 1)
    })
  )

  test(
    "X6: an intent whose answer was lost does not look like a stranger's",
    Effect.fnUntraced(function* () {
      const [w0] = yield* three()
      w0.lose("commit Requested")
      const again = Effect.retry(reading, { while: ({ isRetryable }) => isRetryable, times: 3 })
      assert.strictEqual(yield* done(w0, again), "a")
      assert.strictEqual(yield* count("create"), 1)
    })
  )

  test(
    "X7: a refusal names its try, and does not clear that of another",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      const w0Intent = yield* stallsIn(w0, "commit Requested", "before")
      const w1Request = w1.stop("model.create", "before")
      yield* begin(w1, Effect.exit(reading))
      yield* w1Request.reached
      yield* w0Intent.goOn
      yield* comes("Refused")
      yield* w1.stall
      yield* leasesEnd
      assert.strictEqual(yield* done(w2, why), "Unconfirmed")
      assert.strictEqual(yield* count("create"), 0)
      yield* w1Request.goOn
      yield* comes("Accepted")
      assert.strictEqual(yield* done(w2, reading), "a")
      assert.strictEqual(yield* count("create"), 1)
    })
  )

  test(
    "X7: a cancel names its response, and that of a loser is not that of the winner",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three(restarting)
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      const w1Request = w1.stop("model.create", "after")
      yield* begin(w1, Effect.exit(reading))
      yield* w1Request.reached
      yield* w0Request.goOn
      yield* comes("Accepted", "resp_1")
      yield* w1Request.goOn
      yield* comes("CancelSent", "resp_2")
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
      yield* note(runId, { _tag: "CancelRequested" })
      yield* comes("CancelSent", "resp_1")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual(yield* atProvider("resp_2"), "cancelled")
    }),
    () => long
  )

  test(
    "X7: an end names its response, and that of an earlier incarnation does not end the new one",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      yield* done(w1, Agent.cancel(analyst, ref))
      const { incarnation } = yield* stateOf(runId)
      yield* done(w1, Agent.retry(analyst, { ...task, mayBuyTwice: true }))
      yield* w0Request.goOn
      yield* comes("Accepted", "resp_1")
      yield* note(runId, {
        _tag: "ResponseEnded",
        incarnation,
        turn: 0,
        responseId: "resp_1",
        status: "failed",
        calls: []
      } as never)
      const response = yield* done(w1, Agent.result(analyst, ref))
      assert.strictEqual(response.status, "completed")
      assert.deepStrictEqual(response.responseId, Option.some("resp_2"))
      assert.deepStrictEqual(yield* endOf, { status: "completed", reason: undefined, unresolved: 0 })
    }),
    () => inTurn([failed("broken")], [text("a"), pause("1 minute"), text("b"), completed])
  )

  test(
    "X8: who follows a silent run learns of a cancel from its next renewal",
    Effect.fnUntraced(function* () {
      const [w0] = yield* three()
      const w0Reading = yield* begin(w0, why)
      yield* comes("Accepted")
      yield* elapse(3000, 500)
      yield* note(runId, { _tag: "CancelRequested" })
      yield* elapse(11_000, 500)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual(yield* passing(Fiber.join(w0Reading)), "RunCancelled")
    }),
    () => long
  )

  test(
    "X9: a run that is left while it has facts that its holder has not seen is work at once",
    Effect.fnUntraced(function* () {
      const store = yield* TokenStore.TokenStore
      const isWork = Effect.map(
        store.read(idOf(runId)),
        Option.exists(({ due, lease, parked }) => due !== null && lease === null && parked === null)
      )
      const { record } = yield* store.create(TokenStoreContract.newRun(runId))
      const { incarnation } = record
      const { lease } = yield* store.acquire(idOf(runId), { owner: "W0", ttl: Duration.seconds(30) })
      const ofCall = { incarnation, by: "W0", turn: 0, callId: "c" }
      const { facts } = yield* store.commit(lease, { seen: 0, facts: [{ _tag: "ApprovalAsked", ...ofCall }] })
      yield* store.record(idOf(runId), { _tag: "Approved", ...ofCall }, 0)
      const rest = { seen: facts.length, due: Duration.infinity, parked: "waits", attempt: "keep" } as const
      yield* store.release(lease, rest)
      assert.isTrue(yield* isWork)
      // Whoever has seen all is believed.
      const again = yield* store.acquire(idOf(runId), { owner: "W0", ttl: Duration.seconds(30) })
      yield* store.release(again.lease, { ...rest, seen: 2 })
      assert.isFalse(yield* isWork)
    })
  )

  test(
    "X9: a cancel while the holder of an unconfirmed run leaves it is not forgotten",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      w0.lose("model.create")
      const w0Release = w0.stop("release", "before")
      yield* begin(w0, why)
      yield* w0Release.reached
      yield* note(runId, { _tag: "CancelRequested" })
      yield* w0Release.goOn
      yield* begin(w1, working)
      yield* comes("Ended")
      assert.deepStrictEqual(yield* endOf, { status: "failed", reason: "unconfirmed", unresolved: 1 })
    })
  )

  test(
    "X10: a fact makes a run work that waits for a person",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      w0.lose("model.create")
      assert.strictEqual(yield* done(w0, why), "Unconfirmed")
      yield* begin(w1, working)
      yield* elapse(60_000, 1000)
      assert.isFalse(yield* has("Ended"))
      yield* note(runId, { _tag: "CancelRequested" })
      yield* comes("Ended")
      assert.deepStrictEqual(yield* endOf, { status: "failed", reason: "unconfirmed", unresolved: 1 })
    })
  )

  /** What a run whose first response asks for one call goes on with. */
  const calling = Effect.fnUntraced(function* () {
    const store = yield* TokenStore.TokenStore
    const { record } = yield* store.create(TokenStoreContract.newRun(runId), {
      facts: [
        { _tag: "Accepted", by: "W0", turn: 0, responseId: "resp", streamed: true },
        { _tag: "ResponseEnded", by: "W0", turn: 0, responseId: "resp", status: "completed", calls: [call("c")] }
      ]
    })
    const ofCall = { incarnation: record.incarnation, by: "W0", turn: 0, callId: "c" }
    const step = Effect.map(stateOf(runId), (state) =>
      RunEngine.decide(state, { onUnconfirmed: "fail", hasInput: true, handled: false, runs: () => true })
    )
    const callNow = Effect.map(stateOf(runId), ({ turns }) => turns[0]?.calls[0])
    return { store, ofCall, step, callNow }
  })

  test(
    "X11: a call that was deferred is not run again by the next worker",
    Effect.fnUntraced(function* () {
      const { ofCall, step, store } = yield* calling()
      const ttl = Duration.seconds(30)
      const w0 = yield* store.acquire(idOf(runId), { owner: "W0", ttl })
      assert.strictEqual((yield* step)._tag, "RunTool")
      yield* store.commit(w0.lease, { seen: 2, guard: true, facts: [{ _tag: "ToolStarted", ...ofCall, n: 1 }] })
      yield* store.record(idOf(runId), { _tag: "ToolDeferred", ...ofCall }, 3)
      yield* store.release(w0.lease, { seen: 4, due: Duration.infinity, attempt: "keep" })
      yield* store.acquire(idOf(runId), { owner: "W1", ttl })
      assert.deepStrictEqual(yield* step, { _tag: "Wait", for: "deferred", turn: 0 })
    })
  )

  test(
    "X12: the first result of a call counts",
    Effect.fnUntraced(function* () {
      const { callNow, ofCall, store } = yield* calling()
      const ttl = Duration.seconds(30)
      const w0 = yield* store.acquire(idOf(runId), { owner: "W0", ttl })
      yield* store.commit(w0.lease, { seen: 2, guard: true, facts: [{ _tag: "ToolStarted", ...ofCall, n: 1 }] })
      yield* leasesEnd
      const w1 = yield* store.acquire(idOf(runId), { owner: "W1", ttl })
      const started = { _tag: "ToolStarted", ...ofCall, n: 2 } as const
      assert.strictEqual((yield* store.commit(w1.lease, { seen: 3, guard: true, facts: [started] })).outcome, "written")
      const ended = (result: string) => ({ _tag: "ToolEnded", ...ofCall, result, isFailure: false }) as const
      yield* store.record(idOf(runId), ended("v1"), 0)
      yield* store.record(idOf(runId), ended("v2"), 0)
      const { facts } = yield* store.commit(w1.lease, { seen: 0, facts: [ended("v3")] })
      assert.strictEqual(facts.filter(({ _tag }) => _tag === "ToolEnded").length, 1)
      assert.strictEqual((yield* callNow)?.result?.result, "v1")
      assert.strictEqual((yield* callNow)?.starts, 2)
    })
  )

  test(
    "X13: the first decision about a call counts",
    Effect.fnUntraced(function* () {
      const { callNow, ofCall, step, store } = yield* calling()
      yield* store.record(idOf(runId), { _tag: "Approved", ...ofCall }, 0)
      yield* store.record(idOf(runId), { _tag: "Rejected", ...ofCall, reason: "no" }, 0)
      assert.strictEqual((yield* callNow)?.decision?._tag, "Approved")
      assert.isFalse(yield* has("Rejected"))
      assert.strictEqual((yield* step)._tag, "RunTool")
    })
  )

  test(
    "X14: a response that becomes known after the end of its run is cancelled by a worker",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three(restarting)
      w0.stop("model.cancel", "before")
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      assert.strictEqual(yield* done(w1, reading), "a")
      assert.isTrue(yield* has("Ended"))
      yield* w0Request.goOn
      yield* comes("Accepted", "resp_1")
      yield* w0.die
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
      yield* begin(w2, working)
      yield* comes("CancelSent", "resp_1")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual((yield* endOf).status, "completed")
    }),
    () => inTurn(long, quick)
  )

  test(
    "X15: a run that is over, but not delivered, is finished by the next worker",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      yield* done(w1, Agent.start(analyst, task))
      let began = false
      const dying = Runs.worker([analyst], {
        concurrency: 1,
        handle: ({ updates }) =>
          Stream.runForEach(updates, () => {
            began = true
            return Effect.never
          })
      })
      yield* begin(w0, Effect.scoped(Effect.andThen(Layer.build(dying), Effect.never)))
      yield* until(
        "W0 handles the run",
        Effect.sync(() => began)
      )
      yield* w0.die
      yield* leasesEnd
      assert.strictEqual((yield* done(w1, Agent.poll(analyst, ref))).status, "completed")
      assert.isTrue(yield* has("Ended"))
      assert.isFalse(yield* has("Delivered"))
      let read = ""
      const finishing = Runs.worker([analyst], {
        concurrency: 1,
        handle: ({ updates }) =>
          Stream.runForEach(updates, (update) =>
            Effect.sync(() => {
              read += update.text
            })
          )
      })
      yield* begin(w2, Effect.scoped(Effect.andThen(Layer.build(finishing), Effect.never)))
      yield* comes("Delivered")
      assert.strictEqual(read, "ab")
    }),
    () => [text("a"), pause("20 seconds"), text("b"), completed]
  )

  test(
    "X16: the first response that is recorded is the turn's, and the other is cancelled",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three(restarting)
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      const w1Request = w1.stop("model.create", "after")
      const w1Reading = yield* begin(w1, reading)
      yield* w1Request.reached
      yield* w0Request.goOn
      yield* comes("Accepted", "resp_1")
      yield* w1Request.goOn
      assert.strictEqual(yield* passing(Fiber.join(w1Reading)), "first")
      yield* isCancelled("resp_2")
      assert.deepStrictEqual(
        RunState.winners(yield* stateOf(runId)).map(({ responseId }) => responseId),
        ["resp_1"]
      )
    }),
    () => inTurn([text("first"), completed], [text("second"), pause("10 hours"), completed])
  )

  test(
    "X17: a response of a run that was removed is not read by another of the same id",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      yield* done(w1, Agent.remove(analyst, { ...ref, force: true }))
      const w2Request = w2.stop("model.create", "before")
      const other = Stream.runCollect(Agent.stream(analyst, { input: "Something else", runId }))
      const w2Reading = yield* begin(w2, Effect.map(other, textOf))
      yield* w2Request.reached
      yield* w0Request.goOn
      yield* until(
        "resp_1 is deleted",
        Effect.map(atProvider("resp_1"), (status) => status === "gone")
      )
      assert.isFalse(yield* has("Accepted"))
      yield* w2Request.goOn
      assert.strictEqual(yield* passing(Fiber.join(w2Reading)), "second")
    }),
    () => inTurn(long, [text("second"), completed])
  )

  test(
    "X18: a response of a run that was removed is cancelled and deleted by whoever bought it",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      yield* done(w1, Agent.remove(analyst, { ...ref, force: true }))
      yield* w0Request.goOn
      yield* until(
        "resp_1 is deleted",
        Effect.map(atProvider("resp_1"), (status) => status === "gone")
      )
      assert.strictEqual(yield* count("cancel"), 1)
      assert.deepStrictEqual(yield* journalOf(runId), [])
    }),
    () => long
  )

  test(
    "X19: a run that may have bought something does not end as cancelled",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      w0.lose("model.create")
      assert.strictEqual(yield* done(w0, why), "Unconfirmed")
      assert.strictEqual((yield* done(w1, Agent.cancel(analyst, ref))).status, "failed")
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
      assert.deepStrictEqual(yield* endOf, { status: "failed", reason: "unconfirmed", unresolved: 1 })
      assert.strictEqual(yield* done(w1, why), "Unconfirmed")
    }),
    () => long
  )

  test(
    "X20: an end names each request whose outcome nobody knows",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three(restarting)
      w0.lose("model.create")
      assert.strictEqual(yield* done(w0, why), "Unconfirmed")
      const [lost] = (yield* stateOf(runId)).unresolved
      assert.isDefined(lost)
      yield* begin(w1, Effect.exit(reading))
      yield* comes("Accepted", "resp_2")
      assert.strictEqual((yield* done(w2, Agent.cancel(analyst, ref))).status, "cancelled")
      yield* comes("Ended")
      const { ended } = yield* stateOf(runId)
      assert.strictEqual(ended?.status, "cancelled")
      assert.deepStrictEqual(ended?.unresolved, [lost!])
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
    }),
    () => long
  )

  test(
    "X21: a cancel that comes while an intent is written a second time stops the request",
    Effect.fnUntraced(function* () {
      const [w0] = yield* three()
      const w0Intent = w0.twice("commit Requested")
      const w0Reading = yield* begin(w0, why)
      yield* w0Intent.reached
      yield* note(runId, { _tag: "CancelRequested" })
      yield* w0Intent.goOn
      assert.strictEqual(yield* passing(Fiber.join(w0Reading)), "RunCancelled")
      assert.strictEqual(yield* count("create"), 0)
      assert.deepStrictEqual(yield* endOf, { status: "cancelled", reason: undefined, unresolved: 0 })
    })
  )

  test(
    "X22: a retry keeps the journal, and cancels what was bought before it",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three(restarting)
      w0.stop("model.cancel", "before")
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      assert.strictEqual(yield* done(w1, why), "RunFailed")
      yield* w0Request.goOn
      yield* comes("Accepted", "resp_1")
      yield* w0.die
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
      yield* done(w2, Agent.retry(analyst, task))
      yield* comes("CancelSent", "resp_1")
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual(yield* atProvider("resp_3"), "in_progress")
    }),
    () => inTurn(long, [failed("broken")], long)
  )

  test(
    "X23: a checkpoint tells of what others recorded: a cancel is seen long before the next renewal",
    Effect.fnUntraced(function* () {
      const [w0] = yield* withoutHints(three({ ...patient, leaseTime: Duration.hours(1) }))
      const w0Reading = yield* begin(w0, why)
      yield* comes("Accepted")
      yield* elapse(3000, 100)
      yield* note(runId, { _tag: "CancelRequested" })
      yield* elapse(3000, 100)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual(yield* passing(Fiber.join(w0Reading)), "RunCancelled")
    }),
    () => [...Array.from({ length: 60 }, () => [text("a"), pause("1 second")]).flat(), completed]
  )

  test(
    "X23: an intent is not written over a response that others recorded",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three(restarting)
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      const w1Intent = w1.stop("commit Requested", "before")
      const w1Reading = yield* begin(w1, reading)
      yield* w1Intent.reached
      yield* w0Request.goOn
      yield* comes("Accepted", "resp_1")
      yield* w1Intent.goOn
      assert.strictEqual(yield* passing(Fiber.join(w1Reading)), "a")
      assert.strictEqual(yield* count("create"), 1)
    })
  )

  test(
    "X24: a cancel is sent to the response of a worker that died, and the run ends when that does",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      yield* begin(w0, Effect.exit(reading))
      yield* comes("Accepted")
      yield* w0.die
      yield* leasesEnd
      yield* note(runId, { _tag: "CancelRequested" })
      yield* begin(w1, working)
      yield* comes("CancelSent", "resp_1")
      assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
      assert.isFalse(yield* has("Ended"))
      yield* comes("Ended")
      assert.deepStrictEqual(yield* endOf, { status: "completed", reason: undefined, unresolved: 0 })
      assert.isTrue(yield* has("ResponseEnded", "resp_1"))
    }),
    () => [text("a"), pause("3 minutes"), text("b"), completed],
    { cancels: false }
  )

  test(
    "X25: a response is adopted in one step: nobody opens the run in between",
    Effect.fnUntraced(function* () {
      const [w0, w1] = yield* three()
      const model = yield* BackgroundModel.BackgroundModel
      const request = { runId: idOf("elsewhere"), agent: "other", prompt: Prompt.make("Hello"), background: true }
      yield* Stream.runHead(model.create(request))
      const w0Adoption = w0.stop("create", "after")
      const adopting = yield* begin(w0, Agent.adopt(analyst, { responseId: "resp_1", runId }))
      yield* w0Adoption.reached
      assert.strictEqual(yield* done(w1, reading), "a")
      yield* w0Adoption.goOn
      assert.deepStrictEqual((yield* passing(Fiber.join(adopting))).responseId, Option.some("resp_1"))
      assert.strictEqual(yield* count("create"), 1)
    })
  )
}

describe.each(stores)("schedules over the $name store", ({ layer }) => schedules(layer))

describeShared("schedules over Redis", (server) =>
  schedules(awaited(storeOn(server, { retention: "Infinity" }, byTestClock)))
)
