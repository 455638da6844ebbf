import { BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, Layer, Stream } from "effect"
import { AiError } from "effect/ai"

export type Model = BackgroundModel.BackgroundModel["Service"]

/** A scripted model, and a store in memory. */
export const inMemory = (script: Parameters<typeof ScriptedModel.layer>[0], options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(script, options), TokenStore.layerMemory)

/** A model with some operations changed. */
const changingModel = <R>(
  layer: Layer.Layer<BackgroundModel.BackgroundModel | R>,
  change: (inner: Model) => Partial<Model>
) =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (inner) => ({ ...inner, ...change(inner) }))
  ).pipe(Layer.provideMerge(layer))

/** A scripted model with some operations changed. */
export const modelWith = (
  script: Parameters<typeof ScriptedModel.layer>[0],
  change: (inner: Model) => Partial<Model>,
  options: ScriptedModel.Options = {}
): Layer.Layer<BackgroundModel.BackgroundModel | ScriptedModel.ScriptedModel> =>
  changingModel(ScriptedModel.layer(script, options), change)

/** A scripted model whose responses used this many tokens. */
export const usingTokens = (script: Parameters<typeof ScriptedModel.layer>[0], asked: number, written: number) => {
  const usage = { inputTokens: { total: asked, cacheRead: 1 }, outputTokens: { total: written, reasoning: 2 } }
  const spent = (snapshot: BackgroundModel.ModelSnapshot): BackgroundModel.ModelSnapshot =>
    snapshot.finish === undefined
      ? snapshot
      : { ...snapshot, model: "scripted-1", finish: { ...snapshot.finish, usage } }
  const told = Stream.map((event: BackgroundModel.ModelEvent) =>
    event.terminal === undefined ? event : { ...event, terminal: spent(event.terminal) }
  )
  return modelWith(script, (inner) => ({
    create: (request) => told(inner.create(request)),
    resume: (id, options) => told(inner.resume(id, options)),
    retrieve: (id) => Effect.map(inner.retrieve(id), (look) => ({ ...look, snapshot: spent(look.snapshot) }))
  }))
}

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
