/**
 * What a token store keeps of a run: its record, and the facts in its journal.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import * as Response from "effect/ai/Response"
import { ContinuationToken } from "./ContinuationToken.ts"
import * as FactKey from "./internal/store/factKey.ts"
import { RunId, RunStatus } from "./Run.ts"
import { Session } from "./Session.ts"

/**
 * A tool call that a response asks for.
 *
 * **Details**
 *
 * Call ids are unique within one response only. `external` calls are run by the caller, not by Baton: they end the run
 * with the finish reason `tool-calls`. `params` are there for calls that Baton runs.
 *
 * @since 0.1.0
 * @category models
 */
export const Call = Schema.Struct({
  callId: Schema.String,
  name: Schema.String,
  external: Schema.Boolean,
  params: Schema.optionalKey(Schema.Unknown)
})

/**
 * The type of `Call`.
 *
 * @since 0.1.0
 * @category models
 */
export type Call = typeof Call.Type

/**
 * What a run may use: when it reaches a limit it waits. A limit that is absent does not apply.
 *
 * @since 0.1.0
 * @category models
 */
export const Limits = Schema.Struct({
  turns: Schema.optionalKey(Schema.Natural),
  toolCalls: Schema.optionalKey(Schema.Natural),
  tokens: Schema.optionalKey(Schema.Natural)
})

/**
 * The type of `Limits`.
 *
 * @since 0.1.0
 * @category models
 */
export type Limits = typeof Limits.Type

/**
 * A request whose outcome nobody knows: it was about to be sent, and neither an answer nor a refusal was recorded.
 *
 * @since 0.1.0
 * @category models
 */
export const Try = Schema.Struct({ turn: Schema.Natural, try: Schema.String })

/**
 * The type of `Try`.
 *
 * @since 0.1.0
 * @category models
 */
export type Try = typeof Try.Type

const common = {
  /** The incarnation of the run that the fact belongs to. */
  incarnation: Schema.Natural,
  /** Who wrote it. */
  by: Schema.String
}
const ofCall = { ...common, turn: Schema.Natural, callId: Schema.String }

const facts = {
  Requested: { ...common, turn: Schema.Natural, try: Schema.String },
  Refused: {
    ...common,
    turn: Schema.Natural,
    try: Schema.String,
    error: Schema.optionalKey(AiError.AiError),
    final: Schema.optionalKey(Schema.Boolean)
  },
  Accepted: {
    ...common,
    turn: Schema.Natural,
    try: Schema.optionalKey(Schema.String),
    responseId: Schema.String,
    streamed: Schema.Boolean
  },
  ResponseEnded: {
    ...common,
    turn: Schema.Natural,
    responseId: Schema.String,
    status: RunStatus,
    finish: Schema.optionalKey(Response.FinishReason),
    usage: Schema.optionalKey(Response.Usage),
    calls: Schema.Array(Call),
    error: Schema.optionalKey(AiError.AiError)
  },
  ToolStarted: { ...ofCall, n: Schema.Natural },
  ToolEnded: { ...ofCall, result: Schema.Unknown, isFailure: Schema.Boolean },
  ToolDeferred: { ...ofCall, until: Schema.optionalKey(Schema.Number) },
  ApprovalAsked: { ...ofCall, until: Schema.optionalKey(Schema.Number) },
  Approved: ofCall,
  Rejected: { ...ofCall, reason: Schema.String },
  CancelRequested: common,
  CancelSent: { ...common, responseId: Schema.String },
  LimitsRaised: { ...common, limits: Limits },
  Ended: {
    ...common,
    status: RunStatus,
    reason: Schema.optionalKey(Schema.Literals(["refused", "unconfirmed", "interrupted"])),
    error: Schema.optionalKey(AiError.AiError),
    unresolved: Schema.optionalKey(Schema.Array(Try))
  },
  Delivered: common,
  Retried: { ...common, turn: Schema.Natural }
} as const

/**
 * A fact that is to be recorded. The store adds the time.
 *
 * **Details**
 *
 * A fact has a key (see `keyOf`), and a store adds it only if no fact with this key is in the run's journal: the first
 * one wins. So every write can be repeated.
 *
 * Anybody may record what was seen, without a lease:
 *
 * - `Accepted`: the provider opened a response for a turn. `streamed` tells whether its stream can be resumed.
 * - `Refused`: a try bought nothing. `error` is the provider's reason, absent if the request was never sent; `final` says
 *   that the same request would be refused again.
 * - `ResponseEnded`: a response is over. `calls` are the tool calls that it asks for.
 * - `CancelRequested`: somebody wants the run to stop. `CancelSent`: the provider took the cancel of a response.
 * - `ToolEnded`, `ToolDeferred`, `Approved`, `Rejected`, `LimitsRaised`: what became of a call, and of the run's limits.
 *
 * The rest are decisions of the worker that holds the run:
 *
 * - `Requested`: a request that opens a turn's response is about to be sent, under the name `try`.
 * - `ToolStarted`, `ApprovalAsked`: a call is about to be run for the `n`-th time, or waits for approval.
 * - `Ended`: the run is over. `unresolved` are the tries whose outcome nobody knows.
 * - `Delivered`: the consumer is done with the last update.
 * - `Retried`: a new incarnation of the run opens turn `turn` again. Facts of earlier turns stay.
 *
 * @since 0.1.0
 * @category models
 */
export const NewFact = Schema.TaggedUnion(facts)

/**
 * The type of `NewFact`.
 *
 * @since 0.1.0
 * @category models
 */
export type NewFact = typeof NewFact.Type

/**
 * A fact as it stands in a journal: `at` is when it was recorded, in milliseconds since the epoch by the store's clock.
 *
 * @since 0.1.0
 * @category models
 */
export type Fact = NewFact & { readonly at: number }

/**
 * A fact of one kind.
 *
 * @since 0.1.0
 * @category models
 */
export type FactOf<Tag extends NewFact["_tag"]> = Extract<Fact, { readonly _tag: Tag }>

const at = { at: Schema.Number }

const utf8 = new TextEncoder()

const isWithin = (text: string, least: number, most: number): boolean => {
  const { length } = utf8.encode(text)
  return text.isWellFormed() && least <= length && length <= most
}

/**
 * The schema of `Fact`.
 *
 * @since 0.1.0
 * @category models
 */
export const Fact = Schema.TaggedUnion({
  Requested: { ...facts.Requested, ...at },
  Refused: { ...facts.Refused, ...at },
  Accepted: { ...facts.Accepted, ...at },
  ResponseEnded: { ...facts.ResponseEnded, ...at },
  ToolStarted: { ...facts.ToolStarted, ...at },
  ToolEnded: { ...facts.ToolEnded, ...at },
  ToolDeferred: { ...facts.ToolDeferred, ...at },
  ApprovalAsked: { ...facts.ApprovalAsked, ...at },
  Approved: { ...facts.Approved, ...at },
  Rejected: { ...facts.Rejected, ...at },
  CancelRequested: { ...facts.CancelRequested, ...at },
  CancelSent: { ...facts.CancelSent, ...at },
  LimitsRaised: { ...facts.LimitsRaised, ...at },
  Ended: { ...facts.Ended, ...at },
  Delivered: { ...facts.Delivered, ...at },
  Retried: { ...facts.Retried, ...at }
})

/**
 * The key of a fact: of two facts with one key, the first that is recorded counts.
 *
 * **Details**
 *
 * Facts about a response are named by the provider's id of it. All others name the incarnation, as a turn or a call of an
 * earlier one is another one.
 *
 * @since 0.1.0
 * @category getters
 */
export const keyOf: (fact: NewFact) => string = FactKey.keyOf

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
 * What an application calls its runs by: at most eight names, each with a value. They are no content, and listings show them.
 *
 * **Details**
 *
 * A name is 1 to 64 bytes of UTF-8, and a value at most 256.
 *
 * @since 0.1.0
 * @category models
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
 * How long a store keeps a run's input: until the run has ended well, as `Agent.retry` may need it, or only until its first
 * response is accepted.
 *
 * @since 0.1.0
 * @category models
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
 * What starts a run's record: everything but what happens later.
 *
 * @since 0.1.0
 * @category models
 */
export const NewRun = Schema.Struct({
  runId: RunId,
  agent: Schema.String,
  agentVersion: Schema.optionalKey(Schema.String),
  /** A digest of agent, input and session: the same run id with another one is another task. Absent if adopted. */
  digest: Schema.optionalKey(Schema.String),
  background: Schema.Boolean,
  session: Session,
  labels: Schema.optionalKey(Labels)
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
export const Parked = Schema.Struct({ reason: Schema.String, at: Schema.Number })

/**
 * The type of `Parked`.
 *
 * @since 0.1.0
 * @category models
 */
export type Parked = typeof Parked.Type

/**
 * A run as a token store keeps it.
 *
 * **Details**
 *
 * - `incarnation`: drawn by the store when the record was created; no other run or record has the same.
 * - `journal`: what happened to the run, in order. `RunState.fold` says what the run is.
 * - `position`: the last acknowledged position of the consumer; `ordinal` counts the writes of it.
 * - `handled`: a worker's consumer was promised the run to its end.
 * - `attempts`: the fences of the workers that took the run since its consumer last came further, and that have not given
 *   the attempt back.
 * - `parked`: why workers leave the run alone, if they do.
 * - `due`: when the run is work next, in milliseconds since the epoch by the store's clock; null for never.
 * - `input`: the store has the run's input, and until when. The input itself is no part of the record.
 *
 * @since 0.1.0
 * @category models
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
