// One viewer, read by hand under a clock that the test moves: what it is sent, and when.
import { Agent, ContinuationToken, UpdateLog } from "@effect-baton/core"
import { RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Pull, Scope, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { passing } from "../support/time.ts"
import { analyst, type Engine, engine, routes } from "./served.ts"
import { blocksOf, type Heard, named, textOf, updatesOf } from "./watching.ts"

const { completed, pause, text } = ScriptedModel

const labels = { owner: "alice" }
const follow = Stream.runDrain(Agent.stream(analyst, { input: "x", runId: "r", labels }))

const decoder = new TextDecoder()

/** A viewer of the run that takes a piece of the response whenever `read` is run, and none by itself. */
const viewing = Effect.gen(function* () {
  const context = yield* Effect.context<Engine>()
  const app = yield* HttpRouter.toHttpEffect(
    routes().pipe(
      Layer.provide([RunViewers.layer(), HttpServer.layerServices]),
      Layer.provide(Layer.succeedContext(context))
    )
  )
  const request = new Request("http://host/api/runs/r/updates", { headers: { authorization: "Bearer alice" } })
  const response = yield* Effect.orDie(
    Effect.provideService(app, HttpServerRequest.HttpServerRequest, HttpServerRequest.fromWeb(request))
  )
  if (response.body._tag !== "Stream") return yield* Effect.die(`it is answered with ${response.status}`)
  const pull = yield* Stream.toPull(response.body.stream)
  const read = pull.pipe(
    Effect.map(([piece]): ReadonlyArray<Heard> => blocksOf(decoder.decode(piece))),
    Pull.catchDone(() => Effect.succeed([])),
    Effect.orDie
  )
  return { read }
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

describe("a viewer", () => {
  it.effect("gets a comment at once, then small pieces of a large run, and comes to its end", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { read } = yield* viewing
      const heard: Array<Heard> = [...(yield* read)]
      assert.deepEqual<unknown>(heard, [{ comment: ": heartbeat" }])
      for (let piece = yield* read; piece.length > 0; piece = yield* read) {
        assert.isBelow(JSON.stringify(piece).length, 64 * 1024)
        heard.push(...piece)
      }
      assert.deepEqual<unknown>(heard.at(-1), { event: "end", data: { status: "completed" } })
      assert.strictEqual(textOf(heard), large.join(""))
    }).pipe(Effect.scoped, Effect.provide(engine([...large.map((word) => text(word)), completed])))
  )

  it.live("shares the events of its updates, a sealed session among them, with the others at its place", () =>
    Effect.gen(function* () {
      const codec = yield* ContinuationToken.TokenCodec
      let sealed = 0
      const counting = ContinuationToken.TokenCodec.of({
        ...codec,
        seal: (payload) => {
          if (payload.startsWith("session.")) sealed++
          return Effect.andThen(Effect.yieldNow, codec.seal(payload))
        }
      })
      yield* Agent.start(analyst, { input: "x", runId: "r", labels })
      const viewers = yield* Effect.provideService(
        Effect.all(Array.from({ length: 20 }, () => viewing)),
        ContinuationToken.TokenCodec,
        counting
      )
      const watching = yield* Effect.forEach(viewers, ({ read }) => Effect.forkChild(rest(read)))
      yield* follow
      const all = yield* Effect.forEach(watching, (fiber) => Fiber.join(fiber))
      const sessions = new Set(all.map((heard) => updatesOf(heard).at(-1)?.data?.session))
      assert.strictEqual(sessions.size, 1)
      assert.isString([...sessions][0])
      assert.strictEqual(sealed, 1)
    }).pipe(Effect.scoped, Effect.provide(engine([text("Hello"), pause("50 millis"), completed])))
  )

  it.live("that leaves while the session of its update is sealed holds up no other", () =>
    Effect.gen(function* () {
      const codec = yield* ContinuationToken.TokenCodec
      const begun = yield* Latch.make()
      const goOn = yield* Latch.make()
      const slow = ContinuationToken.TokenCodec.of({
        ...codec,
        seal: (payload) =>
          payload.startsWith("session.")
            ? Effect.andThen(begun.open, Effect.andThen(goOn.await, codec.seal(payload)))
            : codec.seal(payload)
      })
      yield* Agent.start(analyst, { input: "x", runId: "r", labels })
      const [first, second] = yield* Effect.provideService(
        Effect.all([viewing, viewing]),
        ContinuationToken.TokenCodec,
        slow
      )
      const leaving = yield* Effect.forkChild(rest(first.read))
      const following = yield* Effect.forkChild(follow)
      yield* begun.await
      const staying = yield* Effect.forkChild(rest(second.read))
      yield* Fiber.interrupt(leaving)
      yield* goOn.open
      yield* Fiber.join(following)
      assert.isString(updatesOf(yield* Fiber.join(staying)).at(-1)?.data?.session)
    }).pipe(Effect.scoped, Effect.provide(engine([text("Hello"), completed])))
  )

  it.effect("that takes nothing for its time is sent away with the id of the last update that it got", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { read } = yield* viewing
      yield* read
      const early = yield* read
      yield* TestClock.adjust("56 seconds")
      const late = yield* read
      assert.isNotEmpty(updatesOf(late), "it was in time")
      yield* TestClock.adjust("63 seconds")
      const heard = [...early, ...late, ...(yield* rest(read))]
      assert.lengthOf(named(heard, "end"), 0)
      const { data, event } = heard.at(-1)!
      assert.strictEqual(event, "retry-later")
      assert.deepEqual<unknown>(data, { reason: "slow", after: updatesOf(heard).at(-1)?.id })
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.effect("that takes nothing for longer is cut off", () =>
    Effect.gen(function* () {
      yield* passing(follow)
      const { read } = yield* viewing
      // As a server does whose socket is full.
      const writer = yield* Effect.forkChild(Effect.andThen(read, Effect.never))
      yield* TestClock.adjust("72 seconds")
      assert.isUndefined(writer.pollUnsafe())
      yield* TestClock.adjust("6 seconds")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(writer)))
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.effect("that waits for a silent run is never slow, and gets comments", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels })
      const { read } = yield* viewing
      yield* read
      for (let beats = 0; beats < 20; beats++) {
        const piece = yield* Effect.forkChild(read)
        yield* TestClock.adjust("18 seconds")
        assert.deepEqual<unknown>(yield* Fiber.join(piece), [{ comment: ": heartbeat" }])
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
