// Guarantee 7 where the provider answers, and the answer breaks off before it names the response.
import { Agent, BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const reset = AiError.make({
  module: "ScriptedModel",
  method: "create",
  reason: new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "https://example.com" })
})

/** A model that says only this after it accepted the request, and breaks off. */
const breakingOff = (said: ReadonlyArray<BackgroundModel.ModelEvent>, end: Stream.Stream<never, AiError.AiError>) =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (model) => ({
      ...model,
      create: (request: BackgroundModel.ModelRequest) =>
        model.create(request).pipe(
          Stream.take(1),
          Stream.flatMap(() => Stream.concat(Stream.fromIterable(said), end))
        )
    }))
  ).pipe(Layer.provideMerge(ScriptedModel.layer([ScriptedModel.text("a"), ScriptedModel.completed])))

const keepalive: BackgroundModel.ModelEvent = { statements: [], keepalive: true }

describe("a create request that was answered, but not with the response's name", () => {
  it.effect.each([
    ["an error after a keepalive", [keepalive], Stream.fail(reset)],
    ["an end after a keepalive", [keepalive], Stream.empty],
    ["an end before anything", [], Stream.empty]
  ] as const)("%s: Unconfirmed, and not sent again", ([, said, end]) =>
    Effect.gen(function* () {
      const error = yield* passing(Effect.flip(Agent.run(analyst, { input: "Hello", runId: "r" })))
      assert.strictEqual(error.reason._tag, "Unconfirmed")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(Layer.merge(breakingOff(said, end), TokenStore.layerMemory)))
  )
})
