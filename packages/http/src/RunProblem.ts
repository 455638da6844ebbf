/**
 * Problem documents (RFC 9457): what the endpoints answer if they do not do what they were asked.
 *
 * @since 0.1.0
 */
import { Run } from "@effect-baton/core"
import * as Schema from "effect/Schema"
import * as HttpApiError from "effect/http-api/HttpApiError"
import { PendingCall } from "./RunCall.ts"

/**
 * The beginning of the `type` of each problem. The rest is the name of a section in the documentation.
 *
 * @since 0.1.0
 * @category models
 */
export const types = "https://github.com/effect-baton/baton/blob/main/docs/http.md#"

/**
 * The request cannot be carried out as it is: an unknown agent, an empty input, an id that is none.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()("InvalidRequest", {
  type: `${types}invalid-request`,
  status: 400,
  title: "The request cannot be carried out as it is"
}) {}

/**
 * A continuation token is not accepted: `kind` says why. A token of another run has the kind `other-run`.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenRefused extends HttpApiError.Problem<TokenRefused>()(
  "TokenRefused",
  { type: `${types}token-refused`, status: 400, title: "The continuation token is not accepted" },
  { kind: Schema.String }
) {}

/**
 * The request says nothing of its caller, or nothing that is accepted.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()("Unauthenticated", {
  type: `${types}unauthenticated`,
  status: 401,
  title: "Say who you are"
}) {}

/**
 * The caller may not do this. About a run that the caller may not read the answer is `RunNotFound` instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class Forbidden extends HttpApiError.Problem<Forbidden>()("Forbidden", {
  type: `${types}forbidden`,
  status: 403,
  title: "You may not do this"
}) {}

/**
 * There is no such run, or the caller may not read it.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotFound extends HttpApiError.Problem<RunNotFound>()("RunNotFound", {
  type: `${types}run-not-found`,
  status: 404,
  title: "There is no such run"
}) {}

/**
 * The run has no such tool call, or the call does not wait for this answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallNotFound extends HttpApiError.Problem<CallNotFound>()("CallNotFound", {
  type: `${types}call-not-found`,
  status: 404,
  title: "The run has no such call that waits for this"
}) {}

/**
 * The call has another answer already, which counts. `at` is when it was given: milliseconds since the epoch.
 *
 * **Details**
 *
 * It does not say who gave that answer: the name may be that of a worker, or of another user. The record of the run has it.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallAnswered extends HttpApiError.Problem<CallAnswered>()(
  "CallAnswered",
  { type: `${types}call-answered`, status: 409, title: "The call has another answer already" },
  { answer: Schema.Literals(["approved", "rejected", "completed"]), at: Schema.Number }
) {}

/**
 * The run has ended with this status, so that nothing about it can be decided any more.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunOver extends HttpApiError.Problem<RunOver>()(
  "RunOver",
  { type: `${types}run-over`, status: 409, title: "The run has ended" },
  { ended: Run.RunStatus }
) {}

/**
 * The `Idempotency-Key` is in use for another task: another agent, input or session.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunConflict extends HttpApiError.Problem<RunConflict>()("RunConflict", {
  type: `${types}run-conflict`,
  status: 409,
  title: "The Idempotency-Key is in use for another task"
}) {}

/**
 * The run has no update log, so its updates have no ids, and cannot be sent as events.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotLogged extends HttpApiError.Problem<RunNotLogged>()("RunNotLogged", {
  type: `${types}run-not-logged`,
  status: 409,
  title: "The updates of this run are not logged"
}) {}

/**
 * A worker holds the run, and this request needs it free. Try again later.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunBusy extends HttpApiError.Problem<RunBusy>()("RunBusy", {
  type: `${types}run-busy`,
  status: 409,
  title: "Another worker holds the run"
}) {}

/**
 * The run waits for its caller: for an approval, for the result of a tool call, or because it reached a limit.
 * `pending` are the tool calls that have no result yet.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunWaiting extends HttpApiError.Problem<RunWaiting>()(
  "RunWaiting",
  { type: `${types}run-waiting`, status: 409, title: "The run waits for its caller" },
  {
    waitingFor: Run.WaitingFor,
    limit: Schema.optionalKey(Run.LimitName),
    pending: Schema.optionalKey(Schema.Array(PendingCall))
  }
) {}

/**
 * The run does not go on by itself: an operator must look at it.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunStuck extends HttpApiError.Problem<RunStuck>()("RunStuck", {
  type: `${types}run-stuck`,
  status: 409,
  title: "The run does not go on by itself"
}) {}

/**
 * The run failed, so it has no result.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunFailed extends HttpApiError.Problem<RunFailed>()("RunFailed", {
  type: `${types}run-failed`,
  status: 409,
  title: "The run failed"
}) {}

/**
 * The run was cancelled, so it has no result.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunCancelled extends HttpApiError.Problem<RunCancelled>()("RunCancelled", {
  type: `${types}run-cancelled`,
  status: 409,
  title: "The run was cancelled"
}) {}

/**
 * The provider no longer has the output of the run.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunExpired extends HttpApiError.Problem<RunExpired>()("RunExpired", {
  type: `${types}run-expired`,
  status: 410,
  title: "The output of the run is no longer kept"
}) {}

/**
 * The log begins at offset `first`, as older updates were removed. Read on with `after=<first>`, or read the result.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunTruncated extends HttpApiError.Problem<RunTruncated>()(
  "RunTruncated",
  { type: `${types}run-truncated`, status: 410, title: "Older updates of the run were removed" },
  { first: Schema.Number }
) {}

/**
 * The body is larger than this service takes: `limit` bytes.
 *
 * @since 0.1.0
 * @category errors
 */
export class InputTooLarge extends HttpApiError.Problem<InputTooLarge>()(
  "InputTooLarge",
  { type: `${types}input-too-large`, status: 413, title: "The body is too large" },
  { limit: Schema.Number }
) {}

/**
 * This process serves as many viewers as it may. Try again later.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyViewers extends HttpApiError.Problem<TooManyViewers>()("TooManyViewers", {
  type: `${types}too-many-viewers`,
  status: 429,
  title: "Too many viewers are connected"
}) {}

/**
 * The service is not set up for this, or its data cannot be read. The log of the service says more.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerFault extends HttpApiError.Problem<ServerFault>()("ServerFault", {
  type: `${types}server-fault`,
  status: 500,
  title: "The service cannot do this"
}) {}

/**
 * The provider of the model refuses the request.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProviderRefused extends HttpApiError.Problem<ProviderRefused>()("ProviderRefused", {
  type: `${types}provider-refused`,
  status: 502,
  title: "The provider of the model refuses the request"
}) {}

/**
 * Something that the service needs is away for now. Try again later.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unavailable extends HttpApiError.Problem<Unavailable>()("Unavailable", {
  type: `${types}unavailable`,
  status: 503,
  title: "The service is not available for now"
}) {}

/**
 * A problem as it stands in an event, where no response can carry it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Problem = Schema.Struct({
  type: Schema.String,
  title: Schema.String,
  status: Schema.Number,
  detail: Schema.optionalKey(Schema.String)
})

/**
 * The type of `Problem`.
 *
 * @since 0.1.0
 * @category models
 */
export type Problem = typeof Problem.Type
