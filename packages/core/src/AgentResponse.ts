/**
 * Responses: what a run has come to, all at once.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { Lane, ModelSnapshot } from "./BackgroundModel.ts"
import { ContinuationToken } from "./ContinuationToken.ts"
import { RunId, RunStatus } from "./Run.ts"
import { Session } from "./Session.ts"

const Part = Response.Part()

/**
 * What a run has come to.
 *
 * **Details**
 *
 * - `text`: the whole output text; `""` while there is none.
 * - `content`: the whole output as `effect/ai` response parts.
 * - `waitingFor`: what a run with status `waiting` waits for.
 * - `usage`, `finishReason`: present once the run completed, or was cut short.
 * - `continuationToken`: present until the run is over: poll or resume with it.
 * - `responseId`: the provider's last response of the run; none before one was opened.
 * - `session`: the conversation with this run in it; without it if it failed, was cancelled, or is not over yet.
 *
 * @since 0.1.0
 * @category models
 */
export const AgentResponse = Schema.Struct({
  status: RunStatus,
  waitingFor: Schema.optionalKey(Schema.Literals(["approval", "deferred", "limit"])),
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
 * What a provider shows of a response, or what was delivered of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Shown = Pick<ModelSnapshot, "finish" | "items" | "status">

/**
 * Reads a response of a turn as a provider shows it. A part that cannot be read is left out, and takes no other with it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSnapshot = (
  snapshot: Shown,
  run: Pick<AgentResponse, "runId" | "responseId" | "session" | "continuationToken" | "waitingFor">,
  turn = 0
): AgentResponse => {
  const content = snapshot.items.flatMap(({ lanes }, item) =>
    lanes.flatMap((lane) =>
      partsOf(lane, `${turn}:${item}:${lane.lane}`).flatMap((part) => Option.toArray(decodePart(part)))
    )
  )
  const finish = snapshot.finish === undefined ? Option.none() : decodeFinish(snapshot.finish)
  return {
    ...run,
    status: snapshot.status,
    text: content.map((part) => (part.type === "text" ? part.text : "")).join(""),
    content,
    usage: Option.map(finish, (part) => part.usage),
    finishReason: Option.map(finish, (part) =>
      part.reason === "stop" && content.some(({ type }) => type === "tool-call") ? "tool-calls" : part.reason
    )
  }
}

/** A lane as the parts of a response that did not stream. */
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
