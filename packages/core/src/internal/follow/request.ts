import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/ai/AiError"
import { CreateUnconfirmed, type ModelEvent, type ModelRequest } from "../../BackgroundModel.ts"
import type { RunStatus } from "../../Run.ts"
import { Disconnected } from "../telemetry/telemetry.ts"
import { forkHere, within } from "./attachment.ts"
import type { Connection, Events, Following } from "./following.ts"

// Sends the request that opens a response, once, and reads until the provider has named it.

type Failure = AiError.AiError | CreateUnconfirmed

/** The outcome of a request. */
export type Outcome =
  | {
      readonly _tag: "Named"
      readonly responseId: string
      readonly status: RunStatus
      /** Whether the response runs in the background; absent if the provider does not say. */
      readonly background: boolean | undefined
      readonly connection: Connection | undefined
    }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError }
  | { readonly _tag: "Unknown"; readonly error?: AiError.AiError }

const failed = (error: Failure): Outcome =>
  error._tag === "CreateUnconfirmed" ? { _tag: "Unknown", error: error.error } : { _tag: "Refused", error }

const failureIn = (cause: Cause.Cause<Failure | Cause.Done>): Failure | undefined => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail" && (reason.error._tag === "AiError" || reason.error._tag === "CreateUnconfirmed")) {
      return reason.error
    }
  }
  return undefined
}

/** Closes a connection that named no response; its span ends as the request did. */
const exitOf = (outcome: Exclude<Outcome, { readonly _tag: "Named" }>): Exit.Exit<void, unknown> => {
  if (outcome._tag === "Refused") return Exit.fail(outcome.error)
  const { error } = outcome
  return Exit.fail(error === undefined ? new Disconnected() : new CreateUnconfirmed({ error }))
}

/** Reads a body until an event names the response. */
const untilNamed = Effect.fnUntraced(function* (
  { policy, telemetry }: Following,
  events: Events,
  scope: Scope.Closeable
): Effect.fn.Return<Outcome> {
  const first: Array<ModelEvent> = []
  while (true) {
    const read = yield* (events as Effect.Effect<ReadonlyArray<ModelEvent>, Failure | Cause.Done>).pipe(
      Effect.timeoutOption(policy.idleTimeout),
      Effect.matchCause({
        onSuccess: (some) => ({ events: Option.getOrUndefined(some), error: undefined }),
        onFailure: (cause) => ({ events: undefined, error: failureIn(cause) })
      })
    )
    if (read.error !== undefined) {
      // A connection that broke after the answer had begun is no refusal.
      return first.length > 0 && read.error._tag === "AiError" && read.error.reason._tag === "NetworkError"
        ? { _tag: "Unknown", error: read.error }
        : failed(read.error)
    }
    // The connection ended, or was silent for too long.
    if (read.events === undefined) return { _tag: "Unknown" }
    first.push(...read.events)
    const name = read.events.find((event) => event.responseId !== undefined)
    if (name?.responseId === undefined) continue
    telemetry.named(name.responseId)
    return {
      _tag: "Named",
      responseId: name.responseId,
      status: first.findLast(({ status }) => status === "in_progress") === undefined ? "queued" : "in_progress",
      background: name.background,
      connection: { scope, first, rest: events, fork: yield* forkHere }
    }
  }
})

/** Sends the request, and returns its outcome, at the latest when a run would count as stalled. */
export const send = Effect.fnUntraced(function* (
  following: Following,
  request: ModelRequest,
  streamed: boolean
): Effect.fn.Return<Outcome> {
  const { model, policy, telemetry } = following
  const scope = yield* Scope.fork(following.scope)
  const span = yield* telemetry
    .attached({ agent: request.agent, runId: request.runId, how: "create", sequenceNumber: -1 })
    .pipe(Scope.provide(scope))

  const submitted = Effect.suspend(() => model.submit(request)).pipe(
    within(span),
    Effect.match({
      onFailure: failed,
      onSuccess: ({ background, responseId, status }): Outcome => {
        telemetry.named(responseId)
        return { _tag: "Named", responseId, status, background, connection: undefined }
      }
    })
  )
  const opened = Stream.toPull(Stream.suspend(() => model.create(request))).pipe(
    Scope.provide(scope),
    Effect.flatMap((pull) => untilNamed(following, pull, scope)),
    within(span)
  )
  const outcome = yield* (streamed ? opened : submitted).pipe(
    // Keepalives alone must not keep a request waiting for ever.
    Effect.timeoutOrElse({
      duration: Duration.min(policy.maxQueued, Duration.min(policy.maxSilence, policy.maxFollowed)),
      orElse: () => Effect.succeed<Outcome>({ _tag: "Unknown" })
    }),
    // After a defect of the model, the request may have been sent.
    Effect.catchDefect((defect) =>
      Effect.as(
        Effect.logError(
          "baton: a model died while it opened a response, which is a bug in the model; the response may have been bought",
          defect
        ),
        {
          _tag: "Unknown"
        } as Outcome
      )
    )
  )
  if (outcome._tag !== "Named") yield* Scope.close(scope, exitOf(outcome))
  else if (outcome.connection === undefined) yield* Scope.close(scope, Exit.void)
  return outcome
})
