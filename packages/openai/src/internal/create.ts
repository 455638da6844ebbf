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
 * Whether a failed create request bought nothing for certain.
 *
 * The provider answers a request that it does not take with a status below 500. What lies between may have passed the
 * request on before it gave up: 303, 408, 500, 502, 504 and a bare 503 leave it open. A refusal that the provider puts into
 * words is one under any status: 503 `server_is_overloaded`, say.
 */
const boughtNothing = ({ error, kind }: Failures.RequestFailure): boolean => {
  if (kind !== "answered") return kind === "unsent"
  const { status = 500 } = error ?? {}
  return (status < 500 && status !== 408 && status !== 303) || (error !== undefined && isRefusal(error))
}

/** The error of a create request that may have been accepted. */
const unconfirmed = (error: AiError.AiError) => new CreateUnconfirmed({ error })

/** The error of a create request that failed before its body. */
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

// A response that has ended exists, also if its server gives no id. One that failed may be a refusal in other words.
const names = ({ responseId, terminal }: ModelEvent): boolean =>
  responseId !== undefined || (terminal !== undefined && terminal.status !== "failed")

type Events = Array.NonEmptyReadonlyArray<ModelEvent>

/** Until an event has named the response, an end and a failure of the body leave open whether there is one. */
export const untilNamed = (
  pull: Pull.Pull<Events, AiError.AiError>,
  reading: Reading
): Pull.Pull<Events, AiError.AiError | CreateUnconfirmed> => {
  let named = false
  let refusal: AiError.AiError | CreateUnconfirmed | undefined
  // Nothing of this is kept once the response is named: most of the time of a stream comes after that.
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
        // What the provider said counts, also if the connection breaks after it.
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
 * The response of an answer without a stream. One that names no response leaves open whether there is one, unless it is
 * a refusal.
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

/** The one event of a response that was asked for as a stream and came as a whole. */
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
