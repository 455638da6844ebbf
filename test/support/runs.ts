import {
  Agent,
  type AgentError,
  type AgentUpdate,
  type BackgroundModel,
  type ContinuationToken,
  Run,
  type RunRecord,
  RunState,
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

/** The record of a run, if it is there. */
export const findRecord = (runId: string) =>
  Effect.flatMap(TokenStore.TokenStore, (store) =>
    Effect.map(Effect.orDie(store.read(Run.RunId.make(runId))), Option.getOrUndefined)
  )

/** Why this fails. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, AgentError.AgentError, R>) =>
  Effect.map(passing(Effect.flip(effect), 200), ({ reason }) => reason)

/** What the journal of a run that must be there says. */
export const stateOf = (runId: string) => Effect.map(recordOf(runId), RunState.fold)

/** Where a run that must be there stands, as its record tells. */
export const statusOf = (runId: string) =>
  Effect.map(recordOf(runId), (record) => RunState.statusOf(RunState.fold(record), record.position))

/** Up to where the consumer of a run is done with it, as its record tells; null if with all of it. */
export const doneWith = (record: RunRecord.RunRecord): ContinuationToken.ContinuationToken | null =>
  RunState.fold(record).delivered ? null : record.position

/** The same as a commit claims it; undefined if it claims nothing. */
export const claimOf = ({
  facts,
  position
}: TokenStore.Commit): ContinuationToken.ContinuationToken | null | undefined =>
  facts?.some(({ _tag }) => _tag === "Delivered") === true ? null : position?.token

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
    ...Struct.omit(update, ["continuationToken", "origin", "responseId", "runId", "session"]),
    token: Option.map(update.continuationToken, Struct.omit(["epoch", "incarnation", "responseId", "runId"]))
  }))

/** The updates of a stream, counted from 1. */
export const numbered = <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<readonly [A, number], E, R> => {
  let n = 0
  return Stream.map(stream, (update) => [update, ++n] as const)
}

/** A run of the analyst from start to end, uninterrupted. */
export const uninterrupted = (runId: string) =>
  passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId })))

/** Tells how many updates lie before a position, counted in an uninterrupted run; null is the end. */
export const counter = (whole: ReadonlyArray<Update>) => {
  const key = ({ epoch, offset, sequenceNumber, skip }: ContinuationToken.ContinuationToken) =>
    epoch === undefined ? `${sequenceNumber}:${skip}` : `offset ${offset}`
  const positions = new Map(
    whole.flatMap((update, i) =>
      Option.match(update.continuationToken, { onNone: () => [], onSome: (token) => [[key(token), i + 1] as const] })
    )
  )
  return (token: ContinuationToken.ContinuationToken | null): number =>
    token === null
      ? whole.length
      : token.sequenceNumber < 0 && token.epoch === undefined
        ? 0
        : (positions.get(key(token)) ?? Number.NaN)
}
