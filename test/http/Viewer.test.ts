// One viewer, read by hand under a clock that the test moves: what it is sent, and when.
import { Agent, UpdateLog } from "@effect-baton/core"
import { RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import { passing } from "../support/time.ts"
import { analyst, type Engine, engine, routes } from "./served.ts"
import { blocksOf, type Heard, named, textOf, updatesOf } from "./watching.ts"

const { completed, pause, text } = ScriptedModel

const labels = { owner: "alice" }
const follow = Stream.runDrain(Agent.stream(analyst, { input: "x", runId: "r", labels }))

const decoder = new TextDecoder()

/** A viewer of the run, as a host of the fetch kind has it, and what reads its next piece. */
const viewing = Effect.gen(function* () {
  const context = yield* Effect.context<Engine>()
  let viewers: RunViewers.RunViewers["Service"] | undefined
  const counted = Layer.effectDiscard(Effect.map(RunViewers.RunViewers, (service) => void (viewers = service)))
  const { dispose, handler } = HttpRouter.toWebHandler(
    Layer.merge(routes(), counted).pipe(
      Layer.provide([RunViewers.layer(), HttpServer.layerServices]),
      Layer.provide(Layer.succeedContext(context))
    ),
    { disableLogger: true }
  )
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  const response = yield* Effect.promise(() =>
    handler(new Request("http://host/api/runs/r/updates", { headers: { authorization: "Bearer alice" } }))
  )
  const reader = response.body!.getReader()
  yield* Effect.addFinalizer(() => Effect.promise(() => reader.cancel().catch(() => {})))
  const read = Effect.promise(() => reader.read()).pipe(
    Effect.map((piece): ReadonlyArray<Heard> => (piece.done ? [] : blocksOf(decoder.decode(piece.value))))
  )
  return { read, viewers: viewers! }
})

/** All that is left to read. */
const rest = (read: Effect.Effect<ReadonlyArray<Heard>>) =>
  Effect.gen(function* () {
    const heard: Array<Heard> = []
    for (let piece = yield* read; piece.length > 0; piece = yield* read) heard.push(...piece)
    return heard
  })

/** More than goes out at once: several of them are in each chunk of the log. */
const large = Array.from({ length: 40 }, (_, i) => `${i} ${"x".repeat(10_000)}`)
const report = [...Array.from({ length: 1000 }, (_, i) => text(`${i} `)), completed]

/** Lets the server do what it does, while the clock stands still. */
const real = Effect.promise(async () => {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
})

describe("a viewer", () => {
  it.effect("gets a comment at once, then small pieces of a large run, and comes to its end", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { read, viewers } = yield* viewing
      const heard: Array<Heard> = [...(yield* read)]
      assert.deepEqual<unknown>(heard, [{ comment: ": heartbeat" }])
      for (let piece = yield* read; piece.length > 0; piece = yield* read) {
        assert.isBelow(JSON.stringify(piece).length, 64 * 1024)
        heard.push(...piece)
      }
      assert.strictEqual(textOf(heard), large.join(""))
      assert.strictEqual(heard.at(-1)?.event, "end")
      yield* Effect.repeat(Effect.andThen(real, viewers.count), { until: (count) => count === 0 })
    }).pipe(Effect.scoped, Effect.provide(engine([...large.map((word) => text(word)), completed])))
  )

  it.effect("that takes nothing for its time is sent away with the id of the last update that it got", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { read } = yield* viewing
      yield* read
      const early = yield* read
      yield* real
      yield* TestClock.adjust("59 seconds")
      yield* read
      yield* real
      yield* TestClock.adjust("59 seconds")
      const late = yield* read
      assert.isNotEmpty(updatesOf(late), "it was in time, twice")
      yield* real
      yield* TestClock.adjust("63 seconds")
      const heard = [...early, ...late, ...(yield* rest(read))]
      assert.lengthOf(named(heard, "end"), 0)
      const { data, event } = heard.at(-1)!
      assert.strictEqual(event, "retry-later")
      assert.deepEqual<unknown>(data, { reason: "slow", after: updatesOf(heard).at(-1)?.id })
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.effect("that takes nothing for longer is cut off, and leaves its place to others", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { read, viewers } = yield* viewing
      yield* read
      yield* real
      yield* TestClock.adjust("72 seconds")
      yield* real
      assert.strictEqual(yield* viewers.count, 1)
      yield* TestClock.adjust("15 seconds")
      yield* Effect.repeat(Effect.andThen(real, viewers.count), { until: (count) => count === 0 })
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.effect("that waits for a silent run is never slow, and gets comments", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels })
      const { read } = yield* viewing
      yield* read
      for (let beats = 0; beats < 20; beats++) {
        yield* real
        yield* TestClock.adjust("18 seconds")
        assert.deepEqual<unknown>(yield* read, [{ comment: ": heartbeat" }])
      }
    }).pipe(Effect.scoped, Effect.provide(engine([pause("1 hour"), completed])))
  )

  it.effect("is sent away if the log cannot be read, and the log's own error is not shown", () => {
    let left = Infinity
    const broken = Layer.effect(
      UpdateLog.UpdateLog,
      Effect.map(UpdateLog.UpdateLog, (log) => ({
        ...log,
        read: (...args: Parameters<typeof log.read>) =>
          Effect.suspend(() => (left-- > 0 ? log.read(...args) : Effect.die(new Error("a secret of the log"))))
      }))
    )
    return Effect.gen(function* () {
      yield* passing(follow)
      // The look before the first byte is well.
      left = 1
      const { read } = yield* viewing
      const heard = yield* passing(rest(read))
      assert.deepEqual<unknown>(heard.at(-1), { event: "retry-later", data: { reason: "trouble" } })
      assert.notMatch(JSON.stringify(heard), /secret/)
    }).pipe(Effect.scoped, Effect.provide(broken.pipe(Layer.provideMerge(engine([completed])))))
  })

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
