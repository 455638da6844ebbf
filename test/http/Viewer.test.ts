// One viewer, pulled by hand under a clock that the test moves: what it is sent, and when.
import { Agent, RunState } from "@effect-baton/core"
import { RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { RunViewer } from "../../packages/http/src/internal/viewer.ts"
import { passing } from "../support/time.ts"
import { analyst, type Engine, engine, recordOf } from "./served.ts"
import { blocksOf, named, textOf, updatesOf } from "./watching.ts"

const { completed, pause, text } = ScriptedModel

const follow = Stream.runDrain(Agent.stream(analyst, { input: "x", runId: "r" }))

const decoder = new TextDecoder()

/** A viewer of the run, and what pulls its next piece. */
const viewing = Effect.fnUntraced(function* () {
  const context = yield* Effect.context<Engine>()
  const viewer = new RunViewer({
    run: {
      watch: (after) => Stream.provideContext(Agent.watch(analyst, { runId: "r", ...after }), context),
      status: Effect.provideContext(Effect.map(recordOf("r"), RunState.statusOfRecord), context)
    },
    after: undefined,
    reset: false,
    readsRetry: false,
    scope: yield* Effect.scope,
    clock: yield* Clock.Clock,
    viewers: { heartbeat: 15_000, timeout: 60_000 }
  })
  const pull = Effect.map(passing(viewer.next), ([piece]) => blocksOf(decoder.decode(piece)))
  return { viewer, pull }
})

const now = Clock.currentTimeMillis

/** More than goes out at once. */
const report = [...Array.from({ length: 200 }, (_, i) => text(`${i} `)), completed]

describe("a viewer", () => {
  it.effect("gets at most 64 updates at once, and comes to its end", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { pull, viewer } = yield* viewing()
      const heard = [...(yield* pull)]
      assert.deepEqual<unknown>(heard, [{ comment: ": heartbeat" }])
      while (named(heard, "end").length === 0) {
        const piece = yield* pull
        assert.isAtMost(piece.length, 64)
        heard.push(...piece)
      }
      assert.strictEqual(textOf(heard), Array.from({ length: 200 }, (_, i) => `${i} `).join(""))
      const exit = yield* Effect.exit(viewer.next)
      assert.isTrue(Exit.isFailure(exit), "there is no more to pull")
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.effect("that takes nothing for its time is sent away with its id, and is cut off some time later", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { pull, viewer } = yield* viewing()
      yield* pull
      const first = yield* pull
      yield* TestClock.adjust("59 seconds")
      viewer.look(yield* now)
      const second = yield* pull
      assert.isNotEmpty(updatesOf(second), "it was in time")
      yield* TestClock.adjust("60 seconds")
      viewer.look(yield* now)
      const last = yield* pull
      assert.deepEqual<unknown>(last, [{ event: "retry-later", data: { reason: "slow", after: second.at(-1)?.id } }])
      assert.isAbove(updatesOf(first).length, 0)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(viewer.next)))

      // What takes a piece, and then stands still for good.
      const other = yield* viewing()
      const reader = yield* Effect.forkChild(Effect.andThen(other.viewer.next, Effect.never))
      yield* TestClock.adjust("60 seconds")
      other.viewer.look(yield* now)
      yield* Effect.yieldNow
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust("15 seconds")
      other.viewer.look(yield* now)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(reader)))
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.effect("that waits is never slow, and gets a comment after its time", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { input: "x", runId: "r" })
      const { pull, viewer } = yield* viewing()
      yield* pull
      const piece = yield* Effect.forkChild(viewer.next)
      yield* TestClock.adjust("14 seconds")
      viewer.look(yield* now)
      assert.isUndefined(piece.pollUnsafe())
      yield* TestClock.adjust("1 second")
      viewer.look(yield* now)
      assert.strictEqual(decoder.decode((yield* Fiber.join(piece))[0]), ": heartbeat\n\n")
    }).pipe(Effect.scoped, Effect.provide(engine([pause("1 hour"), completed])))
  )

  it.effect("is not taken in by a service whose scope is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const viewers = yield* Scope.provide(RunViewers.make({}), scope)
      yield* Scope.close(scope, Exit.void)
      const refused = yield* Effect.flip(Effect.scoped(viewers.enter({ look: () => {}, dismiss: () => {} })))
      assert.strictEqual(refused, "closing")
    })
  )
})
