import { CreateUnconfirmed, type ModelEvent } from "@effect-baton/core/BackgroundModel"
import { type Array, Cause, Effect, Predicate, Pull } from "effect"
import { AiError } from "effect/ai"
import type { Reading } from "./body.ts"
import { errorOf } from "./events.ts"
import * as Failures from "./failures.ts"
import type { Json } from "./lanes.ts"
import { isRefusal, reasonOf } from "./reasons.ts"
import { module } from "./snapshot.ts"

/**
 * Whether a failed create request bought nothing for certain.
 *
 * The provider answers a request that it does not take with a status below 500. What lies between may have passed the
 * request on before it gave up: 408, 500, 502, 504 and a bare 503 leave it open. A refusal that the provider puts into
 * words is one under any status: 503 `server_is_overloaded`, say.
 */
const boughtNothing = ({ error, kind }: Failures.RequestFailure): boolean => {
  if (kind !== "answered") return kind === "unsent"
  const { status = 500 } = error ?? {}
  return (status < 500 && status !== 408) || (error !== undefined && isRefusal(error))
}

/** The error of a create request that may have been accepted. */
export const unconfirmed = (error: AiError.AiError) => new CreateUnconfirmed({ error })

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
  const raw = events.findLast(({ parts }) => parts.some(({ part }) => part.type === "error"))?.raw
  if (!Predicate.isObject(raw)) return undefined
  const { code, message, type } = errorOf(raw as Json)
  const text = (value: unknown) => (typeof value === "string" ? value : undefined)
  const said = { code: text(code), type: text(type), message: reading.redact(text(message) ?? "the provider refused") }
  const error = AiError.make({ module, method: reading.method, reason: reasonOf(said) })
  return isRefusal(said) ? error : unconfirmed(error)
}

type Events = Array.NonEmptyReadonlyArray<ModelEvent>

/** Until an event has named the response, an end and a failure of the body leave open whether there is one. */
export const untilNamed = (
  pull: Pull.Pull<Events, AiError.AiError>,
  reading: Reading
): Pull.Pull<Events, AiError.AiError | CreateUnconfirmed> => {
  let named = false
  let refusal: AiError.AiError | CreateUnconfirmed | undefined

  const endedEarly = Effect.suspend(() =>
    Effect.fail(
      refusal ??
        unconfirmed(
          AiError.make({
            module,
            method: reading.method,
            reason: Failures.fromDamage("the body ended before it named the response", reading)
          })
        )
    )
  )

  const first = pull.pipe(
    Effect.tap((events) =>
      Effect.sync(() => {
        named = events.some(({ responseId }) => responseId !== undefined)
        if (!named) refusal = refusalIn(events, reading) ?? refusal
      })
    ),
    Effect.mapError((error) => (Cause.isDone(error) ? error : unconfirmed(error))),
    Pull.catchDone(() => endedEarly)
  )
  return Effect.suspend((): Pull.Pull<Events, AiError.AiError | CreateUnconfirmed> => (named ? pull : first))
}
