// Test an application service: the model is a script, the store is in memory, and time is the test clock's.
import { Agent, type BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

const { completed, disconnect, failed, pause, text } = ScriptedModel

// ---- the application: a service that other code uses, built on an agent

class Reports extends Context.Service<
  Reports,
  {
    readonly write: (month: string) => Effect.Effect<string>
  }
>()("app/Reports") {
  static readonly layer = Layer.effect(
    Reports,
    Effect.gen(function* () {
      const analyst = Agent.make("analyst", { instructions: "You write sales reports.", background: true })
      const context = yield* Effect.context<BackgroundModel.BackgroundModel | TokenStore.TokenStore>()
      return {
        write: (month) =>
          Agent.run(analyst, { input: `How was ${month}?`, runId: `report-${month}` }).pipe(
            Effect.map((response) => response.text),
            Effect.catchReason("AgentError", "RunFailed", () => Effect.succeed("There is no report this month.")),
            Effect.orDie,
            Effect.provideContext(context)
          )
      }
    })
  )
}

const scripted = (...steps: ReadonlyArray<ScriptedModel.Step>) =>
  Reports.layer.pipe(Layer.provideMerge(Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)))

// ---- its tests

it.effect("writes a report, though the connection is lost on the way", () =>
  Effect.gen(function* () {
    const reports = yield* Reports
    const fiber = yield* Effect.forkChild(reports.write("October"))
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(fiber), "Sales rose.")
  }).pipe(Effect.provide(scripted(text("Sales "), disconnect, pause("10 seconds"), text("rose."), completed)))
)

it.effect("buys a report once, however often it is asked for", () =>
  Effect.gen(function* () {
    const reports = yield* Reports
    yield* reports.write("October")
    yield* reports.write("October")
    const { ledger } = yield* ScriptedModel.ScriptedModel
    const creates = (yield* ledger).filter((entry) => entry.operation === "create")
    assert.strictEqual(creates.length, 1)
  }).pipe(Effect.provide(scripted(text("Sales rose."), completed)))
)

it.effect("says so when the model fails", () =>
  Effect.gen(function* () {
    const reports = yield* Reports
    assert.strictEqual(yield* reports.write("October"), "There is no report this month.")
  }).pipe(Effect.provide(scripted(text("Sales "), failed("the model is ill"))))
)
