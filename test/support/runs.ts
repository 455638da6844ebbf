import {
  Agent,
  type AgentError,
  type AgentUpdate,
  type BackgroundModel,
  type ContinuationToken,
  Run,
  type RunRecord,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, Option, Stream, Struct } from "effect"
import { passing } from "./time.ts"

export type Update = AgentUpdate.AgentUpdate
export type Services = BackgroundModel.BackgroundModel | TokenStore.TokenStore
export type Updates = Stream.Stream<Update, AgentError.AgentError, Services>

const { completed, pause, text } = ScriptedModel

/** Six texts in three halts, longer apart than the cadence of writes. */
export const halting = [
  text("a"),
  text(["b", "c"]),
  pause("300 millis"),
  text("d"),
  text("e"),
  pause("300 millis"),
  text("f"),
  completed
]

export const analyst = Agent.make("analyst", { instructions: "Write reports.", background: true })

/** The record of a run that must be there. */
export const recordOf = (runId: string): Effect.Effect<RunRecord.RunRecord, never, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    return Option.getOrThrow(yield* Effect.orDie(store.read(Run.RunId.make(runId))))
  })

/** The requests that the scripted model saw, by name. */
export const requests = Effect.gen(function* () {
  const model = yield* ScriptedModel.ScriptedModel
  return (yield* model.ledger).map((entry) => entry.operation)
})

/** How often the model was asked to do this. */
export const count = (operation: ScriptedModel.LedgerEntry["operation"]) =>
  Effect.map(requests, (operations) => operations.filter((known) => known === operation).length)

/** The text of these updates. */
export const textOf = (updates: ReadonlyArray<Update>): string => updates.map((update) => update.text).join("")

/** Updates without what tells one run, or one way to read it, from another. */
export const plain = (updates: ReadonlyArray<Update>) =>
  updates.map((update) => ({
    ...Struct.omit(update, ["continuationToken", "origin", "responseId", "runId"]),
    token: Option.map(update.continuationToken, Struct.omit(["runId"]))
  }))

/** A run of the analyst from start to end, uninterrupted. */
export const uninterrupted = (runId: string) =>
  passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId })))

/** Tells how many updates lie before a position, counted in an uninterrupted run; null is the end. */
export const counter = (whole: ReadonlyArray<Update>) => {
  const key = (token: ContinuationToken.ContinuationToken) => `${token.sequenceNumber}:${token.skip}`
  const positions = new Map(
    whole.flatMap((update, i) =>
      Option.match(update.continuationToken, { onNone: () => [], onSome: (token) => [[key(token), i + 1] as const] })
    )
  )
  return (token: ContinuationToken.ContinuationToken | null): number =>
    token === null ? whole.length : token.sequenceNumber < 0 ? 0 : (positions.get(key(token)) ?? Number.NaN)
}
