import { CreateUnconfirmed, type ModelEvent, type ModelSnapshot } from "@effect-baton/core/BackgroundModel"
import { isOver } from "@effect-baton/core/Run"
import type * as Array from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import type { Reading } from "./body.ts"
import { saidIn } from "./events.ts"
import * as Failures from "./failures.ts"
import { recordOf } from "./fields.ts"
import { isRefusal, reasonOf } from "./reasons.ts"
import { decode, module } from "./snapshot.ts"

/**
 * Whether it is certain that a failed create request bought nothing.
 *
 * The provider refuses a request with a status below 500. A gateway in between may have passed the request on before it
 * gave up: after 303, 408, 500, 502, 504 and a 503 without a reason, nobody knows. An answer whose error code is a refusal
 * is a refusal under any status, for example 503 `server_is_overloaded`.
 */
const boughtNothing = ({ error, kind }: Failures.RequestFailure): boolean => {
  if (kind !== "answered") return kind === "unsent"
  const { status = 500 } = error ?? {}
  return (status < 500 && status !== 408 && status !== 303) || (error !== undefined && isRefusal(error))
}

/** The error of a create request that may have been accepted. */
const unconfirmed = (error: AiError.AiError) => new CreateUnconfirmed({ error })

/** The error of a create request that failed before its body was read. */
export const failed = (failure: Failures.RequestFailure, method: string): AiError.AiError | CreateUnconfirmed => {
  const error = AiError.make({ module, method, reason: failure.reason })
  return boughtNothing(failure) ? error : unconfirmed(error)
}

// The provider may refuse in the body's first event instead of in its status.
const refusalIn = (
  events: ReadonlyArray<ModelEvent>,
  reading: Reading
): AiError.AiError | CreateUnconfirmed | undefined => {
  const event = events.findLast(({ error, terminal }) => (error ?? terminal?.error) !== undefined)
  const error = event?.error ?? event?.terminal?.error
  if (error === undefined) return undefined
  const raw = recordOf(event?.raw)
  const said = saidIn(event?.error === undefined ? recordOf(raw["response"]) : raw, reading.redact)
  return isRefusal(said) ? error : unconfirmed(error)
}

// A response that has ended exists, even if the server gives no id. A failed one without an id may be a refusal.
const names = ({ responseId, terminal }: ModelEvent): boolean =>
  responseId !== undefined || (terminal !== undefined && terminal.status !== "failed")

type Events = Array.NonEmptyReadonlyArray<ModelEvent>

/** Until an event names the response, the end or the failure of the body is a `CreateUnconfirmed`, or the refusal it told. */
export const untilNamed = (
  pull: Pull.Pull<Events, AiError.AiError>,
  reading: Reading
): Pull.Pull<Events, AiError.AiError | CreateUnconfirmed> => {
  let named = false
  let refusal: AiError.AiError | CreateUnconfirmed | undefined
  // Once the response is named, `pull` is used directly: most of a stream comes after that.
  const first = () =>
    Effect.matchCauseEffect(pull, {
      onSuccess: (events) => {
        named = events.some(names)
        if (!named) refusal = refusalIn(events, reading) ?? refusal
        return Effect.succeed(events)
      },
      onFailure: (cause) => {
        const reason = cause.reasons.find(Cause.isFailReason)
        if (reason === undefined) return Effect.failCause(cause as Cause.Cause<never>)
        // If the provider refused, that is the error, even if the connection breaks afterwards.
        return Effect.fail(refusal ?? unconfirmed(Cause.isDone(reason.error) ? endedEarly(reading) : reason.error))
      }
    })
  return Effect.suspend((): Pull.Pull<Events, AiError.AiError | CreateUnconfirmed> => (named ? pull : first()))
}

const endedEarly = (reading: Reading): AiError.AiError =>
  AiError.make({
    module,
    method: reading.method,
    reason: Failures.fromDamage("the body ended before it named the response", reading)
  })

/**
 * The response in an answer that is not a stream. If the answer names no response and is not a refusal, it is not known
 * whether there is one.
 */
export const named = (
  body: unknown,
  reading: Reading
): Effect.Effect<ModelSnapshot, AiError.AiError | CreateUnconfirmed> => {
  const decoded = decode(body, reading)
  if (Result.isSuccess(decoded) && decoded.success.responseId !== "") return Effect.succeed(decoded.success)
  const said = saidIn(recordOf(body), reading.redact)
  if (isRefusal(said)) {
    return Effect.fail(AiError.make({ module, method: reading.method, reason: reasonOf(said) }))
  }
  const reason = Failures.fromDamage("the answer does not name the response", reading)
  const error = AiError.make({ module, method: reading.method, reason })
  return Effect.fail(unconfirmed(Result.isFailure(decoded) ? decoded.failure : error))
}

/** The single event for a response that was requested as a stream and came as one JSON text. */
export const unstreamed = (
  response: Response,
  reading: Reading
): Effect.Effect<ModelEvent, AiError.AiError | CreateUnconfirmed> =>
  Effect.tryPromise({
    try: () => response.text(),
    catch: (error) =>
      unconfirmed(AiError.make({ module, method: reading.method, reason: Failures.fromBody(error, reading) }))
  }).pipe(
    Effect.map((text) =>
      Result.getOrElse(
        Result.try((): unknown => JSON.parse(text)),
        () => undefined
      )
    ),
    Effect.flatMap((body) => named(body, reading)),
    Effect.map((terminal) => ({
      statements: [],
      status: terminal.status,
      responseId: terminal.responseId,
      ...(terminal.background === undefined ? undefined : { background: terminal.background }),
      ...(isOver(terminal.status) ? { terminal } : undefined),
      raw: terminal.raw
    }))
  )
