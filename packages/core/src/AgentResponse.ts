/**
 * Responses: what a run has come to, all at once.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"
import { Response } from "effect/ai"
import type { ModelSnapshot, SnapshotLane } from "./BackgroundModel.ts"
import { ContinuationToken } from "./ContinuationToken.ts"
import { RunId, RunStatus } from "./Run.ts"
import { Session } from "./Session.ts"

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
  content: Schema.Array(Response.Part()),
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

const decodeContent = Schema.decodeUnknownOption(Schema.Array(Response.Part()))
const decodeFinish = Schema.decodeUnknownOption(Response.FinishPart)

/**
 * Reads a provider's snapshot as a response.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSnapshot = (
  snapshot: Pick<ModelSnapshot, "status" | "lanes" | "finish">,
  run: Pick<AgentResponse, "runId" | "responseId" | "session" | "continuationToken" | "waitingFor">
): AgentResponse => {
  const content = Option.getOrElse(decodeContent(snapshot.lanes.flatMap(whole)), () => [])
  const finish = snapshot.finish === undefined ? Option.none() : decodeFinish(snapshot.finish)
  return {
    ...run,
    status: snapshot.status,
    text: content.map((part) => (part.type === "text" ? part.text : "")).join(""),
    content,
    usage: Option.map(finish, (part) => part.usage),
    finishReason: Option.map(finish, (part) => part.reason)
  }
}

/** A lane's stream parts as the parts of a response that did not stream. */
const whole = ({ parts }: SnapshotLane): ReadonlyArray<unknown> => {
  const text = parts.map((part) => ("delta" in part ? part.delta : "")).join("")
  const first = parts[0]
  switch (first?.type) {
    case undefined:
    case "tool-params-start":
      return []
    case "text-start":
      return [{ ...first, type: "text", text }]
    case "reasoning-start":
      return [{ ...first, type: "reasoning", text }]
    default:
      return parts
  }
}
