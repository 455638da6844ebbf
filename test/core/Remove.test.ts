// Guarantee 10: whose runs are removed, and what becomes of their responses at the provider (E17).
import { Agent, BackgroundModel, Run, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { logged } from "../support/logs.ts"
import { denied, inMemory, modelWith } from "../support/models.ts"
import { analyst, count, findRecord, reasonOf, recordOf, stateOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { leaveBegun } from "../support/workers.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const script = [text("a"), pause("1 second"), text("b"), completed]
const idOfR = Run.RunId.make("r")

describe.each(stores)("remove, over the $name store", ({ layer: kept }) => {
  it.effect("E17: by a caller that lost its lease: the run stays, with whoever holds it", () => {
    const slow = modelWith(script, (inner) => ({
      remove: (responseId) => Effect.andThen(Effect.sleep("5 seconds"), inner.remove(responseId))
    }))
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const removing = yield* Effect.forkChild(Effect.flip(Agent.remove(analyst, ref)))
      yield* elapse(1000)
      const store = yield* TokenStore.TokenStore
      const { lease } = yield* store.acquire(idOfR, { owner: "another", ttl: Duration.hours(1), steal: true })
      const { reason } = yield* passing(Fiber.join(removing))
      assert.strictEqual(reason._tag, "LeaseLost")
      assert.deepStrictEqual((yield* recordOf("r")).lease?.owner, "another")
      // The one that holds the run can go on.
      const { incarnation } = yield* recordOf("r")
      yield* store.commit(lease, { seen: 99, facts: [{ _tag: "CancelRequested", incarnation, by: "another" }] })
      assert.isTrue((yield* stateOf("r")).cancelled)
    }).pipe(Effect.provide(Layer.merge(slow, kept)))
  })
})

describe("remove", () => {
  it.effect("E17: if the provider does not delete a response: require fails, try warns, keep does not ask", () => {
    const { layer, lines } = logged()
    let asked = 0
    const model = modelWith(script, () => ({
      remove: () =>
        Effect.suspend(() => {
          asked++
          return Effect.fail(denied)
        })
    }))
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      for (const options of [{}, { provider: "require" }] as const) {
        const before = asked
        const reason = yield* reasonOf(Agent.remove(analyst, { ...ref, ...options }))
        assert.strictEqual(reason._tag, "AiError")
        assert.isAbove(asked, before)
        const { lease, parked } = yield* recordOf("r")
        assert.isNull(lease, "the run is free")
        assert.isNull(parked)
      }
      assert.deepStrictEqual(lines, [])
      const before = asked
      yield* passing(Agent.remove(analyst, { ...ref, provider: "try" }))
      assert.isAbove(asked, before)
      assert.isUndefined(yield* findRecord("r"))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warn baton: the provider did not delete a response.*"runId":"r".*"responseId":"resp_1"/)

      yield* leaveBegun("r")
      const kept = asked
      yield* passing(Agent.remove(analyst, { ...ref, provider: "keep" }))
      assert.strictEqual(asked, kept)
      assert.isUndefined(yield* findRecord("r"))
      assert.strictEqual(
        (yield* (yield* BackgroundModel.BackgroundModel).retrieve("resp_2")).snapshot.responseId,
        "resp_2"
      )
      assert.strictEqual((yield* reasonOf(Agent.poll(analyst, ref)))._tag, "RunNotFound")
    }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("E17: of a run whose request was never answered needs force", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* reasonOf(Agent.run(analyst, input)))._tag, "Unconfirmed")
      for (const provider of ["require", "try", "keep"] as const) {
        const error = yield* passing(Effect.flip(Agent.remove(analyst, { ...ref, provider })))
        assert.strictEqual(error.reason._tag, "Unconfirmed")
        assert.isDefined(yield* findRecord("r"))
      }
      yield* passing(Agent.remove(analyst, { ...ref, force: true }))
      assert.isUndefined(yield* findRecord("r"))
    }).pipe(Effect.provide(inMemory(script, { confirms: false })))
  )

  it.effect("E17: of a run that bought a response which nobody reads deletes it too, or needs force", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const model = yield* BackgroundModel.BackgroundModel
      const loose = Effect.gen(function* () {
        yield* leaveBegun("r")
        const { incarnation } = yield* recordOf("r")
        const { responseId } = yield* model.submit({
          runId: idOfR,
          agent: "analyst",
          prompt: (yield* firstRequest).prompt,
          background: true
        })
        yield* store.record(
          idOfR,
          { _tag: "Accepted", incarnation, by: "late", turn: 0, responseId, streamed: false },
          0
        )
        return responseId
      })
      yield* loose
      // The cancel of it is on its way, and does not arrive.
      const { reason } = yield* passing(Effect.flip(Agent.remove(analyst, { ...ref, provider: "keep" })))
      assert.strictEqual(reason._tag, "Unconfirmed")
      yield* passing(Agent.remove(analyst, ref))
      assert.isUndefined(yield* findRecord("r"))
      assert.strictEqual(yield* count("remove"), 2)
      const second = yield* loose
      yield* passing(Agent.remove(analyst, { ...ref, provider: "keep", force: true }))
      assert.isUndefined(yield* findRecord("r"))
      assert.strictEqual(yield* count("remove"), 2)
      assert.strictEqual((yield* model.retrieve(second)).snapshot.responseId, second)
    }).pipe(Effect.provide(inMemory([text("a"), pause("1 hour"), completed])))
  )
})

const firstRequest = Effect.gen(function* () {
  const { ledger } = yield* ScriptedModel.ScriptedModel
  return (yield* ledger).find(({ request }) => request !== undefined)!.request!
})
