// A process that runs a tool call is told to stop, or is paused for longer than its lease.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describeShared } from "../support/redisServer.ts"
import * as Walk from "./tools.ts"
import { noted, run, spawn } from "./toolsChild.ts"
import { type How, judge, nameOf, services, type Setting, setting, viewing } from "./toolsSetting.ts"

/** The only call of the turn in which handlers wait for their gate. */
const key = `${Walk.runId}:1:call_a`

const isStarted =
  (life: string) =>
  ({ did, key: of, life: by }: Walk.Note) =>
    did === "starts" && of === key && by === life

const gateOf = ({ directory }: Setting, life: string) => join(directory, `gate-${life}`)
const open = (at: Setting, life: string) => Effect.sync(() => writeFileSync(gateOf(at, life), ""))

const envOf = (at: Setting, life: string, more: Record<string, string> = {}) => ({
  ...at.env,
  LIFE: life,
  GATE: gateOf(at, life),
  ...more
})

/** Waits until something is so. */
const until = <E, R>(isSo: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(isSo, { until: (is) => is, schedule: Schedule.spaced("5 millis") })

const hasReached = ({ directory }: Setting, place: string) =>
  until(Effect.sync(() => Walk.reached.read(directory).some((line) => line.place === place)))

const hasResult = (at: Setting) =>
  Effect.map(at.record, ({ journal }) => journal.some((fact) => fact._tag === "ToolEnded" && fact.turn === 1))

/** The result that counts, and all attempts of the call. */
const ended = Effect.fnUntraced(function* (at: Setting) {
  const { notes, record } = yield* judge(at)
  const results = record.journal.flatMap((fact) => (fact._tag === "ToolEnded" && fact.turn === 1 ? [fact.result] : []))
  const starts = notes.filter(({ did, key: of }) => did === "starts" && of === key)
  return { result: results[0], attempts: starts.map(({ attempt, life }) => `${life}.${attempt}`), notes }
})

const stopping = (name: string, how: How, redis: Effect.Effect<string | undefined>) =>
  describe(name, () => {
    const told = Effect.fnUntraced(function* (at: Setting, more: Record<string, string>) {
      const first = yield* spawn(envOf(at, "first", more))
      yield* noted(at.directory, isStarted("first"))
      yield* Effect.forkChild(Effect.ignore(first.kill({ killSignal: "SIGTERM" })))
      yield* hasReached(at, "SIGTERM")
      return Effect.exit(first.exitCode)
    })

    it.live(
      "SIGTERM: a handler has closeTimeout to end, and its result is recorded",
      () =>
        Effect.gen(function* () {
          const at = yield* setting(how, yield* redis)
          const exit = yield* told(at, {})
          yield* open(at, "first")
          yield* exit
          const { due, lease, parked } = yield* at.record
          assert.isTrue(yield* hasResult(at))
          assert.isNull(lease)
          assert.isNull(parked)
          assert.isAtMost(due ?? Number.POSITIVE_INFINITY, Date.now())
          assert.strictEqual(yield* run(envOf(at, "next")), 0)
          if (at.logged) yield* viewing(at)
          const { attempts, result } = yield* ended(at)
          assert.deepStrictEqual(attempts, ["first.1"])
          assert.deepStrictEqual(result, { said: "1a", by: "first.1" })
        }).pipe(Effect.scoped, Effect.provide(services)),
      300_000
    )

    it.live(
      "SIGTERM: a handler that takes longer is interrupted, and runs again in the next process",
      () =>
        Effect.gen(function* () {
          const at = yield* setting(how, yield* redis)
          const exit = yield* told(at, { LEASE_TIME: "20000", CLOSE_TIMEOUT: "1500" })
          yield* exit
          assert.isFalse(yield* hasResult(at))
          yield* open(at, "next")
          assert.strictEqual(yield* run(envOf(at, "next")), 0)
          if (at.logged) yield* viewing(at)
          const { attempts, notes, result } = yield* ended(at)
          const did = notes.flatMap((note) => (note.life === "first" && note.key === key ? [note.did] : []))
          assert.deepStrictEqual(did, ["starts", "is interrupted"])
          assert.deepStrictEqual(attempts, ["first.1", "next.2"])
          assert.deepStrictEqual(result, { said: "1a", by: "next.2" })
        }).pipe(Effect.scoped, Effect.provide(services)),
      300_000
    )
  })

const streamed = { logged: false, polled: false }
const logged = { logged: true, polled: false }

describe.concurrent("a process that is told to stop while a handler runs, over files", () => {
  for (const how of [streamed, logged]) stopping(nameOf(how), how, Effect.undefined)
})

describeShared("a process that runs a handler, over Redis", (server) => {
  const redis = Effect.map(server, ({ url }) => url)
  describe.concurrent("is told to stop", () => {
    for (const how of [streamed, logged]) stopping(nameOf(how), how, redis)
  })

  /**
   * A process is paused in its handler, or right before it records the result, and another has taken the run from it, and is
   * in the same handler.
   */
  const paused = Effect.fnUntraced(function* (at: Setting, where: "handler" | "recording") {
    const stalls = where === "recording"
    const first = yield* spawn(envOf(at, "first", { LEASE_TIME: "6000", STALLS: stalls ? "yes" : "no" }))
    yield* stalls ? hasReached(at, "stalls") : noted(at.directory, isStarted("first"))
    process.kill(first.pid, "SIGSTOP")
    const next = yield* spawn(envOf(at, "next"))
    yield* noted(at.directory, isStarted("next"))
    const goesOn = Effect.sync(() => process.kill(first.pid, "SIGCONT"))
    return { goesOn, first: Effect.exit(first.exitCode), next: Effect.exit(next.exitCode) }
  })

  describe.concurrent.each([streamed, logged].map((how) => ({ how, name: nameOf(how) })))(
    "is paused for longer than its lease, $name",
    ({ how }) => {
      const viewed = (at: Setting) => (at.logged ? viewing(at) : Effect.void)

      it.live(
        "the one that took the run records its result first: the result of the other does not count",
        () =>
          Effect.gen(function* () {
            const at = yield* setting(how, yield* redis)
            const viewer = yield* Effect.forkChild(viewed(at))
            const { first, goesOn, next } = yield* paused(at, "recording")
            yield* open(at, "next")
            assert.deepStrictEqual(yield* next, Exit.succeed(0 as never))
            yield* open(at, "first")
            yield* goesOn
            assert.deepStrictEqual(yield* first, Exit.succeed(0 as never))
            yield* Fiber.join(viewer)
            const { attempts, result } = yield* ended(at)
            assert.deepStrictEqual(attempts, ["first.1", "next.2"])
            assert.deepStrictEqual(result, { said: "1a", by: "next.2" })
          }).pipe(Effect.scoped, Effect.provide(services)),
        300_000
      )

      it.live(
        "the one that was paused records its result first: the result of the other does not count",
        () =>
          Effect.gen(function* () {
            const at = yield* setting(how, yield* redis)
            const viewer = yield* Effect.forkChild(viewed(at))
            const { first, goesOn, next } = yield* paused(at, "recording")
            yield* open(at, "first")
            yield* goesOn
            yield* until(hasResult(at))
            yield* open(at, "next")
            assert.deepStrictEqual(yield* next, Exit.succeed(0 as never))
            assert.deepStrictEqual(yield* first, Exit.succeed(0 as never))
            yield* Fiber.join(viewer)
            const { attempts, result } = yield* ended(at)
            assert.deepStrictEqual(attempts, ["first.1", "next.2"])
            assert.deepStrictEqual(result, { said: "1a", by: "first.1" })
          }).pipe(Effect.scoped, Effect.provide(services)),
        300_000
      )

      it.live(
        "both go on at the same time: one result counts, for all",
        () =>
          Effect.gen(function* () {
            const at = yield* setting(how, yield* redis)
            const viewer = yield* Effect.forkChild(viewed(at))
            const { first, goesOn, next } = yield* paused(at, "handler")
            yield* open(at, "first")
            yield* open(at, "next")
            yield* goesOn
            assert.deepStrictEqual(yield* next, Exit.succeed(0 as never))
            assert.deepStrictEqual(yield* first, Exit.succeed(0 as never))
            yield* Fiber.join(viewer)
            const { attempts } = yield* ended(at)
            assert.deepStrictEqual(attempts, ["first.1", "next.2"])
          }).pipe(Effect.scoped, Effect.provide(services)),
        300_000
      )
    }
  )
})
