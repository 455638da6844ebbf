/**
 * The facts in the journal of a run, and the tool calls and limits in them. `RunRecord` exports all of them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import * as Response from "effect/ai/Response"
import * as FactKey from "./internal/record/factKey.ts"
import { RunStatus } from "./Run.ts"

/**
 * A tool call that a response asks for.
 *
 * **Details**
 *
 * Call ids are unique only within one response. The agent has no tool for an `external` call: the caller runs it. `params`
 * is present for calls of the agent's tools. `provider` is true for a call that the provider runs once it is approved.
 * `metadata` is that of the provider's call; it goes back with the result.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Call = Schema.Struct({
  callId: Schema.String,
  name: Schema.String,
  external: Schema.Boolean,
  params: Schema.optionalKey(Schema.Unknown),
  provider: Schema.optionalKey(Schema.Literal(true)),
  metadata: Schema.optionalKey(Response.ProviderMetadata)
})

/**
 * The type of `Call`.
 *
 * @since 0.1.0
 * @category models
 */
export type Call = typeof Call.Type

// A number that JSON cannot hold would make the record unreadable.
const Amount = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * Limits of a run. A run that reaches a limit waits. A limit that is absent does not apply.
 *
 * **Details**
 *
 * - `turns`: the number of responses.
 * - `toolCalls`: the number of tool calls that were started.
 * - `tokens`: the input and output tokens of all responses.
 * - `time`: the milliseconds in which a response or a tool call was under way. Time in which the run waits does not count.
 * - `cost`: the sum of the costs of all responses, in the unit of the agent's `cost` function.
 *
 * A limit is looked at before a turn after the first one, and `toolCalls` before a tool call. A turn under way is not cut
 * short: a run can exceed its limits by what one turn uses.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Limits = Schema.Struct({
  turns: Schema.optionalKey(Schema.Natural),
  toolCalls: Schema.optionalKey(Schema.Natural),
  tokens: Schema.optionalKey(Schema.Natural),
  time: Schema.optionalKey(Amount),
  cost: Schema.optionalKey(Amount)
})

/**
 * The type of `Limits`.
 *
 * @since 0.1.0
 * @category models
 */
export type Limits = typeof Limits.Type

/**
 * A request whose outcome is not known: its intent was recorded, but neither `Accepted` nor `Refused`.
 *
 * @since 0.1.0
 * @category schemas
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
  /** The name of the worker or the caller that wrote the fact. */
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
    carry: Schema.optionalKey(Schema.String),
    error: Schema.optionalKey(AiError.AiError)
  },
  ToolStarted: { ...ofCall, n: Schema.Natural },
  ToolEnded: {
    ...ofCall,
    result: Schema.Unknown,
    isFailure: Schema.Boolean,
    ends: Schema.optionalKey(Schema.Literals(["failed", "defect"]))
  },
  ToolDeferred: { ...ofCall, until: Schema.optionalKey(Schema.Number) },
  Allowed: ofCall,
  ApprovalAsked: { ...ofCall, until: Schema.optionalKey(Schema.Number) },
  Approved: ofCall,
  Rejected: { ...ofCall, reason: Schema.String },
  CancelRequested: common,
  CancelSent: { ...common, responseId: Schema.String },
  LimitsRaised: { ...common, limits: Limits },
  Ended: {
    ...common,
    status: RunStatus,
    reason: Schema.optionalKey(Schema.Literals(["refused", "unconfirmed", "interrupted", "tool"])),
    error: Schema.optionalKey(AiError.AiError),
    unresolved: Schema.optionalKey(Schema.Array(Try))
  },
  Delivered: common,
  Retried: { ...common, turn: Schema.Natural }
} as const

/**
 * A fact to record. The store adds the time.
 *
 * **Details**
 *
 * A fact has a key (see `keyOf`). A store adds a fact only if the run's journal has none with its key: the first one wins.
 * Therefore every write can be repeated.
 *
 * Any process may record observations, without a lease:
 *
 * - `Accepted`: the provider opened a response for a turn. `streamed` says whether its stream can be resumed.
 * - `Refused`: a request bought nothing. `error` is the provider's reason, absent if the request was never sent. `final`
 *   means that the same request would be refused again.
 * - `ResponseEnded`: a response has ended. `calls` are the tool calls that it asks for. `carry` is the output of a response
 *   with calls that the provider does not keep: a prompt of `effect/ai` as JSON, which the next turn sends again.
 * - `CancelRequested`: somebody has cancelled the run. `CancelSent`: the provider accepted the cancel of a response.
 * - `ToolEnded`, `ToolDeferred`, `Approved`, `Rejected`: the result of a call, or a decision about it. `ends` says that the
 *   result ends the run: a failure of a tool with the failure mode `error`, or a defect. `LimitsRaised`: new limits.
 *
 * Only the worker that holds the run may record decisions:
 *
 * - `Requested`: the worker is about to send a request that opens the response of a turn. `try` names the request.
 * - `Allowed`: a call needs no approval. `ApprovalAsked`: a call waits for approval.
 * - `ToolStarted`: the worker is about to run a call for the `n`-th time.
 * - `Ended`: the run has ended. `unresolved` are the requests whose outcome is not known.
 * - `Delivered`: the consumer has acknowledged the last update.
 * - `Retried`: a new incarnation of the run opens turn `turn` again. Facts of earlier turns stay.
 *
 * @since 0.1.0
 * @category schemas
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
 * A fact in a journal. `at` is the time at which it was recorded: milliseconds since the epoch, by the store's clock.
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

/**
 * The schema of `Fact`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Fact = Schema.TaggedUnion({
  Requested: { ...facts.Requested, ...at },
  Refused: { ...facts.Refused, ...at },
  Accepted: { ...facts.Accepted, ...at },
  ResponseEnded: { ...facts.ResponseEnded, ...at },
  ToolStarted: { ...facts.ToolStarted, ...at },
  ToolEnded: { ...facts.ToolEnded, ...at },
  ToolDeferred: { ...facts.ToolDeferred, ...at },
  Allowed: { ...facts.Allowed, ...at },
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
 * Returns the key of a fact. Of two facts with the same key, the one that is recorded first counts.
 *
 * **Details**
 *
 * The key of a fact about a response contains the provider's id of the response. All other keys contain the incarnation,
 * because another incarnation has turns and calls of its own.
 *
 * @since 0.1.0
 * @category accessors
 */
export const keyOf: (fact: NewFact) => string = FactKey.keyOf
