import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as AiError from "effect/ai/AiError"
import { isOver } from "../../Run.ts"
import type { FactOf, NewFact } from "../../RunRecord.ts"
import * as Backoff from "../primitives/backoff.ts"
import { Trouble } from "../telemetry/trouble.ts"
import type { OpenRun } from "./openRun.ts"
import * as ResponseEnd from "./responseEnd.ts"

const untilTaken: Schedule.Schedule<unknown, unknown> = Schedule.min([
  Schedule.exponential("250 millis"),
  Schedule.spaced("10 seconds")
]).pipe(
  Schedule.modifyDelay(({ duration, input }) =>
    Effect.succeed(Duration.max(duration, (AiError.isAiError(input) ? input.retryAfter : undefined) ?? Duration.zero))
  )
)

/**
 * Cancels a response at the provider, and returns the facts to record. Without a `schedule` it repeats the cancel until the
 * provider accepts it, or until the caller interrupts it.
 */
export const sendCancel = (
  run: Pick<OpenRun, "agent" | "model" | "policy" | "record" | "runId">,
  response: FactOf<"Accepted">,
  { by, schedule }: { readonly by: string; readonly schedule?: Schedule.Schedule<unknown> }
): Effect.Effect<ReadonlyArray<NewFact>, AiError.AiError> => {
  const { incarnation, responseId } = response
  const { model } = run
  const trouble = new Trouble({ runId: run.runId, agent: run.agent.name, responseId })
  const sent: NewFact = { _tag: "CancelSent", incarnation, by, responseId }

  // Providers refuse to cancel a response that has ended, with many different errors. A retrieval shows whether it has.
  const unlessOver = (error: AiError.AiError): Effect.Effect<ReadonlyArray<NewFact>, AiError.AiError> =>
    model.retrieve(responseId).pipe(
      Effect.flatMap(({ snapshot }): Effect.Effect<ReadonlyArray<NewFact>, AiError.AiError> => {
        if (!isOver(snapshot.status)) return Effect.fail(error)
        const end = ResponseEnd.make(response, { ...snapshot, snapshot }, run)
        return Effect.succeed([{ ...end, incarnation, by }, sent])
      }),
      Effect.catchTag("ResponseGone", () => Effect.succeed([sent]))
    )
  const failure = (description: string) =>
    AiError.make({ module: "baton", method: "cancel", reason: new AiError.InternalProviderError({ description }) })

  return model.cancel(responseId).pipe(
    Effect.as<ReadonlyArray<NewFact>>([sent]),
    Effect.catchTags({
      // The answer may come from a gateway only.
      ResponseGone: () =>
        unlessOver(failure("the provider answered the cancel with 'not found', but the response is still running")),
      AiError: (error) => (error.isRetryable ? Effect.fail(error) : unlessOver(error))
    }),
    Effect.timeoutOrElse({
      duration: run.policy.idleTimeout,
      orElse: () => Effect.fail(failure("the provider did not answer the cancel"))
    }),
    Effect.tapError((error) =>
      trouble.began("the provider did not accept the cancel of a response; this is tried again", error.message)
    ),
    Effect.retry(schedule === undefined ? untilTaken : Backoff.patiently(schedule)),
    Effect.tap(() => trouble.ended())
  )
}
