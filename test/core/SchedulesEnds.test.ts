// Schedules of cancels and ends: they count for what is under way elsewhere, and for what becomes known after them.
import { Agent, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Stream } from "effect"
import { begin, comes, done, has, inTurn, long, reading, ref, runId, task, working } from "../support/processes.ts"
import { analyst, count, stateOf } from "../support/runs.ts"
import { atProvider, leasesEnd, note } from "../support/schedule.ts"
import { describeSchedules, endOf, patient, quick, restarting, stallsIn, three, why } from "../support/schedules.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, pause, text } = ScriptedModel

/** Processes that hear no hint of the store. */
const withoutHints = Effect.updateService(TokenStore.TokenStore, (store) => ({ ...store, wakeups: Stream.never }))

describeSchedules((test) => {
  test(
    "X1: a response that becomes known while its cancelled run is being ended is found, and cancelled",
    Effect.fnUntraced(function* () {
      const [w0, w1, w2] = yield* three()
      w0.stop("model.cancel", "before")
      const w0Request = yield* stallsIn(w0, "model.create", "after")
      // A logged run is ended by a holder, any other one without a lease.
      const w1End = w1.stop("fact Ended", "before")
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
})
