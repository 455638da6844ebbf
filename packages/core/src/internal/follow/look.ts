import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as AiError from "effect/ai/AiError"
import type { BackgroundModel, ModelSnapshot } from "../../BackgroundModel.ts"
import type { Trouble } from "../telemetry/trouble.ts"
import * as Backoff from "../primitives/backoff.ts"
import { paced } from "./pace.ts"

/** The result of a retrieval. `Gone` is confirmed by several answers. */
export type Look =
  | { readonly _tag: "Shown"; readonly snapshot: ModelSnapshot; readonly pollAfter?: Duration.Duration }
  | { readonly _tag: "Gone" }

// With a wrong key, or from a gateway that starts, such an answer can come for a moment.
const confirmations = 4

/**
 * Retrieves a response, and repeats that on the schedule while the provider refuses for now or cannot be reached. `Gone`
 * needs several equal answers over some seconds.
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
    yield* trouble.began("the response of a run cannot be retrieved; this is tried again", error.message)
    if (!(yield* backoff.wait(error, error.retryAfter))) return yield* error
  }
})
