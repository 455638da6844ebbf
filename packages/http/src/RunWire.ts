/**
 * What goes over the wire: runs, updates and results as clients see them.
 *
 * @since 0.1.0
 */
import { Run, RunRecord } from "@effect-baton/core"
import * as Schema from "effect/Schema"
import * as Prompt from "effect/ai/Prompt"
import * as Response from "effect/ai/Response"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { PendingCall } from "./RunCall.ts"
import { Problem } from "./RunProblem.ts"

/**
 * A conversation, sealed by the service: give it to the next run to continue the conversation.
 *
 * **Details**
 *
 * It names a response of the provider. It is signed like a continuation token, so that a client cannot name a response that
 * it was not given. It is not encrypted, unless your `TokenCodec` does that.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SealedSession = Schema.String.annotate({ description: "A conversation, sealed by the service." })

/**
 * A task for an agent.
 *
 * **Details**
 *
 * - `input`: a text, or messages of the user. The instructions are those of the agent.
 * - `mode`: `"start"`, the default, asks the provider before it answers. `"enqueue"` leaves that to a worker.
 * - `background`: only with `"enqueue"`: whether the run goes on at the provider while no process follows it.
 * - `labels`: names and values by which the run is found. `RunAccess` may add its own.
 * - `session`: the `session` of an earlier run.
 *
 * @since 0.1.0
 * @category schemas
 */
export const NewRun = Schema.Struct({
  agent: Schema.String,
  input: Schema.Union([Schema.String, Schema.NonEmptyArray(Prompt.UserMessage)]),
  mode: Schema.optionalKey(Schema.Literals(["start", "enqueue"])),
  background: Schema.optionalKey(Schema.Boolean),
  labels: Schema.optionalKey(RunRecord.Labels),
  session: Schema.optionalKey(SealedSession)
}).annotate({ identifier: "NewRun" })

/**
 * The type of `NewRun`.
 *
 * @since 0.1.0
 * @category models
 */
export type NewRun = typeof NewRun.Type

const fields = {
  runId: Schema.String,
  agent: Schema.String,
  status: Run.RunStatus,
  background: Schema.Boolean,
  labels: RunRecord.Labels,
  createdAt: Schema.Number,
  updatedAt: Schema.Number,
  url: Schema.String,
  updates: Schema.optionalKey(Schema.String)
}

/**
 * A run, without its input and output.
 *
 * **Details**
 *
 * - `url`: where the run is. `updates`: where its updates are; absent if they are not logged.
 * - `createdAt`, `updatedAt`: milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunInfo = Schema.Struct(fields).annotate({ identifier: "RunInfo" })

/**
 * The type of `RunInfo`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunInfo = typeof RunInfo.Type

const waiting = {
  waitingFor: Schema.optionalKey(Run.WaitingFor),
  limit: Schema.optionalKey(Run.LimitName),
  pending: Schema.optionalKey(Schema.Array(PendingCall))
}

/**
 * A run, and what it waits for.
 *
 * **Details**
 *
 * - `waitingFor`: what a run with status `waiting` waits for. `limit` is the limit that it has reached.
 * - `pending`: the tool calls that have no result yet, if there are any. They are content of the run: only callers get them
 *   that may `watch`, `approve` or `complete`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunView = Schema.Struct({ ...fields, ...waiting }).annotate({ identifier: "RunView" })

/**
 * The type of `RunView`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunView = typeof RunView.Type

/**
 * The answer to `mode: "start"`: the provider has accepted the run.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Started = Schema.Struct({ ...fields, mode: Schema.Literal("start") })
  .annotate({ identifier: "Started" })
  .pipe(HttpApiSchema.status(201))

/**
 * The answer to `mode: "enqueue"`: a worker will open the run.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Enqueued = Schema.Struct({ ...fields, mode: Schema.Literal("enqueue") })
  .annotate({ identifier: "Enqueued" })
  .pipe(HttpApiSchema.status(202))

/**
 * A page of runs. The last page has no `cursor`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunPage = Schema.Struct({
  runs: Schema.Array(RunInfo),
  cursor: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "RunPage" })

/**
 * The type of `RunPage`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunPage = typeof RunPage.Type

/**
 * The whole output of a run that ended well.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunResult = Schema.Struct({
  runId: Schema.String,
  status: Schema.Literals(["completed", "incomplete"]),
  text: Schema.String,
  content: Schema.Array(Response.Part()),
  usage: Schema.optionalKey(Response.Usage),
  finishReason: Schema.optionalKey(Response.FinishReason),
  session: SealedSession
}).annotate({ identifier: "RunResult" })

/**
 * The type of `RunResult`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunResult = typeof RunResult.Type

/**
 * The answer if the run is still under way: ask again after the time of the header `Retry-After`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const NotYet = Schema.Struct({ ...fields, ...waiting })
  .annotate({ identifier: "NotYet" })
  .pipe(HttpApiSchema.status(202))

/**
 * An update of a run. Its position is the `id` of its event.
 *
 * **Details**
 *
 * The fields are those of `AgentUpdate`. The provider's event (`raw`), the `metadata` of parts, and details of its HTTP
 * responses are not sent.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunUpdate = Schema.Struct({
  text: Schema.String,
  status: Run.RunStatus,
  part: Schema.optionalKey(Schema.toCodecJson(Response.StreamPart())),
  turn: Schema.optionalKey(Schema.Natural),
  waitingFor: Schema.optionalKey(Run.WaitingFor),
  limit: Schema.optionalKey(Run.LimitName),
  retried: Schema.optionalKey(Schema.Boolean),
  session: Schema.optionalKey(SealedSession)
}).annotate({ identifier: "RunUpdate" })

/**
 * The type of `RunUpdate`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunUpdate = typeof RunUpdate.Type

/**
 * Says that nothing more comes: the run has ended, or `problem` says why its updates cannot be read. Close the connection.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunEnd = Schema.Struct({
  status: Run.RunStatus,
  problem: Schema.optionalKey(Problem)
}).annotate({ identifier: "RunEnd" })

/**
 * Says that this connection ends, and the run goes on: come again with `after`, which is absent if nothing was sent.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RetryLater = Schema.Struct({
  reason: Schema.Literals(["slow", "shutdown", "trouble"]),
  after: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "RetryLater" })

const event = <const Name extends string, Data extends Schema.Top>(name: Name, data: Data) =>
  Schema.Struct({ id: Schema.optional(Schema.String), event: Schema.Literal(name), data: Schema.fromJsonString(data) })

/**
 * The events of a run's updates.
 *
 * **Details**
 *
 * - `update`: an update. Its `id` is `<offset>.<epoch>`.
 * - `reset`: forget all updates. They come again from the first, as the log lost them, and was written again.
 * - `retry-later`: the connection ends, and the run goes on.
 * - `end`: nothing more comes.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunEvent = Schema.Union([
  event("update", RunUpdate),
  event("reset", Schema.Struct({})),
  event("retry-later", RetryLater),
  event("end", RunEnd)
])

/**
 * The type of `RunEvent`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunEvent = typeof RunEvent.Type
