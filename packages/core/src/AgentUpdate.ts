/**
 * Updates: the elements of a run's stream.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentError } from "./AgentError.ts"
import { ContinuationToken } from "./ContinuationToken.ts"
import { LimitName, RunId, RunStatus, WaitingFor } from "./Run.ts"
import { Session } from "./Session.ts"

/**
 * One element of a run's stream: an `effect/ai` stream part, or a change of status, with its position.
 *
 * **Details**
 *
 * - `part`: absent if only the status changed, or if the provider's event has no part; `raw` then has the event.
 * - `text`: the text that this update adds, or `""`.
 * - `status`: the status of the run after this update.
 * - `turn`: the number of the turn, from 0, on the last update of its response and on the results and approvals of its tool
 *   calls.
 * - `waitingFor`: what a run with status `waiting` waits for. `limit` is the limit that it has reached.
 * - `retried`: true on the first update after `Agent.retry`: the updates of the turn that failed are followed by those of a
 *   new response.
 * - `session`: on the last update of a run that is completed or incomplete: the conversation, to be given to the next run.
 *   What the run used is in the `part` of the same update, which is a `finish` part.
 * - `sequenceNumber`: the provider's number of the event; absent in updates from polling, and in runs with an update log.
 * - `continuationToken`: the position right after this update. In a run with an update log each update has one, and its
 *   `offset` and `epoch` name the update in all processes. Without a log, the last update has none, nor do those of a
 *   foreground run. A token is made only when you read it: compare updates by `Equal.equals`.
 * - `origin`: `"live"` from the request that opened the response, `"replay"` from a later attachment to its stream (which
 *   goes on live after it has caught up: the provider does not mark where), `"snapshot"` from polling, `"journal"` for
 *   results and approvals of tool calls, and for the update that says that the run waits. An update from an
 *   update log has the origin that it had for the worker that wrote it.
 * - `raw`: the provider's event as it came; absent in runs with an update log.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AgentUpdate = Schema.Struct({
  _tag: Schema.Literal("Update"),
  part: Schema.optionalKey(Response.StreamPart()),
  text: Schema.String,
  status: RunStatus,
  turn: Schema.optionalKey(Schema.Natural),
  waitingFor: Schema.optionalKey(WaitingFor),
  limit: Schema.optionalKey(LimitName),
  retried: Schema.optionalKey(Schema.Boolean),
  session: Schema.optionalKey(Session),
  runId: RunId,
  responseId: Schema.String,
  sequenceNumber: Schema.optionalKey(Schema.Int),
  continuationToken: Schema.OptionFromNullOr(ContinuationToken),
  origin: Schema.Literals(["live", "replay", "snapshot", "journal"]),
  raw: Schema.optionalKey(Schema.Unknown)
})

/**
 * The type of `AgentUpdate`.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentUpdate = typeof AgentUpdate.Type

/**
 * An element of a stream with `acknowledge: "manual"`: an update, and the effect that acknowledges it.
 *
 * **When to use**
 *
 * Use it with every operator that pulls ahead of its consumer: `buffer`, `grouped`, `mapEffect` with concurrency, `merge`,
 * …
 *
 * **Details**
 *
 * Acknowledge each update, in any order: the position that is written lies after the longest prefix of which all updates
 * are acknowledged. After the stream has ended, `acknowledge` takes the run's lease again to write the position. It fails
 * with `LeaseLost` if this process lost the run's lease, with `RunLeased` if another worker holds the run, and with
 * `StoreFailed`.
 *
 * **Example** (Acknowledging four updates at a time)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Console, Effect, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Agent.stream(analyst, { input: "How was October?", acknowledge: "manual" }).pipe(
 *   Stream.mapEffect(({ acknowledge, update }) => Effect.andThen(Console.log(update.text), acknowledge), {
 *     concurrency: 4
 *   }),
 *   Stream.runDrain
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  readonly update: AgentUpdate
  readonly acknowledge: Effect.Effect<void, AgentError>
}
