// Schedules of requests: what becomes known of them late, twice, or by others than the worker that sent them.
import { Agent, BackgroundModel, Run, RunState } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Stream } from "effect"
import { Prompt } from "effect/ai"
import { busy } from "../support/models.ts"
import { begin, comes, done, has, inTurn, isCancelled, long, reading, ref, runId } from "../support/processes.ts"
import { analyst, count, stateOf, textOf } from "../support/runs.ts"
import { atProvider, journalOf, leasesEnd, until } from "../support/schedule.ts"
import { describeSchedules, restarting, stallsIn, three, why } from "../support/schedules.ts"
import { passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const idOf = Run.RunId.make

describeSchedules((test) => {
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
})
