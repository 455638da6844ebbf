// The last update of a stream says how the conversation goes on, as the answer of `Agent.result` does.
import { Agent, type AgentUpdate, Session, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"

const agent = Agent.make("analyst", { background: true })
const session = Session.make({ previousResponseId: "resp_before" })
const { completed, disconnect, failed, text } = ScriptedModel

const on = (script: Parameters<typeof ScriptedModel.layer>[0]) =>
  Effect.provide(Layer.merge(ScriptedModel.layer(script), TokenStore.layerMemory))

const sessionsOf = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) => updates.map((update) => update.session)

describe("the session of a stream", () => {
  it.live("is on the last update alone, and what Agent.result answers: streamed, resumed and watched", () =>
    Effect.gen(function* () {
      const ref = { runId: "r-1" }
      const first = yield* Agent.stream(agent, { input: "Write.", session, ...ref }).pipe(
        Stream.takeUntil((update) => update.text !== ""),
        Stream.runCollect
      )
      const rest = yield* Stream.runCollect(Agent.resume(agent, ref))
      const watched = yield* Stream.runCollect(Agent.watch(agent, ref))
      const { session: extended } = yield* Agent.result(agent, ref)
      assert.strictEqual(extended.previousResponseId, rest.at(-1)?.responseId)
      assert.deepStrictEqual(sessionsOf([...first, ...rest]).filter(Boolean), [extended])
      assert.deepStrictEqual(rest.at(-1)?.session, extended)
      assert.deepStrictEqual(sessionsOf(watched).filter(Boolean), [extended])
      assert.deepStrictEqual(watched.at(-1)?.session, extended)
    }).pipe(on([text("Hello"), disconnect, text(" world"), completed]))
  )

  it.live("is not told if the run failed: the conversation is what it was", () =>
    Effect.gen(function* () {
      const last = yield* Agent.stream(agent, { input: "Write.", session, runId: "r-1" }).pipe(
        Stream.catch(() => Stream.empty),
        Stream.runLast
      )
      assert.strictEqual(Option.getOrThrow(last).status, "failed")
      assert.isUndefined(Option.getOrThrow(last).session)
      assert.deepStrictEqual((yield* Agent.poll(agent, { runId: "r-1" })).session, session)
    }).pipe(on([text("Hello"), failed("the model is ill")]))
  )
})
