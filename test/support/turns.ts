import { Agent, type BackgroundModel, type RunRecord, type TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Context, Effect, Layer } from "effect"
import { changing } from "./stores.ts"

/** The tool whose calls are Baton's. As there are no handlers yet, somebody else answers them. */
export const lookup = "lookup"

const ExternalCalls = Context.Reference<(name: string) => boolean>("@effect-baton/core/ExternalCalls", {
  defaultValue: () => () => true
})

/** Calls of the tool `lookup` are Baton's to answer. */
export const ownCalls = Layer.succeed(ExternalCalls, (name) => name !== lookup)

export const planner = Agent.make("analyst", { instructions: "Write reports.", background: true })

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
