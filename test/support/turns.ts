import { Agent, type BackgroundModel, type RunRecord, type TokenStore, ToolCall } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, type Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { changing } from "./stores.ts"

/** The tool whose calls somebody else answers. */
export const lookup = "lookup"

export const toolkit = Toolkit.make(
  Tool.make(lookup, {
    parameters: Schema.Struct({ of: Schema.String }),
    success: Schema.Struct({ sold: Schema.Finite }),
    dependencies: [ToolCall.ToolCall]
  })
)

export const planner = Agent.make("analyst", { instructions: "Write reports.", background: true, toolkit })

/** The handler of `lookup` answers later: somebody else gives the results. */
export const ownCalls = Agent.toLayer(planner, toolkit.toLayer({ [lookup]: () => ToolCall.later() }))

/** What a call came to, as a fact. */
export const answer = (
  incarnation: number,
  turn: number,
  callId: string,
  result: unknown = { sold: 3 }
): RunRecord.NewFact => ({ _tag: "ToolEnded", incarnation, by: "outside", turn, callId, result, isFailure: false })

/** A store beside which somebody answers each call as soon as the response that asks for it has ended. */
export const answering = (store: Layer.Layer<TokenStore.TokenStore>): Layer.Layer<TokenStore.TokenStore> =>
  changing(store, (inner) => {
    const answered = (runId: TokenStore.Lease["runId"], facts: ReadonlyArray<RunRecord.NewFact>) =>
      Effect.forEach(
        facts,
        (fact) =>
          fact._tag === "ResponseEnded"
            ? Effect.forEach(fact.calls, ({ callId, external }) =>
                external
                  ? Effect.void
                  : Effect.ignore(inner.record(runId, answer(fact.incarnation, fact.turn, callId), 0))
              )
            : Effect.void,
        { discard: true }
      )
    return {
      commit: (lease, commit) => Effect.andThen(answered(lease.runId, commit.facts ?? []), inner.commit(lease, commit)),
      record: (id, fact, seen) => Effect.andThen(answered(id, [fact]), inner.record(id, fact, seen))
    }
  })

/** A script whose first turn asks for a call, and whose second is another script. */
export const thenTurn =
  (first: ReadonlyArray<ScriptedModel.Step>, second: ReadonlyArray<ScriptedModel.Step>) =>
  (request: BackgroundModel.ModelRequest): ReadonlyArray<ScriptedModel.Step> =>
    request.previousResponseId === undefined
      ? [...first, ScriptedModel.call(lookup, { of: "sales" }), ScriptedModel.completed]
      : second
