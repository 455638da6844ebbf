// What runs come to while their store is away or its disk is full, or newer runs lie in it, by the names of the scenarios.
import { Agent, type AgentError, TokenStore } from "@effect-baton/core"
import { NodeServices } from "@effect/platform-node"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, FileSystem, Layer, Logger, Stream } from "effect"
import { logLine, temporary } from "../support/directories.ts"
import * as Disks from "../support/disks.ts"
import {
  analyst,
  count,
  doneWith,
  halting,
  recordOf,
  type Services,
  statusOf,
  textOf,
  type Update
} from "../support/runs.ts"
import { changing, storeAway } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

describe("the store", () => {
  const ticking = [...Array.from({ length: 60 }, () => [text("x"), pause("1 second")]).flat(), completed]

  const troubled = () => {
    const state = { isAway: false }
    const layer = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() => (state.isAway ? Effect.fail(storeAway("commit")) : inner.commit(lease, commit))),
      renew: (lease, ttl, seen) =>
        Effect.suspend(() => (state.isAway ? Effect.fail(storeAway("commit")) : inner.renew(lease, ttl, seen)))
    }))
    return { state, layer }
  }

  it.effect(
    "N5: away for less than a lease: nothing is noticed but a line in the log when it begins, and one when it ends",
    () => {
      const { layer, state } = troubled()
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel} ${String(message)}`))
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
        yield* elapse(5000, 100)
        assert.deepStrictEqual(logged, [])
        state.isAway = true
        yield* elapse(20_000, 100)
        state.isAway = false
        const updates = yield* passing(Fiber.join(fiber))
        assert.strictEqual(textOf(updates), "x".repeat(60))
        assert.isNull(doneWith(yield* recordOf("r")))
        // For the writes of positions, and for the renewals of the lease: however often they failed.
        const what = (told: RegExp) => logged.flatMap((line) => told.exec(line)?.[1] ?? []).toSorted()
        const begun = what(/^Warn baton: (.* tried again[^,]*),.*away/)
        assert.strictEqual(new Set(begun).size, 2, logged.join("\n"))
        assert.deepStrictEqual(what(/^Info baton: recovered: (.*)$/), begun)
        assert.strictEqual(logged.length, 4, logged.join("\n"))
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(ticking), layer)), Effect.provide(Logger.layer([logger])))
    }
  )

  it.effect("away for longer than a lease: delivers until the lease is over, then StoreFailed", () => {
    const { layer, state } = troubled()
    return Effect.gen(function* () {
      let last = 0
      const fiber = yield* Effect.forkChild(
        Effect.timed(
          Effect.flip(
            Stream.runForEach(Agent.stream(analyst, input), (update) =>
              Effect.sync(() => void (last += update.text.length))
            )
          )
        )
      )
      yield* elapse(5000, 100)
      state.isAway = true
      const [took, error] = yield* passing(Fiber.join(fiber), 100)
      assert.strictEqual(error.reason._tag, "StoreFailed")
      assert.isTrue(error.isRetryable)
      assert.isAtMost(Duration.toSeconds(took), 36)
      assert.isAtLeast(last, 29)
      state.isAway = false
      yield* elapse(31_000, 500)
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 500)
      assert.isAtLeast(last + textOf(rest).length, 60)
      assert.strictEqual(rest.at(-1)?.status, "completed")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(ticking), layer)))
  })

  const onDisk = Effect.gen(function* () {
    const directory = yield* temporary
    const context = yield* Layer.buildWithScope(TokenStore.layerFile({ directory }), yield* Effect.scope)
    return { directory, store: Layer.succeedContext(context) }
  })

  it.live.each([
    ["disk full", "ENOSPC"],
    ["directory read-only", "EROFS"]
  ] as const)(
    "%s while a run is advanced: delivery goes on, and what could not be written is written later",
    ([, code]) =>
      Effect.gen(function* () {
        const disk = yield* Disks.Disk
        const { store } = yield* onDisk
        yield* Effect.gen(function* () {
          const read: Array<Update> = []
          const advancing = Stream.runForEach(Agent.stream(analyst, input), (update) =>
            Effect.sync(() => {
              read.push(update)
              if (update.text === "b") disk.refuses = (method) => (method === "write" ? code : undefined)
              if (update.text === "e") disk.refuses = () => undefined
            })
          )
          yield* advancing
          assert.strictEqual(textOf(read), "abcdef")
          const record = yield* recordOf("r")
          assert.strictEqual(yield* statusOf("r"), "completed")
          assert.isNull(doneWith(record))
          // And nothing can be started meanwhile, which is told before anything is bought.
          disk.refuses = (method) => (method === "write" ? code : undefined)
          const error = yield* Effect.flip(Agent.run(analyst, { ...input, runId: "s" }))
          assert.isTrue(
            error.reason._tag === "StoreFailed" && error.reason.error.kind === (code === "ENOSPC" ? "full" : "denied")
          )
          disk.refuses = () => undefined
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), store)))
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([])),
        Effect.provide(Disks.layer.pipe(Layer.provideMerge(NodeServices.layer)))
      )
  )

  it.live(
    "a worker of an older version beside a newer one: leaves its runs alone, whole, and goes on with its own",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        const log = `${directory}/runs.log`
        const using = <A, E>(use: Effect.Effect<A, E, Services | ScriptedModel.ScriptedModel>) =>
          use.pipe(
            Effect.provide(Layer.merge(ScriptedModel.layer(halting), TokenStore.layerFile({ directory })), {
              local: true
            })
          )
        yield* using(Agent.run(analyst, { ...input, runId: "old" }))
        const body = JSON.stringify([2, "new", "new", { version: 2, runId: "new", agent: "analyst", mood: "good" }])
        yield* fs.writeFileString(log, (yield* fs.readFileString(log)) + logLine(body))
        yield* using(
          Effect.gen(function* () {
            const theirs = { runId: "new" }
            const refused: ReadonlyArray<Effect.Effect<unknown, AgentError.AgentError, Services>> = [
              Stream.runDrain(Agent.stream(analyst, { ...input, ...theirs })),
              Stream.runDrain(Agent.resume(analyst, theirs)),
              Stream.runDrain(Agent.watch(analyst, theirs)),
              Agent.start(analyst, { ...input, ...theirs }),
              Agent.poll(analyst, theirs),
              Agent.cancel(analyst, theirs),
              Agent.remove(analyst, theirs)
            ]
            for (const verb of refused) {
              const error = yield* Effect.flip(verb)
              assert.isTrue(error.reason._tag === "StoreFailed" && error.reason.error.kind === "newer")
              assert.isFalse(error.isRetryable)
            }
            assert.strictEqual(yield* count("create"), 0)
            yield* Effect.forEach([1, 2, 3], (n) => Agent.run(analyst, { ...input, runId: `own ${n}` }), {
              concurrency: "unbounded"
            })
          })
        )
        // Its next start rewrites the log, perhaps; what it does not understand stays as it was, to the letter.
        yield* using(Agent.run(analyst, { ...input, runId: "another" }))
        assert.include(yield* fs.readFileString(log), body)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
