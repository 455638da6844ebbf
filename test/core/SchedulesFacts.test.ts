// Schedules of facts: what others record of a run or its calls is not forgotten as the run passes from one to the next.
import { Agent, Run, RunEngine, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel, TokenStoreContract } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Stream } from "effect"
import { call } from "../support/journals.ts"
import { begin, comes, done, has, ref, runId, task, working } from "../support/processes.ts"
import { analyst, stateOf } from "../support/runs.ts"
import { leasesEnd, note, until } from "../support/schedule.ts"
import { describeSchedules, endOf, three, why } from "../support/schedules.ts"
import { elapse } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const idOf = Run.RunId.make

describeSchedules((test) => {
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
      RunEngine.decide(state, { onUnconfirmed: "fail", hasInput: true, handled: false })
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
      assert.strictEqual((yield* step)._tag, "AskPolicy")
      yield* store.commit(w0.lease, { seen: 2, guard: true, facts: [{ _tag: "Allowed", ...ofCall }] })
      assert.strictEqual((yield* step)._tag, "RunTools")
      yield* store.commit(w0.lease, { seen: 3, guard: true, facts: [{ _tag: "ToolStarted", ...ofCall, n: 1 }] })
      yield* store.record(idOf(runId), { _tag: "ToolDeferred", ...ofCall }, 4)
      yield* store.release(w0.lease, { seen: 5, due: Duration.infinity, attempt: "keep" })
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
      assert.strictEqual((yield* step)._tag, "RunTools")
    })
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
})
