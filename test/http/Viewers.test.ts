// Many viewers, viewers that read nothing, and servers that stop. Over real sockets, under a clock that the test moves.
import { Agent, UpdateLog } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { connect } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { passing } from "../support/time.ts"
import { analyst, engine, serving, servingWith } from "./served.ts"
import { type Heard, lastIdOf, named, textOf, watch } from "./watching.ts"

const { completed, pause, text } = ScriptedModel

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const follow = (runId: string) =>
  Stream.runDrain(Agent.stream(analyst, { input: "x", runId, labels: { owner: "alice" } }))

/** Lets sockets do what they do, while the test clock stands still. */
const real = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))

/** Waits, without the test clock, until something is so. */
const until = <R>(condition: Effect.Effect<boolean, never, R>) =>
  Effect.repeat(Effect.andThen(real, condition), { until: (is) => is })

/** Waits, while the test clock moves on, until something is so. */
const eventually = (condition: () => boolean, step: number) =>
  Effect.repeat(Effect.andThen(TestClock.adjust(step), Effect.andThen(real, Effect.sync(condition))), {
    until: (is) => is
  })

/** A connection that asks for the updates of a run, and reads nothing of them. */
const unread = (url: string, runId: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { hostname, port } = new URL(url)
      const socket = connect({ host: hostname, port: Number(port) }).on("error", () => {})
      socket.pause()
      socket.write(`GET /api/runs/${runId}/updates HTTP/1.1\r\nhost: here\r\nauthorization: Bearer alice\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** More than sockets hold: sixteen megabytes, each text in a chunk of its own. */
const much = [
  ...Array.from({ length: 1000 }, (_, i) => [text(`${i} ${"x".repeat(16_000)}`), pause("60 millis")]).flat(),
  completed
]
const begun = [text("a"), pause("1 hour"), completed]

describe("viewers", () => {
  it.effect("get comments while nothing is said, which EventSource skips", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels: { owner: "alice" } })
      let heard: ReadonlyArray<Heard> = []
      const viewer = yield* Effect.forkChild(watch(url, "r", { onHeard: (now) => void (heard = now) }))
      yield* until(Effect.sync(() => heard.length === 1))
      for (let beats = 2; beats < 6; beats++) {
        yield* TestClock.adjust("14 seconds")
        yield* eventually(() => heard.length === beats, 1000)
      }
      for (const { comment, event, id } of heard) {
        assert.strictEqual(comment, ": heartbeat")
        assert.isUndefined(event ?? id)
      }
      yield* Fiber.interrupt(viewer)
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.effect("one more than a process takes is told when to try again, and a place is free once one leaves", () =>
    Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({ max: 2 })
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels: { owner: "alice" } })
      const first = yield* Effect.forkChild(watch(url, "r"))
      const second = yield* Effect.forkChild(watch(url, "r"))
      yield* until(Effect.map(viewers.count, (count) => count === 2))
      const third = yield* watch(url, "r")
      assert.strictEqual(third.status, 429)
      assert.strictEqual(third.headers.get("retry-after"), "5")
      assert.match(third.text, /#too-many-viewers/)
      yield* Fiber.interrupt(first)
      yield* until(Effect.map(viewers.count, (count) => count === 1))
      const { status } = yield* watch(url, "r", { until: (now) => now.length > 0 })
      assert.strictEqual(status, 200)
      yield* Fiber.interrupt(second)
      yield* until(Effect.map(viewers.count, (count) => count === 0))
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.effect("one that reads nothing is ended, and others see the whole", () =>
    Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({})
      yield* passing(follow("r"))
      const socket = yield* unread(url, "r")
      let isClosed = false
      socket.on("close", () => void (isClosed = true))
      yield* until(Effect.map(viewers.count, (count) => count === 1))
      const other = yield* watch(url, "r")
      assert.strictEqual(other.heard.at(-1)?.event, "end")
      let count = 1
      yield* Effect.repeat(
        Effect.andThen(
          TestClock.adjust("15 seconds"),
          Effect.andThen(
            real,
            Effect.map(viewers.count, (now) => (count = now))
          )
        ),
        { until: () => count === 0 }
      )
      socket.resume()
      yield* until(Effect.sync(() => isClosed))
    }).pipe(Effect.scoped, Effect.provide(engine(much)))
  )

  it.effect("those that read nothing hold a page of the log each, and not the run", () => {
    let reads = 0
    const counted = Layer.effect(
      UpdateLog.UpdateLog,
      Effect.map(UpdateLog.UpdateLog, (log) => ({
        ...log,
        read: (...args: Parameters<typeof log.read>) => Effect.suspend(() => (reads++, log.read(...args)))
      }))
    )
    return Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({ timeout: "1 hour" })
      yield* passing(follow("r"))
      yield* watch(url, "r")
      const begin = reads
      const whole = yield* watch(url, "r")
      const ofWhole = reads - begin
      assert.strictEqual(whole.heard.at(-1)?.event, "end")
      const used = () => {
        collect()
        const { arrayBuffers, external, heapUsed } = process.memoryUsage()
        return (heapUsed + external + arrayBuffers) / 2 ** 20
      }
      const before = { reads, used: used() }
      yield* Effect.forEach(Array.from({ length: 20 }), () => unread(url, "r"))
      yield* until(Effect.map(viewers.count, (count) => count === 20))
      // Until the log has not been read for a while.
      for (let last = -1, still = 0; still < 40; still = reads === last ? still + 1 : 0, last = reads) yield* real
      assert.isBelow(reads - before.reads, 20 * ofWhole, "no viewer has read all of the run")
      // All of it would be 320 MB; a page of this log is one.
      assert.isBelow(used() - before.used, 80)
    }).pipe(Effect.scoped, Effect.provide(counted.pipe(Layer.provideMerge(engine(much)))))
  })

  it.effect("a server that stops sends its viewers away, and then does not wait for them", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { url, viewers } = yield* Scope.provide(servingWith({}), scope)
      const following = yield* Effect.forkChild(follow("r"))
      let said = ""
      const eventSource = yield* Effect.forkChild(
        watch(url, "r", {
          headers: { accept: "text/event-stream" },
          onHeard: (now) => void (said = textOf(now))
        })
      )
      const plain = yield* Effect.forkChild(watch(url, "r"))
      yield* eventually(() => said === "a", 50)
      yield* until(Effect.map(viewers.count, (count) => count === 2))
      // The clock stands still, so nothing that waits for a time can end.
      yield* Scope.close(scope, Exit.void)
      const { heard } = yield* Fiber.join(eventSource)
      const { data, event, retry } = heard.at(-1)!
      assert.strictEqual(event, "retry-later")
      assert.deepEqual<unknown>(data, { reason: "shutdown", after: lastIdOf(heard) })
      assert.isTrue(retry !== undefined && retry >= 1000 && retry <= 5000)
      const { heard: others } = yield* Fiber.join(plain)
      assert.lengthOf(named(others, "retry-later"), 1)
      assert.isUndefined(others.at(-1)!.retry)

      const next = yield* serving()
      const again = yield* watch(next, "r", { lastEventId: data?.after, until: () => true })
      assert.strictEqual(again.status, 200)
      yield* Fiber.interrupt(following)
    }).pipe(Effect.scoped, Effect.provide(engine(begun)))
  )
})
