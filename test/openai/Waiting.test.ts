// Guarantees 4 and 12 for runs that wait: they hold no timers of their own, and a process that was late reads its sockets
// before it gives a connection up.
import { Agent, type BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { stat } from "node:fs/promises"
import { Clock, Duration, Effect, Fiber, Layer, Stream } from "effect"
import { modelWith } from "../support/models.ts"
import { analyst } from "../support/runs.ts"
import { passing } from "../support/time.ts"
import { at, completed, created, delta, eventually, type Json, serve, sse, stream } from "./support.ts"

/** A clock that knows how many wait for it. */
const counting = (clock: Clock.Clock) => {
  const seen = { waiting: 0 }
  const sleep = (duration: Duration.Duration) =>
    Effect.acquireUseRelease(
      Effect.sync(() => ++seen.waiting),
      () => clock.sleep(duration),
      () => Effect.sync(() => --seen.waiting)
    )
  const counted: Clock.Clock = Object.assign(Object.create(clock), { sleep })
  return { seen, counted }
}

const never: ReadonlyArray<BackgroundModel.ModelEvent> = [
  { sequenceNumber: 0, statements: [], status: "queued", responseId: "resp_1" },
  { sequenceNumber: 1, statements: [], status: "in_progress" }
]

describe("runs that wait", () => {
  it.effect("a hundred of them wait for one deadline, and who leaves them leaves no timer behind", () =>
    Effect.gen(function* () {
      const { counted, seen } = counting(yield* Clock.Clock)
      let heard = 0
      const run = (runId: string) =>
        Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId }), () => Effect.sync(() => void heard++))
      const all = Effect.forEach(
        Array.from({ length: 100 }, (_, i) => `r-${i}`),
        run,
        { concurrency: "unbounded", discard: true }
      )
      const fiber = yield* Effect.forkChild(Effect.provideService(all, Clock.Clock, counted))
      yield* passing(
        Effect.repeat(Effect.yieldNow, { until: () => heard === 200 }).pipe(Effect.andThen(Effect.sleep("1 second")))
      )
      assert.isAtMost(seen.waiting, 1)
      assert.isAtLeast(seen.waiting, 1)
      yield* passing(Fiber.interrupt(fiber))
      assert.strictEqual(seen.waiting, 0)
    }).pipe(
      Effect.provide(
        Layer.merge(
          modelWith([ScriptedModel.completed], () => ({
            create: () => Stream.concat(Stream.fromIterable(never), Stream.never)
          })),
          TokenStore.layerMemory
        )
      )
    )
  )

  it.live("a connection is not given up because its process was late before its socket was read", () =>
    Effect.gen(function* () {
      let later: (event: Json) => void = () => {}
      const server = yield* serve((_, response) => {
        stream(response, created(), delta(1, "a"))
        later = (event) => void response.write(sse(event))
      })
      const said: Array<string> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "r" }), ({ text }) =>
          Effect.sync(() => {
            if (text !== "") said.push(text)
          })
        ).pipe(
          Effect.provide(Layer.merge(at(server.url), TokenStore.layerMemory)),
          Effect.provide(RunPolicy.layer({ idleTimeout: Duration.seconds(3) }))
        )
      )
      yield* eventually(() => said.length === 1)
      // Timers come next after what is read and the like, and are late then.
      yield* Effect.promise(() => stat("."))
      // It is written to the socket, and nothing is read while this goes on.
      later(delta(2, "b"))
      later(completed(3, { status: "completed" }))
      const until = performance.now() + 4000
      while (performance.now() < until) continue
      yield* Fiber.join(reading)
      assert.strictEqual(said.join(""), "ab")
      assert.deepStrictEqual(
        server.seen.map(({ method }) => method),
        ["POST"],
        "nothing was attached to again"
      )
    }).pipe(Effect.scoped)
  )
})
