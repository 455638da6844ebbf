// A model that dies, which no model should, is a provider that failed: no run answers for it, and no worker loses a slot.
import { Agent, BackgroundModel, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { analyst, recordOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

type Model = BackgroundModel.BackgroundModel["Service"]
type Operation = "create" | "submit" | "resume" | "retrieve" | "cancel" | "remove"

const { completed, text } = ScriptedModel

/** A model of which some operations die for some run or response, as often as said. */
const mortal = (deaths: Partial<Record<Operation, number>>, way: "dies" | "throws" = "dies") =>
  Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (inner): Model => {
      const isDying = (name: Operation) => {
        const left = deaths[name] ?? 0
        deaths[name] = Math.max(0, left - 1)
        return left > 0
      }
      const death = (): Effect.Effect<never> => (way === "dies" ? Effect.die(new Error("it broke")) : JSON.parse("it"))
      return {
        ...inner,
        create: (request) => (isDying("create") ? Stream.fromEffect(death()) : inner.create(request)),
        submit: (request) => (isDying("submit") ? death() : inner.submit(request)),
        resume: (id, options) => (isDying("resume") ? Stream.fromEffect(death()) : inner.resume(id, options)),
        retrieve: (id) => (isDying("retrieve") ? death() : inner.retrieve(id)),
        cancel: (id) => (isDying("cancel") ? death() : inner.cancel(id)),
        remove: (id) => (isDying("remove") ? death() : inner.remove(id))
      }
    })
  ).pipe(Layer.provide(ScriptedModel.layer([text("Hello"), completed])))

describe.each(["dies", "throws"] as const)("a model that %s", (way) => {
  it.effect("while it resumes is asked again, and no attempt of the run is used up", () => {
    const deaths: Partial<Record<Operation, number>> = {}
    return Effect.gen(function* () {
      yield* Agent.start(analyst, { input: "Hello", runId: "r" })
      deaths.resume = 3
      deaths.retrieve = 2
      const told: Array<string> = []
      yield* Layer.build(
        Runs.worker([analyst], {
          concurrency: 1,
          maxAttempts: 1,
          handle: ({ updates }) => Stream.runForEach(updates, (update) => Effect.sync(() => told.push(update.text)))
        })
      )
      yield* passing(Effect.repeat(recordOf("r"), { until: ({ due, lease }) => due === null && lease === null }), 1000)
      const record = yield* recordOf("r")
      assert.isNull(record.parked)
      assert.strictEqual(told.join(""), "Hello")
      assert.isBelow(deaths.resume, 3)
      assert.strictEqual(deaths.retrieve, 0)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(mortal(deaths, way), TokenStore.layerMemory)))
  })

  it.effect("for good keeps no slot of a worker from the runs of others", () => {
    const deaths: Partial<Record<Operation, number>> = { create: 1 }
    return Effect.gen(function* () {
      for (const runId of ["r-1", "r-2", "r-3"]) yield* Agent.enqueue(analyst, { input: "Hello", runId })
      yield* Layer.build(Runs.worker([analyst], { concurrency: 1, handle: ({ updates }) => Stream.runDrain(updates) }))
      const done = Effect.map(Runs.count(), ({ completed: well, parked }) => [well, parked])
      yield* passing(Effect.repeat(done, { until: ([well, parked]) => well === 2 && parked === 1 }), 1000)
      // Nobody knows whether its request was sent.
      const { due, parked } = yield* recordOf("r-1")
      assert.include(parked?.reason, "never answered")
      assert.isNull(due, "a parked run is no work")
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(mortal(deaths, way), TokenStore.layerMemory)))
  })
})
