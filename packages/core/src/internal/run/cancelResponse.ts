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
 * Cancels a response at the provider, and answers what is to be recorded of it. Without a `schedule` it keeps at it until
 * the provider took the cancel, for as long as the caller waits.
 */
export const sendCancel = (
  run: Pick<OpenRun, "agent" | "isExternal" | "model" | "policy" | "runId">,
  response: FactOf<"Accepted">,
  { by, schedule }: { readonly by: string; readonly schedule?: Schedule.Schedule<unknown> }
): Effect.Effect<ReadonlyArray<NewFact>, AiError.AiError> => {
  const { incarnation, responseId } = response
  const { model } = run
  const trouble = new Trouble({ runId: run.runId, agent: run.agent.name, responseId })
  const sent: NewFact = { _tag: "CancelSent", incarnation, by, responseId }

  // What is over cannot be cancelled, and providers have many words for that.
  const settled = (error: AiError.AiError): Effect.Effect<ReadonlyArray<NewFact>, AiError.AiError> =>
    model.retrieve(responseId).pipe(
      Effect.flatMap(({ snapshot }): Effect.Effect<ReadonlyArray<NewFact>, AiError.AiError> => {
        if (!isOver(snapshot.status)) return Effect.fail(error)
        const end = ResponseEnd.make(response, { ...snapshot, snapshot }, run.isExternal)
        return Effect.succeed([{ ...end, incarnation, by }, sent])
      }),
      Effect.catchTag("ResponseGone", () => Effect.succeed([sent]))
    )
  const failure = (description: string) =>
    AiError.make({ module: "baton", method: "cancel", reason: new AiError.InternalProviderError({ description }) })

  return model.cancel(responseId).pipe(
    Effect.as<ReadonlyArray<NewFact>>([sent]),
    Effect.catchTags({
      // It may be the word of a gateway only.
      ResponseGone: () => settled(failure("a cancel is answered as if the response were not there, and yet it runs")),
      AiError: (error) => (error.isRetryable ? Effect.fail(error) : settled(error))
    }),
    Effect.timeoutOrElse({
      duration: run.policy.idleTimeout,
      orElse: () => Effect.fail(failure("a cancel is not answered"))
    }),
    Effect.tapError((error) =>
      trouble.began("the provider did not take the cancel of a response, and this is tried again", error.message)
    ),
    Effect.retry(schedule === undefined ? untilTaken : Backoff.patiently(schedule)),
    Effect.tap(() => trouble.ended())
  )
}
