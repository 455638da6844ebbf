/**
 * What a token store keeps of a run.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { AiError } from "effect/ai"
import { ContinuationToken } from "./ContinuationToken.ts"
import { RunId, RunStatus } from "./Run.ts"
import { Session } from "./Session.ts"

/**
 * One thing that happened to a run and must not be forgotten.
 *
 * **Details**
 *
 * `Requested` is written before a request that opens a response, `Refused` when the provider is known not to have
 * accepted it, `Accepted` with the response's id as soon as it is known (`streamed` tells whether its stream can be
 * resumed), `Ended` with the failure that ended the run, if one did.
 *
 * @since 0.1.0
 * @category models
 */
export const JournalEntry = Schema.TaggedUnion({
  Requested: { turn: Schema.Natural },
  Refused: { turn: Schema.Natural },
  Accepted: { turn: Schema.Natural, responseId: Schema.String, streamed: Schema.Boolean },
  Ended: { status: RunStatus, error: Schema.optionalKey(AiError.AiError) }
})

/**
 * The type of `JournalEntry`.
 *
 * @since 0.1.0
 * @category models
 */
export type JournalEntry = typeof JournalEntry.Type

/**
 * How a run ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Ended = Extract<JournalEntry, { readonly _tag: "Ended" }>

/**
 * Something that others ask of a run without holding its lease.
 *
 * @since 0.1.0
 * @category models
 */
export const Signal = Schema.TaggedUnion({ Cancel: {} })

/**
 * The type of `Signal`.
 *
 * @since 0.1.0
 * @category models
 */
export type Signal = typeof Signal.Type

/**
 * Who holds a run, by the store's clock.
 *
 * @since 0.1.0
 * @category models
 */
export const LeaseInfo = Schema.Struct({
  owner: Schema.String,
  fence: Schema.Natural,
  /** Milliseconds since the epoch. */
  expiresAt: Schema.Number
})

/**
 * What starts a run's record: everything but what happens later.
 *
 * @since 0.1.0
 * @category models
 */
export const NewRun = Schema.Struct({
  runId: RunId,
  agent: Schema.String,
  agentVersion: Schema.optionalKey(Schema.String),
  /** A digest of agent, input and session: the same run id with another one is another task. */
  digest: Schema.String,
  background: Schema.Boolean,
  session: Session
})

/**
 * The type of `NewRun`.
 *
 * @since 0.1.0
 * @category models
 */
export type NewRun = typeof NewRun.Type

/**
 * Why workers leave a run alone, and since when: milliseconds since the epoch, by the store's clock.
 *
 * @since 0.1.0
 * @category models
 */
export const SetAside = Schema.Struct({ reason: Schema.String, at: Schema.Number })

/**
 * The type of `SetAside`.
 *
 * @since 0.1.0
 * @category models
 */
export type SetAside = typeof SetAside.Type

/**
 * A run as a token store keeps it: no prompt and no output, but where the run stands and how far its consumer came.
 *
 * **Details**
 *
 * `token` is the last acknowledged position, and null once the consumer finished with the last update; `status` is what
 * was last seen of the run itself, which can be over while a consumer still has updates to read. `ordinal` counts the
 * commits, `attempts` how often a worker took the run since its consumer last came further.
 *
 * @since 0.1.0
 * @category models
 */
export const RunRecord = Schema.Struct({
  version: Schema.Literal(1),
  ...NewRun.fields,
  status: RunStatus,
  ordinal: Schema.Natural,
  token: Schema.NullOr(ContinuationToken),
  journal: Schema.Array(JournalEntry),
  signals: Schema.Array(Signal),
  lease: Schema.NullOr(LeaseInfo),
  // Records that were written before there were workers have neither.
  attempts: Schema.Natural.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  setAside: Schema.NullOr(SetAside).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  /** Milliseconds since the epoch, by the store's clock. */
  createdAt: Schema.Number,
  updatedAt: Schema.Number
})

/**
 * The type of `RunRecord`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunRecord = typeof RunRecord.Type

/**
 * What the journal says about the opening of a turn's response.
 *
 * @since 0.1.0
 * @category models
 */
export type Opening =
  | { readonly _tag: "None" }
  | { readonly _tag: "Requested" }
  | { readonly _tag: "Accepted"; readonly responseId: string; readonly streamed: boolean }

/**
 * Reads from the journal whether a turn's response was opened.
 *
 * @since 0.1.0
 * @category getters
 */
export const opening = (record: RunRecord, turn: number): Opening => {
  let result: Opening = { _tag: "None" }
  for (const entry of record.journal) {
    if (entry._tag === "Ended" || entry.turn !== turn) continue
    if (entry._tag === "Accepted") return entry
    result = { _tag: entry._tag === "Requested" ? "Requested" : "None" }
  }
  return result
}

/**
 * The ids of the responses that the run opened, in order.
 *
 * @since 0.1.0
 * @category getters
 */
export const responseIds = (record: RunRecord): ReadonlyArray<string> =>
  record.journal.flatMap((entry) => (entry._tag === "Accepted" ? [entry.responseId] : []))

/**
 * How the run ended, if it did.
 *
 * @since 0.1.0
 * @category getters
 */
export const ended = (record: RunRecord): Ended | undefined => record.journal.find((entry) => entry._tag === "Ended")

/**
 * Tells whether somebody asked to cancel the run.
 *
 * @since 0.1.0
 * @category getters
 */
export const cancelRequested = (record: RunRecord): boolean => record.signals.some((signal) => signal._tag === "Cancel")

/**
 * Tells whether nothing of the run is left to read: its consumer finished, or it ended before a response was opened.
 *
 * @since 0.1.0
 * @category getters
 */
export const isFinished = (record: RunRecord): boolean =>
  record.token === null || (ended(record) !== undefined && responseIds(record).length === 0)

/**
 * What is left to do about a run: its consumer has still to read of it, workers leave it alone, or its consumer is done.
 *
 * @since 0.1.0
 * @category models
 */
export type Stage = "unfinished" | "set aside" | "finished"

/**
 * Reads from a record what is left to do about the run.
 *
 * @since 0.1.0
 * @category getters
 */
export const stage = (record: RunRecord): Stage =>
  record.token === null ? "finished" : record.setAside === null ? "unfinished" : "set aside"
