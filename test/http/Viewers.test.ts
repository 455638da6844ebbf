// Many viewers, slow viewers, and servers that stop.
import { Agent } from "@effect-baton/core"
import { RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { connect } from "node:net"
import { analyst, engine, serving, servingWith } from "./served.ts"
import { lastIdOf, named, textOf, updatesOf, watch } from "./watching.ts"

const { completed, pause, text } = ScriptedModel

const follow = (runId: string) =>
  Stream.runDrain(Agent.stream(analyst, { input: "x", runId, labels: { owner: "alice" } }))

/** Holds once something is so. */
const until = <R>(condition: Effect.Effect<boolean, never, R>) =>
  Effect.repeat(Effect.delay(condition, "5 millis"), { until: (is) => is })

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

/** More than sockets hold: eight megabytes. */
const much = [...Array.from({ length: 1000 }, (_, i) => text(`${i} ${"x".repeat(8000)}`)), completed]

describe("viewers", () => {
  it.live("get heartbeats that EventSource skips, while nothing is said", () =>
    Effect.gen(function* () {
      const url = yield* serving({ heartbeat: "30 millis" })
      const following = yield* Effect.forkChild(follow("r"))
      const { heard } = yield* watch(url, "r", {
        until: (now) => now.filter(({ comment }) => comment !== undefined).length >= 5
      })
      for (const { comment, event, id } of heard) assert.isTrue(comment === undefined || (event ?? id) === undefined)
      yield* Fiber.interrupt(following)
    }).pipe(Effect.scoped, Effect.provide(engine([text("a"), pause("1 hour"), completed])))
  )

  it.live("one more than a process takes is told when to try again, and a place is free once one leaves", () =>
    Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({ max: 2 })
      const following = yield* Effect.forkChild(follow("r"))
      const begun = { until: () => false }
      const first = yield* Effect.forkChild(watch(url, "r", begun))
      const second = yield* Effect.forkChild(watch(url, "r", begun))
      yield* until(Effect.map(viewers.count, (count) => count === 2))
      const third = yield* watch(url, "r")
      assert.strictEqual(third.status, 429)
      assert.strictEqual(third.headers.get("retry-after"), "5")
      assert.match(third.text, /#too-many-viewers/)
      yield* Fiber.interrupt(first)
      yield* until(Effect.map(viewers.count, (count) => count === 1))
      const { heard } = yield* watch(url, "r", { until: (now) => textOf(now) === "a" })
      assert.strictEqual(textOf(heard), "a")
      yield* Fiber.interrupt(second)
      yield* until(Effect.map(viewers.count, (count) => count === 0))
      yield* Fiber.interrupt(following)
    }).pipe(Effect.scoped, Effect.provide(engine([text("a"), pause("1 hour"), completed])))
  )

  it.live("one that reads nothing is ended, and its run and the others go on", () =>
    Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({ timeout: "400 millis" })
      yield* follow("r")
      yield* unread(url, "r")
      yield* until(Effect.map(viewers.count, (count) => count === 1))
      const other = yield* watch(url, "r")
      assert.strictEqual(other.heard.at(-1)?.event, "end")
      yield* until(Effect.map(viewers.count, (count) => count === 0))
    }).pipe(Effect.scoped, Effect.provide(engine(much)))
  )

  it.live("one that reads again in time is told where to go on", () =>
    Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({ timeout: "400 millis" })
      yield* follow("r")
      const whole = updatesOf((yield* watch(url, "r")).heard)
      const socket = yield* unread(url, "r")
      let read = ""
      socket.setEncoding("utf8").on("data", (piece: string) => void (read += piece))
      socket.pause()
      yield* until(Effect.map(viewers.count, (count) => count === 1))
      yield* Effect.sleep("420 millis")
      socket.resume()
      yield* until(Effect.sync(() => read.endsWith("\r\n0\r\n\r\n")))
      const [, after] = /event: retry-later\ndata: {"reason":"slow","after":"(\d+\.\d+)"}/.exec(read) ?? []
      const { heard } = yield* watch(url, "r", { lastEventId: after })
      assert.deepStrictEqual(updatesOf(heard), whole.slice(Number(after?.split(".")[0])))
    }).pipe(Effect.scoped, Effect.provide(engine(much)))
  )

  it.live("those that read nothing cost no memory that grows", () =>
    Effect.gen(function* () {
      const { url, viewers } = yield* servingWith({ timeout: "1 hour" })
      yield* follow("r")
      yield* watch(url, "r")
      const used = Effect.sync(() => {
        globalThis.gc?.()
        const { arrayBuffers, external, heapUsed } = process.memoryUsage()
        return (heapUsed + external + arrayBuffers) / 2 ** 20
      })
      const before = yield* used
      yield* Effect.forEach(Array.from({ length: 20 }), () => unread(url, "r"))
      yield* until(Effect.map(viewers.count, (count) => count === 20))
      yield* Effect.sleep("500 millis")
      // All of the run would be 160 MB for twenty viewers.
      assert.isBelow((yield* used) - before, 80)
    }).pipe(Effect.scoped, Effect.provide(engine(much)))
  )

  it.live("a server that stops sends its viewers away, and then does not wait for them", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { url, viewers } = yield* Scope.provide(servingWith({}), scope)
      const following = yield* Effect.forkChild(follow("r"))
      let heardNow = ""
      const onHeard = (now: Parameters<typeof textOf>[0]) => void (heardNow = textOf(now))
      const eventSource = yield* Effect.forkChild(
        watch(url, "r", { headers: { accept: "text/event-stream" }, onHeard })
      )
      const plain = yield* Effect.forkChild(watch(url, "r"))
      yield* until(Effect.map(viewers.count, (count) => count === 2 && heardNow === "a"))
      const begun = Date.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(Date.now() - begun, 3000)
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
    }).pipe(Effect.scoped, Effect.provide(engine([text("a"), pause("1 hour"), completed])))
  )

  it.live("a service whose scope closes takes no more viewers", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const viewers = yield* Scope.provide(RunViewers.make({}), scope)
      yield* Scope.close(scope, Exit.void)
      const refused = yield* Effect.flip(Effect.scoped(viewers.enter({ look: () => {}, dismiss: () => {} })))
      assert.strictEqual(refused, "closing")
    })
  )
})
