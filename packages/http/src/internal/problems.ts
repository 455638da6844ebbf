import type { AgentError, AgentErrorReason } from "@effect-baton/core/AgentError"
import type { RunStatus } from "@effect-baton/core/Run"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Problem from "../RunProblem.ts"

/** The problems of reasons. */
export type OfReason =
  | Problem.InvalidRequest
  | Problem.TokenRefused
  | Problem.RunNotFound
  | Problem.CallNotFound
  | Problem.CallAnswered
  | Problem.RunOver
  | Problem.RunConflict
  | Problem.RunBusy
  | Problem.RunWaiting
  | Problem.RunStuck
  | Problem.RunFailed
  | Problem.RunCancelled
  | Problem.RunExpired
  | Problem.RunTruncated
  | Problem.InputTooLarge
  | Problem.ServerFault
  | Problem.ProviderRefused
  | Problem.Unavailable

/** Seconds until a caller may try again what can succeed later. */
export const patience = 5

const unavailable = (detail: string) => new Problem.Unavailable({ detail })
const fault = (detail: string) => new Problem.ServerFault({ detail })
const storage = ({ isRetryable }: { readonly isRetryable: boolean }) =>
  isRetryable ? unavailable("The storage of runs is away. Try again.") : fault("The storage of runs cannot be used.")

/**
 * The table from reasons to problems. The messages of reasons are for operators: they name workers, places, and what the
 * provider said. So nothing of a reason goes into a problem, but numbers, kinds, and what is wrong with an argument.
 */
const table: {
  readonly [Tag in AgentErrorReason["_tag"]]: (reason: Extract<AgentErrorReason, { readonly _tag: Tag }>) => OfReason
} = {
  InvalidInput: ({ description }) => new Problem.InvalidRequest({ detail: description }),
  BackgroundUnsupported: () =>
    new Problem.InvalidRequest({ detail: "The model of this agent cannot run in the background." }),
  InputTooLarge: ({ limit }) => new Problem.InputTooLarge({ limit }),
  TokenInvalid: ({ kind }) => new Problem.TokenRefused({ kind }),
  RunNotFound: () => new Problem.RunNotFound(),
  RunInputMismatch: () => new Problem.RunConflict(),
  RunLeased: () => new Problem.RunBusy(),
  ToolFailed: () => new Problem.RunFailed({ detail: "A tool failed, and its failures end the run." }),
  ToolDefect: () => new Problem.RunFailed({ detail: "The handler of a tool has a bug." }),
  ToolMissing: () => new Problem.RunStuck({ detail: "The run asks for a tool that its workers do not have." }),
  ToolNotFound: () => new Problem.CallNotFound(),
  // Who answered may be a worker, or another user: the record has the name.
  AlreadyAnswered: ({ answer, at }) => new Problem.CallAnswered({ answer, at }),
  RunOver: ({ status }) => new Problem.RunOver({ ended: status }),
  RunWaiting: ({ limit, waitingFor }) =>
    new Problem.RunWaiting({ waitingFor, ...(limit === undefined ? {} : { limit }) }),
  RunNotOpened: () => new Problem.RunStuck({ detail: "The run was recorded, but never opened." }),
  Unconfirmed: () => new Problem.RunStuck({ detail: "A request for this run was never answered by the provider." }),
  AgentChanged: () => new Problem.RunStuck({ detail: "Another version of the agent started the run." }),
  RunDiverged: () => new Problem.RunStuck({ detail: "The output contradicts what was delivered before." }),
  LogFull: () => new Problem.RunStuck({ detail: "The update log of the run is full." }),
  RunFailed: () => new Problem.RunFailed({ detail: "The provider ended the run as failed." }),
  RunInterrupted: () => new Problem.RunFailed({ detail: "The run ended together with the process that followed it." }),
  RunCancelled: () => new Problem.RunCancelled(),
  RunExpired: () => new Problem.RunExpired(),
  LogTruncated: ({ first }) => new Problem.RunTruncated({ first }),
  LogNotFound: () => new Problem.RunExpired({ detail: "The updates of the run are no longer kept." }),
  LogMissing: () => fault("This process has no update log."),
  StoreFailed: storage,
  LogFailed: storage,
  LeaseLost: () => unavailable("The run changed its worker. Try again."),
  RunStalled: () => unavailable("The run makes no progress."),
  AiError: ({ isRetryable }) =>
    isRetryable ? unavailable("The provider of the model is away. Try again.") : new Problem.ProviderRefused()
}

/** The problem of a reason. */
export const ofReason = (reason: AgentErrorReason): OfReason => table[reason._tag](reason as never)

/** The status of a run that failed with this reason. Its record may not say so yet, as the log of a run is ended first. */
export const statusOf = ({ _tag }: AgentErrorReason): RunStatus | undefined => {
  switch (_tag) {
    case "RunCancelled":
      return "cancelled"
    case "RunExpired":
      return "expired"
    case "RunFailed":
    case "RunInterrupted":
    case "ToolFailed":
    case "ToolDefect":
      return "failed"
    default:
      return undefined
  }
}

/** What a problem says in an event. */
export const plain = ({ detail, status, title, type }: OfReason): Problem.Problem => ({
  type,
  title,
  status,
  ...(detail === undefined ? {} : { detail })
})

/** Adds a header to the response of the current request, whatever that will be. */
export const header = (name: string, value: string): Effect.Effect<void, never, HttpServerRequest> =>
  HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.succeed(HttpServerResponse.setHeader(response, name, value))
  )

/** Says when the caller may try again. */
export const retryAfter = (seconds = patience) => header("retry-after", String(seconds))

/** Fails with the problem of an error. The log has the whole error if the caller cannot help it. */
const tell = Effect.fnUntraced(function* (error: AgentError): Effect.fn.Return<never, OfReason, HttpServerRequest> {
  const problem = ofReason(error.reason)
  if (problem.status >= 500) yield* Effect.logError(error.message, Cause.fail(error))
  if (error.isRetryable) yield* retryAfter()
  return yield* Effect.fail(problem)
})

type Of<Tag> = Extract<OfReason, { readonly _tag: Tag }>

const among =
  <const Tags extends ReadonlyArray<OfReason["_tag"]>>(tags: Tags) =>
  (problem: OfReason): problem is Of<Tags[number]> =>
    tags.includes(problem._tag)

/** Fails with these problems alone: an endpoint declares those that its verb has. */
const only =
  <Told extends OfReason>(isOne: (problem: OfReason) => problem is Told, otherwise: string) =>
  (error: AgentError) =>
    Effect.catch(tell(error), (problem) => Effect.fail(isOne(problem) ? problem : fault(otherwise)))

const reading = ["RunNotFound", "InvalidRequest", "Unavailable", "ServerFault"] as const
const isOfAnswer = among(["CallNotFound", "CallAnswered", "RunOver"])

/** Fails with problems of verbs that start, end, or wait for a run. */
export const refuse = only(
  (problem): problem is Exclude<OfReason, Of<"CallNotFound" | "CallAnswered" | "RunOver">> => !isOfAnswer(problem),
  "The run cannot go on."
)

/** Fails with problems of reading alone: a call that only reads has no others. */
export const refuseRead = only(among(reading), "The run cannot be read.")

/** Fails with problems of answers to tool calls. */
export const refuseAnswer = only(
  among([...reading, "CallNotFound", "CallAnswered", "RunOver"]),
  "The answer cannot be recorded."
)

/** Fails with problems of new limits. */
export const refuseRaise = only(among([...reading, "RunOver"]), "The limits cannot be recorded.")
