import type { BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { byTestClock, storeOn } from "../redis/store.ts"
import { begin, reading, runId, type Script } from "./processes.ts"
import { describeShared } from "./redisServer.ts"
import { stateOf } from "./runs.ts"
import { leasesEnd, makeProcess, type Process } from "./schedule.ts"
import { awaited, stores } from "./stores.ts"
import { passing } from "./time.ts"

// The shortest schedules that broke simpler designs: workers that stand still beyond their lease and go on, answers that
// are lost, and cancels, removals and retries by others in between. X and a number is the rule that each proves.

type Services = TokenStore.TokenStore | BackgroundModel.BackgroundModel
type Played = Parameters<typeof ScriptedModel.layer>

/** Declares a test, over the store that schedules are played over. */
export type Test = (
  name: string,
  program: () => Effect.Effect<void, unknown, Services | ScriptedModel.ScriptedModel>,
  script?: () => Played[0],
  options?: Played[1]
) => void

const { completed, text } = ScriptedModel
export const quick: Script = [text("a"), completed]

/** Declares schedules over every store, Redis among them. */
export const describeSchedules = (schedules: (test: Test) => void): void => {
  const over =
    (layer: Layer.Layer<TokenStore.TokenStore>): Test =>
    (name, program, script = () => quick, options) =>
      it.effect(
        name,
        () => Effect.suspend(program).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script(), options), layer))),
        60_000
      )
  describe.each(stores)("schedules over the $name store", ({ layer }) => schedules(over(layer)))
  describeShared("schedules over Redis", (server) =>
    schedules(over(awaited(storeOn(server, { retention: "Infinity" }, byTestClock))))
  )
}

export const patient: Partial<RunPolicy.RunPolicy> = { closeTimeout: Duration.minutes(5) }
export const restarting: Partial<RunPolicy.RunPolicy> = { ...patient, onUnconfirmed: "restart" }

/** Three processes over the store and the provider of the context. */
export const three = (changes = patient): Effect.Effect<[Process, Process, Process], never, Services> =>
  Effect.all([makeProcess("W0", changes), makeProcess("W1", changes), makeProcess("W2", changes)])

export const why = Effect.map(Effect.flip(reading), ({ reason }) => reason._tag)

/** How the run ended. */
export const endOf = Effect.map(stateOf(runId), ({ ended }) => {
  assert.isDefined(ended)
  const { reason, status, unresolved } = ended!
  return { status, reason, unresolved: unresolved?.length ?? 0 }
})

/** A process stands still with its request on the way, until others may take its run. */
export const stallsIn = Effect.fnUntraced(function* (
  process: Process,
  operation: "model.create" | "commit Requested",
  where: "before" | "after",
  options?: Parameters<Process["stop"]>[2]
) {
  const stop = process.stop(operation, where, options)
  const fiber = yield* begin(process, Effect.exit(reading))
  yield* stop.reached
  yield* process.stall
  yield* leasesEnd
  return { ...stop, exit: passing(Fiber.join(fiber)) }
})
