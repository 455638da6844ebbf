// Guarantee 9: the session that a run leaves behind, however it ended.
import { Agent, type AgentError, BackgroundModel, RunPolicy, Session } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { analyst, type Services, stateOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, failed, incomplete, pause, queued, text } = ScriptedModel

describe.each(stores)("sessions, over the $name store", ({ layer: kept }) => {
  /** The second run ends like this, all others complete. */
  const second = (steps: ReadonlyArray<ScriptedModel.Step>) =>
    Layer.merge(
      ScriptedModel.layer(({ runId }) => (runId === "two" ? steps : [text("fine"), completed])),
      kept
    )
  const previous = Effect.gen(function* () {
    const { ledger } = yield* ScriptedModel.ScriptedModel
    return (yield* ledger).flatMap(({ operation, request }) =>
      operation === "create" || operation === "submit" ? [request?.previousResponseId] : []
    )
  })
  const two = { runId: "two" }
  const waits = [text("a"), pause("1 hour"), completed]
  type Case = readonly [
    string,
    ReadonlyArray<ScriptedModel.Step>,
    Effect.Effect<unknown, AgentError.AgentError, Services>,
    string
  ]
  const cases: ReadonlyArray<Case> = [
    ["that failed", [text("a"), failed("out of order")], Agent.result(analyst, two), "failed"],
    ["that was cancelled", waits, Agent.cancel(analyst, two), "cancelled"],
    ["that is queued", [queued, pause("1 hour"), completed], Agent.poll(analyst, two), "queued"],
    ["that is in progress", waits, Agent.poll(analyst, two), "in_progress"],
    [
      "that expired",
      waits,
      Effect.gen(function* () {
        const model = yield* BackgroundModel.BackgroundModel
        yield* Effect.orDie(model.remove("resp_2"))
        return yield* Agent.result(analyst, two)
      }),
      "expired"
    ]
  ]
  it.effect.each(cases)(
    "E14: the session of a run %s is the one before, and the next run goes on",
    ([, steps, act, status]) =>
      Effect.gen(function* () {
        const first = yield* passing(Agent.run(analyst, { input: "One", runId: "one", session: Session.make() }))
        assert.deepStrictEqual(first.session, { previousResponseId: "resp_1" })
        const started = yield* passing(Agent.start(analyst, { input: "Two", runId: "two", session: first.session }))
        assert.deepStrictEqual(started.session, first.session)
        yield* passing(Effect.exit(act), 500)
        const looked = yield* passing(Agent.poll(analyst, two))
        assert.strictEqual(looked.status, status)
        assert.deepStrictEqual(looked.session, first.session)
        const third = yield* passing(Agent.run(analyst, { input: "Three", runId: "three", session: looked.session }))
        assert.strictEqual(third.text, "fine")
        assert.deepStrictEqual(third.session, { previousResponseId: "resp_3" })
        assert.deepStrictEqual(yield* previous, [undefined, "resp_1", "resp_1"])
      }).pipe(Effect.provide(second(steps)))
  )

  it.effect("E14: a run that was cut short belongs to its session", () =>
    Effect.gen(function* () {
      const first = yield* passing(Agent.run(analyst, { input: "One", runId: "one", session: Session.make() }))
      const cut = yield* passing(Agent.run(analyst, { input: "Two", runId: "two", session: first.session }))
      assert.strictEqual(cut.status, "incomplete")
      assert.deepStrictEqual(cut.session, { previousResponseId: "resp_2" })
    }).pipe(Effect.provide(second([text("a"), incomplete()])))
  )

  it.effect("E14: a run that was retried extends its session once it completes", () =>
    Effect.gen(function* () {
      const first = yield* passing(Agent.run(analyst, { input: "One", runId: "one", session: Session.make() }))
      const task = { input: "Two", runId: "two", session: first.session }
      yield* passing(Effect.flip(Agent.run(analyst, task)))
      const again = yield* passing(Agent.retry(analyst, { input: "Two", runId: "two" }))
      assert.deepStrictEqual(again.session, first.session)
      const done = yield* passing(Agent.result(analyst, two))
      assert.deepStrictEqual(done.session, { previousResponseId: "resp_3" })
      assert.deepStrictEqual(yield* previous, [undefined, "resp_1", "resp_1"])
      assert.strictEqual((yield* stateOf("two")).turns.length, 1)
    }).pipe(
      Effect.provide(RunPolicy.layer({})),
      Effect.provide(
        Layer.unwrap(
          Effect.sync(() => {
            let tries = 0
            return Layer.merge(
              ScriptedModel.layer(({ runId }) =>
                runId === "two" && ++tries === 1 ? [text("a"), failed("once")] : [text("fine"), completed]
              ),
              kept
            )
          })
        )
      )
    )
  )
})
