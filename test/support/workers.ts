import { Agent, RunState, type TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { analyst, recordOf } from "./runs.ts"
import { passing } from "./time.ts"

const { completed, pause, text } = ScriptedModel

/** Options of a worker that is soon done with little work. */
export const quick = { concurrency: 10, claimEvery: "500 millis", startJitter: "1 milli" } as const

/** Launches a layer in a scope of its own, and answers what closes it. */
export const launch = <E, R>(layer: Layer.Layer<never, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return passing(Scope.close(scope, Exit.void))
  })

/** What a fiber came to, which has to be over by now. */
export const doneBy = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.suspend(() => {
    assert.isDefined(fiber.pollUnsafe(), "it is over by now")
    return Fiber.join(fiber)
  })

const words = Array.from({ length: 20 }, (_, i) => `${i} `)
/** Twenty texts, a second apart. */
export const twenty = [...words.flatMap((word) => [text(word), pause("1 second")]), completed]
/** All that they say. */
export const twentyTexts = words.join("")

/** Starts a run, and leaves it after its first text. */
export const leaveBegun = (runId: string, agent: Agent.Agent = analyst) =>
  passing(
    Stream.runDrain(Stream.takeUntil(Agent.stream(agent, { input: "Hello", runId }), (update) => update.text !== "")),
    10
  )

/** What handlers were given, by run. */
export const collected = () => {
  const texts = new Map<string, string>()
  const add = (runId: string, more: string) => void texts.set(runId, (texts.get(runId) ?? "") + more)
  return { texts, add }
}

/** Takes the only run that is work, as a worker does. */
export const claimOne = (store: TokenStore.TokenStore["Service"], owner: string, ttl: Duration.Duration) =>
  Effect.gen(function* () {
    const [shard = ""] = store.shards
    const { taken } = yield* Effect.orDie(store.claim({ agents: ["analyst"], owner, ttl, limit: 1, shard }))
    const [first] = taken
    return first ?? (yield* Effect.die("there is no work"))
  })

/** What a run is to workers. A run that its consumer is done with is work no more. */
export const stageOf = (runId: string) =>
  Effect.map(recordOf(runId), (record) => {
    if (record.parked !== null) return record.due === null ? "parked" : "parked, but due"
    if (!RunState.fold(record).delivered) return "unfinished"
    return record.due === null ? "finished" : "finished, but due"
  })

/** How often a run is held to have failed its consumer. */
export const attemptsOf = (runId: string) => Effect.map(recordOf(runId), ({ attempts }) => attempts.length)
