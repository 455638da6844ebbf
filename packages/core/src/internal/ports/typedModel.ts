import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as AiError from "effect/ai/AiError"
import { BackgroundModel } from "../../BackgroundModel.ts"
import { failing, inForm } from "./died.ts"

type Service = BackgroundModel["Service"]

/** What an operation of a model comes to that died: like a provider that failed, it may work again. */
export const died = (method: string, cause: Cause.Cause<unknown>): AiError.AiError => {
  const defect = Cause.squash(cause)
  const description = `the model died, which is a defect of it: ${Predicate.isError(defect) ? defect.message : String(defect)}`
  return AiError.make({ module: "BackgroundModel", method, reason: new AiError.InternalProviderError({ description }) })
}

const typed = <A, E>(method: string, call: () => Effect.Effect<A, E>) => failing(call, (cause) => died(method, cause))

// What dies while it opens or reads a response is seen to by who reads it: each event would pay for it here.
const of = (model: Service): Service => ({
  ...model,
  retrieve: (responseId) => typed("retrieve", () => model.retrieve(responseId)),
  cancel: (responseId) => typed("cancel", () => model.cancel(responseId)),
  remove: (responseId) => typed("remove", () => model.remove(responseId))
})

const form = inForm(of)

/** The model in force, as Baton uses it: an operation of it that dies fails with an error that says so. */
export const typedModel: Effect.Effect<Service, never, BackgroundModel> = Effect.map(BackgroundModel, form)
