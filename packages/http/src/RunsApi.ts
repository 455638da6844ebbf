/**
 * The endpoints of runs, as a group of `effect/http-api`: the server, the OpenAPI document and the typed client are made of
 * it.
 *
 * @since 0.1.0
 */
import { Run } from "@effect-baton/core"
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Authentication } from "./RunAccess.ts"
import * as Call from "./RunCall.ts"
import * as Problem from "./RunProblem.ts"
import * as Wire from "./RunWire.ts"

/**
 * The middleware that limits the bodies of requests. `RunsServer.layer` has it.
 *
 * @since 0.1.0
 * @category middleware
 */
export class BodyLimit extends HttpApiMiddleware.Service<BodyLimit>()("@effect-baton/http/RunsApi/BodyLimit", {
  error: Problem.InputTooLarge
}) {}

const params = { runId: Run.RunId }

const natural = Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))
const callParams = { ...params, turn: natural, callId: Schema.NonEmptyString }

const reading = [
  Problem.InvalidRequest,
  Problem.Forbidden,
  Problem.RunNotFound,
  Problem.ServerFault,
  Problem.Unavailable
] as const

const deciding = [...reading, Problem.RunOver] as const

const answering = [...deciding, Problem.CallNotFound, Problem.CallAnswered] as const

const advancing = [
  ...reading,
  Problem.RunBusy,
  Problem.RunWaiting,
  Problem.RunStuck,
  Problem.RunFailed,
  Problem.RunCancelled,
  Problem.RunExpired,
  Problem.RunTruncated,
  Problem.RunConflict,
  Problem.TokenRefused,
  Problem.InputTooLarge,
  Problem.ProviderRefused
] as const

const summary = (text: string, description: string) => OpenApi.annotations({ summary: text, description })

const start = HttpApiEndpoint.post("start", "/runs", {
  headers: { "idempotency-key": Schema.optionalKey(Run.RunId) },
  payload: Wire.NewRun,
  success: [Wire.Started, Wire.Enqueued],
  error: advancing
})
  .middleware(BodyLimit)
  .annotateMerge(
    summary(
      "Start a run",
      "The header Idempotency-Key is the id of the run: the same key with the same task can be sent again, and starts the " +
        "run once. Without it each request starts a run."
    )
  )

const list = HttpApiEndpoint.get("list", "/runs", {
  query: {
    agent: Schema.optionalKey(Schema.String),
    status: Schema.optionalKey(Schema.Array(Run.RunStatus)),
    label: Schema.optionalKey(Schema.Array(Schema.String)),
    cursor: Schema.optionalKey(Schema.String),
    limit: Schema.optionalKey(
      Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 100 }))
    )
  },
  success: Wire.RunPage,
  error: reading
}).annotateMerge(
  summary(
    "List runs",
    "The runs that the caller may read, the oldest first. `label` is `name=value`; `status` and `label` can be repeated."
  )
)

const state = HttpApiEndpoint.get("state", "/runs/:runId", {
  params,
  success: Wire.RunView,
  error: reading
}).annotateMerge(
  summary(
    "Read a run",
    "The status of a run, and its tool calls that have no result yet, if the caller may see them. Without its input and output."
  )
)

const updates = HttpApiEndpoint.get("updates", "/runs/:runId/updates", {
  params,
  headers: { "last-event-id": Schema.optionalKey(Schema.String) },
  query: { after: Schema.optionalKey(Schema.String), token: Schema.optionalKey(Schema.String) },
  success: [HttpApiSchema.StreamSse({ events: Wire.RunEvent }), HttpApiSchema.NoContent],
  error: [...reading, Problem.TokenRefused, Problem.RunNotLogged, Problem.RunTruncated, Problem.TooManyViewers]
}).annotateMerge(
  summary(
    "Watch a run",
    "Server-Sent Events: each update with its id, to the end of the run. It begins after the update that `Last-Event-ID`, " +
      "`after` (the id of an event) or `token` (a continuation token) names, else with the first. 204: nothing comes any more."
  )
)

const result = HttpApiEndpoint.get("result", "/runs/:runId/result", {
  params,
  success: [Wire.RunResult, Wire.NotYet],
  error: advancing
}).annotateMerge(
  summary("Read the result", "Waits for the end of the run for a while. 202: the run is still under way, ask again.")
)

const cancel = HttpApiEndpoint.post("cancel", "/runs/:runId/cancel", {
  params,
  success: Wire.RunInfo,
  error: advancing
}).annotateMerge(
  summary("Cancel a run", "Records the cancel, and asks the provider. The run may still complete. It can be repeated.")
)

const approve = HttpApiEndpoint.post("approve", "/runs/:runId/turns/:turn/calls/:callId/approve", {
  params: callParams,
  success: Wire.RunInfo,
  error: answering
}).annotateMerge(
  summary("Approve a tool call", "A worker then runs the call. It can be repeated. 409: it was rejected before.")
)

const reject = HttpApiEndpoint.post("reject", "/runs/:runId/turns/:turn/calls/:callId/reject", {
  params: callParams,
  payload: Call.Rejection,
  success: Wire.RunInfo,
  error: answering
})
  .middleware(BodyLimit)
  .annotateMerge(
    summary(
      "Reject a tool call",
      "The call does not run, and the model is told the reason. It can be repeated; the first reason counts. 409: it was " +
        "approved before."
    )
  )

const complete = HttpApiEndpoint.post("complete", "/runs/:runId/turns/:turn/calls/:callId/complete", {
  params: callParams,
  payload: Call.Answer,
  success: Wire.RunInfo,
  error: [...answering, Problem.RunStuck]
})
  .middleware(BodyLimit)
  .annotateMerge(
    summary(
      "Give the result of a tool call",
      "The result, or the failure, in JSON as the tool's schema encodes it. The same result can be sent again. 409: the call " +
        "has another result."
    )
  )

const raise = HttpApiEndpoint.post("raise", "/runs/:runId/raise", {
  params,
  payload: Call.Limits,
  success: Wire.RunInfo,
  error: deciding
})
  .middleware(BodyLimit)
  .annotateMerge(summary("Raise the limits of a run", "Each limit is the new total. A lower one changes nothing."))

/**
 * The endpoints of runs.
 *
 * **When to use**
 *
 * Add it to an `HttpApi` of your own, below a prefix of your choice. `RunsServer.layer` has the handlers.
 *
 * **Details**
 *
 * | endpoint | does |
 * | --- | --- |
 * | `POST /runs` | starts a run, or leaves it to a worker; the header `Idempotency-Key` is its id |
 * | `GET /runs` | lists the runs that the caller may read |
 * | `GET /runs/:runId` | reads the status of a run |
 * | `GET /runs/:runId/updates` | sends the updates of a run as Server-Sent Events |
 * | `GET /runs/:runId/result` | waits for the end of a run, and reads its whole output |
 * | `POST /runs/:runId/cancel` | cancels a run |
 * | `POST /runs/:runId/turns/:turn/calls/:callId/approve` | approves a tool call |
 * | `POST /runs/:runId/turns/:turn/calls/:callId/reject` | rejects a tool call |
 * | `POST /runs/:runId/turns/:turn/calls/:callId/complete` | gives the result of a tool call |
 * | `POST /runs/:runId/raise` | raises the limits of a run |
 *
 * **Example** (An API with runs below `/api`, and its OpenAPI document)
 *
 * ```ts
 * import { RunsApi } from "@effect-baton/http"
 * import { HttpApi, OpenApi } from "effect/http-api"
 *
 * const Api = HttpApi.make("reports").add(RunsApi.group.prefix("/api"))
 *
 * Object.keys(OpenApi.fromApi(Api).paths)[0] // => "/api/runs"
 * ```
 *
 * @since 0.1.0
 * @category apis
 */
export const group = HttpApiGroup.make("runs")
  .add(start, list, state, updates, result, cancel, approve, reject, complete, raise)
  .middleware(HttpApiMiddleware.ProblemDetails)
  .middleware(Authentication)
  .annotateMerge(OpenApi.annotations({ title: "Runs", description: "Runs of agents that outlive their viewers." }))
