/**
 * Responses: the status and the whole output of a run, as one value.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { Lane, ModelSnapshot } from "./BackgroundModel.ts"
import { ContinuationToken } from "./ContinuationToken.ts"
import { waitingCalls } from "./internal/record/toolCalls.ts"
import { LimitName, RunId, RunStatus, WaitingFor } from "./Run.ts"
import { Session } from "./Session.ts"

const Part = Response.Part()

/**
 * A tool call that has no result yet.
 *
 * **Details**
 *
 * `waitingFor` is absent while a worker runs the call, or is about to, and if the tool's `onCut: "wait"` holds a call whose
 * process died: the record does not name the agent's options. `Agent.completeTool` then gives the result. With
 * `"approval"`, `Agent.approve` or `Agent.reject` decides; with `"deferred"`, `Agent.completeTool` gives the result. After
 * `until`, in milliseconds since the epoch, the call counts as rejected, or as failed. `params` are as the model wrote them.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PendingCall = Schema.Struct({
  turn: Schema.Natural,
  callId: Schema.String,
  tool: Schema.String,
  params: Schema.Unknown,
  waitingFor: Schema.optionalKey(Schema.Literals(["approval", "deferred"])),
  approvalId: Schema.optionalKey(Schema.String),
  until: Schema.optionalKey(Schema.Number)
})

/**
 * The type of `PendingCall`.
 *
 * @since 0.1.0
 * @category models
 */
export type PendingCall = typeof PendingCall.Type

/**
 * The status and the whole output of a run.
 *
 * **Details**
 *
 * - `text`: the whole text of the last response: the answer. It is `""` while there is none.
 * - `content`: the tool calls and results of earlier turns, then the whole output of the last response, as `effect/ai`
 *   response parts. What else the responses of earlier turns said is in the updates of the run, and in its log.
 * - `waitingFor`: what a run with status `waiting` waits for. `limit` is the limit that it has reached.
 * - `pending`: the tool calls that have no result yet, if there are any.
 * - `usage`: what all turns used. `usage` and `finishReason` are present if the run is `completed` or `incomplete`.
 * - `continuationToken`: present until the run has ended: poll or resume with it.
 * - `responseId`: the provider's id of the run's last response; none before a response was opened.
 * - `session`: the conversation extended by this run; the conversation before it if the run failed, was cancelled, or has
 *   not ended.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AgentResponse = Schema.Struct({
  status: RunStatus,
  waitingFor: Schema.optionalKey(WaitingFor),
  limit: Schema.optionalKey(LimitName),
  pending: Schema.optionalKey(Schema.Array(PendingCall)),
  text: Schema.String,
  content: Schema.Array(Part),
  usage: Schema.OptionFromNullOr(Response.Usage),
  finishReason: Schema.OptionFromNullOr(Response.FinishReason),
  continuationToken: Schema.OptionFromNullOr(ContinuationToken),
  runId: RunId,
  responseId: Schema.OptionFromNullOr(Schema.String),
  session: Session
})

/**
 * The type of `AgentResponse`.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentResponse = typeof AgentResponse.Type

const decodePart = Schema.decodeUnknownOption(Part)
const decodeFinish = Schema.decodeUnknownOption(Response.FinishPart)

/**
 * The status and the output of a provider's response, as a snapshot or the delivered updates show them.
 *
 * @since 0.1.0
 * @category models
 */
export type Shown = Pick<ModelSnapshot, "finish" | "items" | "status">

/**
 * Makes an `AgentResponse` from the output of a turn's response. A part that cannot be read is left out; the others are
 * kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSnapshot = (
  snapshot: Shown,
  run: Pick<AgentResponse, "runId" | "responseId" | "session" | "continuationToken" | "limit" | "waitingFor">,
  turn = 0
): AgentResponse => {
  const content = contentOf(snapshot.items, turn)
  const finish = snapshot.finish === undefined ? Option.none() : decodeFinish(snapshot.finish)
  return {
    ...run,
    status: snapshot.status,
    text: content.map((part) => (part.type === "text" ? part.text : "")).join(""),
    content,
    usage: Option.map(finish, (part) => part.usage),
    finishReason: Option.map(finish, (part) =>
      part.reason === "stop" && waitingCalls(content).length > 0 ? "tool-calls" : part.reason
    )
  }
}

/**
 * Returns the parts of the output of a turn's response. A part that cannot be read is left out.
 *
 * @since 0.1.0
 * @category accessors
 */
export const contentOf = (items: Shown["items"], turn = 0): AgentResponse["content"] =>
  items.flatMap(({ lanes }, item) =>
    lanes.flatMap((lane) =>
      partsOf(lane, `${turn}:${item}:${lane.lane}`).flatMap((part) => Option.toArray(decodePart(part)))
    )
  )

/** The complete parts of a lane, as in a response that was not streamed. */
const partsOf = (lane: Lane, id: string): ReadonlyArray<unknown> => {
  switch (lane.kind) {
    case "text":
    case "reasoning": {
      const { kind, metadata, text } = lane
      return [{ type: kind, text: text.toWellFormed(), ...(metadata === undefined ? undefined : { metadata }) }]
    }
    case "sources":
      return lane.sources.flatMap((source, k) => (source === undefined ? [] : [{ ...source, id: `${id}:${k}` }]))
    case "single":
      return [lane.part]
    case "params":
    case "unread":
      return []
  }
}
