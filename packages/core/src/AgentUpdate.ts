/**
 * Updates: the elements of a run's stream.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Response } from "effect/ai"
import { ContinuationToken } from "./ContinuationToken.ts"
import { RunId, RunStatus } from "./Run.ts"

/**
 * One element of a run's stream: an `effect/ai` stream part, or a change of status, with its position.
 *
 * **Details**
 *
 * - `part`: absent where only the status changed or the provider said something without a part; `raw` has it then.
 * - `text`: the text this update adds, or `""`.
 * - `status`: where the run stands after this update.
 * - `sequenceNumber`: the provider's number of the event; absent in updates from polling.
 * - `continuationToken`: the position right after this update; none on the last one, and none in a foreground run.
 * - `origin`: `"live"` from the request that opened the response, `"replay"` from a later attachment to its stream (which
 *   goes on live once it caught up: the provider does not mark where), `"snapshot"` from polling.
 * - `raw`: the provider's event as it came.
 *
 * @since 0.1.0
 * @category models
 */
export const AgentUpdate = Schema.Struct({
  part: Schema.optionalKey(Response.StreamPart()),
  text: Schema.String,
  status: RunStatus,
  runId: RunId,
  responseId: Schema.String,
  sequenceNumber: Schema.optionalKey(Schema.Int),
  continuationToken: Schema.OptionFromNullOr(ContinuationToken),
  origin: Schema.Literals(["live", "replay", "snapshot"]),
  raw: Schema.optionalKey(Schema.Unknown)
})

/**
 * The type of `AgentUpdate`.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentUpdate = typeof AgentUpdate.Type
