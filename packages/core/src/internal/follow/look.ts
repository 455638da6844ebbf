import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as AiError from "effect/ai/AiError"
import type { BackgroundModel, ModelSnapshot } from "../../BackgroundModel.ts"
import type { Trouble } from "../telemetry/trouble.ts"
import * as Backoff from "../primitives/backoff.ts"
import { paced } from "./pace.ts"

/** What a look at a response showed; `Gone` is confirmed. */
export type Look =
  | { readonly _tag: "Shown"; readonly snapshot: ModelSnapshot; readonly pollAfter?: Duration.Duration }
  | { readonly _tag: "Gone" }

// A wrong key, or a gateway that starts, answers so for a moment.
const confirmations = 4

/**
 * Looks at a response, and again on the schedule while the provider refuses for now or cannot be reached. That the
 * provider does not have the response is believed only after several answers over some seconds.
 */
export const look = Effect.fnUntraced(function* (
  model: BackgroundModel["Service"],
  responseId: string,
  options: { readonly schedule: Schedule.Schedule<unknown>; readonly trouble: Trouble }
): Effect.fn.Return<Look, AiError.AiError> {
  const { schedule, trouble } = options
  const backoff = new Backoff.Backoff(schedule)
  let gone = 0
  while (true) {
    const answer = yield* Effect.result(paced(model, model.retrieve(responseId)))
    if (answer._tag === "Success") {
      yield* trouble.ended()
      return { _tag: "Shown", ...answer.success }
    }
    const error = answer.failure
    if (error._tag === "ResponseGone") {
      if (gone++ === confirmations) return { _tag: "Gone" }
      if (!(yield* backoff.wait(error)) && gone > 1) return { _tag: "Gone" }
      continue
    }
    if (!error.isRetryable) return yield* error
    yield* trouble.began("a run cannot be looked at, and this is tried again", error.message)
    if (!(yield* backoff.wait(error, error.retryAfter))) return yield* error
  }
})
