import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as AiError from "effect/ai/AiError"
import { BackgroundModel } from "../../BackgroundModel.ts"
import { failing, inForm } from "../primitives/died.ts"

type Service = BackgroundModel["Service"]

/** The error of an operation of a model that died. It is retryable, like that of a provider that failed. */
export const died = (method: string, cause: Cause.Cause<unknown>): AiError.AiError => {
  const defect = Cause.squash(cause)
  const message = Predicate.isError(defect) ? defect.message : String(defect)
  const description = `the model died, which is a bug in the model: ${message}`
  return AiError.make({ module: "BackgroundModel", method, reason: new AiError.InternalProviderError({ description }) })
}

const typed = <A, E>(method: string, call: () => Effect.Effect<A, E>) => failing(call, (cause) => died(method, cause))

// Streams are not wrapped, as that would cost something for each event: the code that reads them handles defects.
const of = (model: Service): Service => ({
  ...model,
  retrieve: (responseId) => typed("retrieve", () => model.retrieve(responseId)),
  cancel: (responseId) => typed("cancel", () => model.cancel(responseId)),
  remove: (responseId) => typed("remove", () => model.remove(responseId))
})

const form = inForm(of)

/** The current model, whose operations fail with an error instead of dying. */
export const typedModel: Effect.Effect<Service, never, BackgroundModel> = Effect.map(BackgroundModel, form)
