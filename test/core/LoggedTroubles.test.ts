// Runs with an update log that cannot be reached, or that another worker writes.
import { Agent, type AgentUpdate, Run, RunPolicy, TokenStore, UpdateLog, UpdateLogError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { analyst, reasonOf, recordOf, requests, stateOf, textOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, incomplete, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const runId = Run.RunId.make("r")

type Log = UpdateLog.UpdateLog["Service"]

const away = (operation: string) =>
  new UpdateLogError.UpdateLogError({ operation, kind: "unavailable", description: "away" })

/** A log in memory with some operations changed. */
const changing = (change: (inner: Log) => Partial<Log>) =>
  Layer.effect(
    UpdateLog.UpdateLog,
    Effect.map(UpdateLog.UpdateLog, (inner) => ({ ...inner, ...change(inner) }))
  ).pipe(Layer.provide(UpdateLog.layerMemory))

const over = (log: Layer.Layer<UpdateLog.UpdateLog>, steps: ReadonlyArray<ScriptedModel.Step> = slowly) =>
  Layer.mergeAll(ScriptedModel.layer(steps), TokenStore.layerMemory, log)

const slowly = [text(["a", "b"]), pause("1 second"), text("c"), pause("1 second"), text(["d", "e"]), completed]

const watched = Stream.runCollect(Agent.watch(analyst, ref))

describe("a log that is away for a while", () => {
  it.effect("holds the updates back, and loses none", () => {
    let isAway = false
    let appended = 0
    const seen: Array<string> = []
    const log = changing((inner) => ({
      append: (id, chunk) =>
        Effect.suspend(() => {
          if (isAway) return Effect.fail(away("append"))
          appended += chunk.count
          return inner.append(id, chunk)
        })
    }))
    return Effect.gen(function* () {
      const consumer = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, input), (update) =>
          Effect.sync(() => {
            seen.push(update.text)
            assert.isAtMost(seen.length, appended, "it is in the log first")
          })
        )
      )
      yield* elapse(500)
      isAway = true
      const before = seen.length
      yield* elapse(5000)
      assert.strictEqual(seen.length, before)
      assert.strictEqual(seen.join(""), "ab")
      isAway = false
      yield* passing(Fiber.join(consumer))
      assert.strictEqual(seen.join(""), "abcde")
      assert.deepStrictEqual(yield* requests, ["create"])
    }).pipe(Effect.provide(over(log)))
  })

  it.effect("is asked again for an answer that was lost, and has nothing twice", () => {
    let lost = 0
    const log = changing((inner) => ({
      append: (id, chunk) =>
        Effect.flatMap(inner.append(id, chunk), (grown) =>
          lost++ % 2 === 0 ? Effect.fail(away("append")) : Effect.succeed(grown)
        )
    }))
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.strictEqual(textOf(updates), "abcde")
      assert.isAbove(lost, 4)
      const seen = yield* watched
      assert.strictEqual(textOf(seen), "abcde")
      assert.strictEqual(seen.length, updates.length)
    }).pipe(Effect.provide(over(log)))
  })

  it.effect("fails the stream once the policy gives up, and the run goes on with the next one", () => {
    let isAway = true
    const log = changing((inner) => ({
      append: (id, chunk) => (isAway ? Effect.fail(away("append")) : inner.append(id, chunk))
    }))
    const briefly = RunPolicy.layer({ reconnect: Schedule.upTo(Schedule.spaced("1 second"), { times: 3 }) })
    return Effect.gen(function* () {
      const reason = yield* reasonOf(Stream.runDrain(Agent.stream(analyst, input)))
      assert.isTrue(reason._tag === "LogFailed" && reason.isRetryable)
      assert.strictEqual((yield* recordOf("r")).position.offset, 0)
      isAway = false
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.strictEqual(textOf(updates), "abcde")
    }).pipe(Effect.provide(Layer.merge(over(log), briefly)))
  })

  it.effect("fails a viewer once the policy gives up, and the next one reads it", () => {
    let isAway = false
    const log = changing((inner) => ({
      read: (id, options) => (isAway ? Effect.fail(away("read")) : inner.read(id, options))
    }))
    const briefly = RunPolicy.layer({ reconnect: Schedule.upTo(Schedule.spaced("1 second"), { times: 3 }) })
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      isAway = true
      for (let i = 0; i < 2; i++) assert.strictEqual((yield* reasonOf(watched))._tag, "LogFailed")
      isAway = false
      assert.strictEqual(textOf(yield* watched), textOf(updates))
    }).pipe(Effect.provide(Layer.merge(over(log), briefly)))
  })
})

describe("a log that says late that the run has ended", () => {
  for (const end of [completed, incomplete(), failed("once")]) {
    it.effect(`does not hide that the consumer was finished with all of it (${end._tag}, ${end.status})`, () => {
      let isSplit = false
      const log = changing((inner) => ({
        append: (id, chunk) => {
          if (!chunk.ended) return inner.append(id, chunk)
          if (chunk.count === 0) return Effect.delay(inner.append(id, chunk), "1 second")
          if (isSplit) return inner.append(id, chunk)
          isSplit = true
          // The process dies between the last update and the end of the log.
          return Effect.andThen(inner.append(id, { ...chunk, ended: false }), Effect.never)
        }
      }))
      return Effect.gen(function* () {
        const first = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
        yield* elapse(500)
        yield* Fiber.interrupt(first)
        const exit = yield* passing(Effect.exit(Stream.runDrain(Agent.stream(analyst, input))))
        assert.strictEqual(exit._tag, end.status === "failed" ? "Failure" : "Success")
        assert.isTrue((yield* stateOf("r")).delivered)
      }).pipe(Effect.provide(over(log, [text(["a", "b"]), end])))
    })
  }
})

describe("a log that loses its newest chunk while it is written", () => {
  it.effect("is written again from there: the consumer gets what was lost again, and viewers are told", () => {
    let isLosing = false
    const log = changing((inner) => ({
      append: Effect.fnUntraced(function* (id, chunk) {
        if (isLosing) {
          isLosing = false
          const { chunks } = yield* Effect.orDie(inner.read(id, { from: 0, limit: 100 }))
          yield* inner.remove(id)
          for (const kept of chunks.slice(0, -1)) yield* inner.append(id, kept)
        }
        return yield* inner.append(id, chunk)
      })
    }))
    return Effect.gen(function* () {
      const seen: Array<AgentUpdate.AgentUpdate> = []
      const consumer = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, input), (update) => Effect.sync(() => void seen.push(update)))
      )
      const viewer = yield* Effect.forkChild(Effect.delay(Effect.flip(watched), "100 millis"))
      yield* elapse(1500)
      assert.strictEqual(textOf(seen), "abc")
      isLosing = true
      yield* passing(Fiber.join(consumer))
      // "c" was lost after the consumer had finished with it, and is now at its old place again.
      assert.strictEqual(textOf(seen), "abccde")
      const again = yield* passing(watched)
      assert.strictEqual(textOf(again), "abcde")
      assert.deepStrictEqual(
        placesOf(again),
        again.map((_, i) => i + 1)
      )
      const { reason } = yield* passing(Fiber.join(viewer))
      assert.isTrue(reason._tag === "TokenInvalid" && reason.kind === "rewritten")
    }).pipe(Effect.provide(over(log)))
  })
})

describe("a log that another worker writes", () => {
  it.effect("stops the worker before, as if its lease was lost, and viewers read one story", () =>
    Effect.gen(function* () {
      const viewer = yield* Effect.forkChild(Effect.delay(watched, "100 millis"))
      const first = yield* Effect.forkChild(
        Effect.flip(Stream.runDrain(Agent.stream(analyst, input)).pipe(Effect.provide(firstWorker)))
      )
      yield* elapse(300)
      const second = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, { ...input, ifLeased: "steal" })))
      yield* passing(Fiber.await(first))
      const { reason } = yield* Fiber.join(first)
      assert.strictEqual(reason._tag, "LeaseLost")
      const rest = yield* passing(Fiber.join(second))
      const all = yield* passing(Fiber.join(viewer))
      assert.strictEqual(textOf(all), "abcde")
      assert.strictEqual(textOf(rest).endsWith("cde"), true)
      assert.deepStrictEqual(
        placesOf(all),
        all.map((_, i) => i + 1)
      )
      // Each of the two wrote in its own epoch.
      assert.strictEqual(new Set(all.map(epochOf)).size, 2)
      const log = yield* UpdateLog.UpdateLog
      assert.isTrue((yield* log.read(runId, { from: 0, limit: 1 })).ended)
    }).pipe(Effect.provide(over(UpdateLog.layerMemory)))
  )
})

const firstWorker = RunPolicy.layer({ workerName: "first" })
const placesOf = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) =>
  updates.map(({ continuationToken }) => Option.getOrThrow(continuationToken).offset)
const epochOf = ({ continuationToken }: AgentUpdate.AgentUpdate) => Option.getOrThrow(continuationToken).epoch
