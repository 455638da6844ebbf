/**
 * The record of a run in a token store, and the facts in its journal.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ContinuationToken } from "./ContinuationToken.ts"
import { RunId } from "./Run.ts"
import { Fact } from "./RunFact.ts"
import { Session } from "./Session.ts"

/**
 * The facts in the journal of a run.
 *
 * @since 0.1.0
 * @category schemas
 */
export * from "./RunFact.ts"

const utf8 = new TextEncoder()

const isWithin = (text: string, least: number, most: number): boolean => {
  const { length } = utf8.encode(text)
  return text.isWellFormed() && least <= length && length <= most
}

/**
 * The lease of a run: its owner, its fence, and its end by the store's clock.
 *
 * @since 0.1.0
 * @category schemas
 */
export const LeaseInfo = Schema.Struct({
  owner: Schema.String,
  fence: Schema.Natural,
  /** Milliseconds since the epoch. */
  expiresAt: Schema.Number
})

/**
 * The labels of a run: at most eight names with values, by which an application finds its runs.
 *
 * **Details**
 *
 * A name has 1 to 64 bytes of UTF-8, and a value at most 256.
 *
 * **Gotchas**
 *
 * Listings show labels: put no content into them.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Labels = Schema.Record(Schema.String, Schema.String).pipe(
  Schema.check(
    Schema.makeFilter(
      (labels: Readonly<Record<string, string>>) => {
        const all = Object.entries(labels)
        return all.length <= 8 && all.every(([name, value]) => isWithin(name, 1, 64) && isWithin(value, 0, 256))
      },
      { expected: "at most 8 labels, with names of 1 to 64 bytes and values of at most 256" }
    )
  )
)

/**
 * The type of `Labels`.
 *
 * @since 0.1.0
 * @category models
 */
export type Labels = typeof Labels.Type

/**
 * How long a store keeps the input of a run: until the run has ended well, because `Agent.retry` may need the input, or
 * only until the provider has accepted the run's first response.
 *
 * @since 0.1.0
 * @category schemas
 */
export const KeptUntil = Schema.Literals(["ended", "accepted"])

/**
 * The type of `KeptUntil`.
 *
 * @since 0.1.0
 * @category models
 */
export type KeptUntil = typeof KeptUntil.Type

/**
 * The part of a run's record that is given when the run is created, and never changes.
 *
 * @since 0.1.0
 * @category schemas
 */
export const NewRun = Schema.Struct({
  runId: RunId,
  agent: Schema.String,
  agentVersion: Schema.optionalKey(Schema.String),
  /** A digest of agent, input and session. The same run id with another digest is another task. Absent in adopted runs. */
  digest: Schema.optionalKey(Schema.String),
  background: Schema.Boolean,
  session: Session,
  labels: Schema.optionalKey(Labels),
  /**
   * The names of the agent's tools when the run was recorded; absent if it had none. A call of one of these is never the
   * caller's, even for a process whose agent does not have the tool.
   */
  tools: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Whether the updates of the run are in an update log. */
  logged: Schema.optionalKey(Schema.Literal(true))
})

/**
 * The type of `NewRun`.
 *
 * @since 0.1.0
 * @category models
 */
export type NewRun = typeof NewRun.Type

/**
 * Why a run is parked, and since when: milliseconds since the epoch, by the store's clock.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Parked = Schema.Struct({ reason: Schema.String, at: Schema.Number })

/**
 * The type of `Parked`.
 *
 * @since 0.1.0
 * @category models
 */
export type Parked = typeof Parked.Type

/**
 * The record of a run in a token store.
 *
 * **Details**
 *
 * - `incarnation`: a number that the store gave the run when it created the record; no other record has the same.
 * - `journal`: the facts about the run, in order. `RunState.fold` computes the state of the run from them.
 * - `position`: the last acknowledged position of the consumer. `ordinal` counts how often it was written.
 * - `handled`: whether a worker has promised the run to its `handle`, up to the last update.
 * - `attempts`: the fences of the workers that took the run since the acknowledged position last moved, without attempts
 *   that do not count.
 * - `parked`: why the run is parked; null if it is not.
 * - `due`: when a worker must look at the run next: milliseconds since the epoch by the store's clock; null for never.
 * - `input`: until when the store keeps the run's input; absent if it has none. The input itself is not in the record.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunRecord = Schema.Struct({
  version: Schema.Literal(2),
  ...NewRun.fields,
  incarnation: Schema.Natural,
  journal: Schema.Array(Fact),
  position: ContinuationToken,
  ordinal: Schema.Natural,
  handled: Schema.Boolean,
  attempts: Schema.Array(Schema.Natural),
  parked: Schema.NullOr(Parked),
  due: Schema.NullOr(Schema.Number),
  lease: Schema.NullOr(LeaseInfo),
  input: Schema.optionalKey(KeptUntil),
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
