import { BackgroundModel } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, Layer } from "effect"
import { AiError } from "effect/ai"

type Model = BackgroundModel.BackgroundModel["Service"]

/** A scripted model with some operations changed. */
export const modelWith = (
  script: Parameters<typeof ScriptedModel.layer>[0],
  change: (inner: Model) => Partial<Model>,
  options: ScriptedModel.Options = {}
): Layer.Layer<BackgroundModel.BackgroundModel | ScriptedModel.ScriptedModel> =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (inner) => ({ ...inner, ...change(inner) }))
  ).pipe(Layer.provideMerge(ScriptedModel.layer(script, options)))

export const aiError = (reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "Test", method: "test", reason })

/** The provider cannot be reached. */
export const unreachable = aiError(
  new AiError.NetworkError({ reason: "TransportError", method: "GET", url: "https://test" })
)
/** The provider refuses for now. */
export const busy = aiError(new AiError.RateLimitError({}))
/** The provider refuses for good. */
export const denied = aiError(new AiError.AuthenticationError({ kind: "InvalidKey" }))
