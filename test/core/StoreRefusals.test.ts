// Guarantee 12: what a run comes to while its store refuses what it writes, or is away (E17).
import { Agent, type AgentUpdate, type RunRecord, TokenStore, TokenStoreError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { analyst, doneWith, recordOf, statusOf, textOf } from "../support/runs.ts"
import { changing, storeAway } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

const corrupt = new TokenStoreError.TokenStoreError({ operation: "commit", kind: "corrupt", description: "not now" })

describe("a store that refuses a commit for good", () => {
  const steps = [...Array.from({ length: 20 }, (_, i) => [text(`${i} `), pause("1 second")]).flat(), completed]
  const textOfSome = (n: number) => Array.from({ length: n }, (_, i) => `${i} `).join("")

  it.effect("E17: later positions are written all the same", () => {
    let commits = 0
    const store = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() =>
          commit.position !== undefined && ++commits === 3 ? Effect.fail(corrupt) : inner.commit(lease, commit)
        )
    }))
    return Effect.gen(function* () {
      const reading = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
      yield* elapse(10_000, 100)
      assert.isAtLeast(commits, 5)
      yield* Fiber.interrupt(reading)
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 200)
      // The last update that it had in hand comes again.
      assert.isAtMost(textOf(rest).length, textOfSome(20).length - textOfSome(9).length)
      assert.isTrue(textOfSome(20).endsWith(textOf(rest)))
      assert.isNull(doneWith(yield* recordOf("r")))
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), store)))
  })

  const refusing = (tag: RunRecord.NewFact["_tag"]) => {
    const state = { denieds: 0, isRefusing: true }
    const layer = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() => {
          if (!state.isRefusing || commit.facts?.some(({ _tag }) => _tag === tag) !== true) {
            return inner.commit(lease, commit)
          }
          state.denieds++
          return Effect.fail(corrupt)
        })
    }))
    return { layer, state }
  }

  it.effect("E17: a fact that it refuses does not block positions, while the run is read and when it is left", () => {
    const { layer, state } = refusing("ResponseEnded")
    return Effect.gen(function* () {
      const read: Array<AgentUpdate.AgentUpdate> = []
      // The last updates come with the end, and the consumer takes its time with the last.
      const reading = yield* Effect.forkChild(
        Effect.exit(
          Stream.runForEach(Agent.stream(analyst, input), (update) =>
            Effect.andThen(
              Effect.sync(() => void read.push(update)),
              update.status === "completed" ? Effect.sleep("5 seconds") : Effect.void
            )
          )
        )
      )
      yield* elapse(20_500, 100)
      assert.isAbove(state.denieds, 0)
      assert.strictEqual(read.at(-1)?.status, "completed")
      const { position } = yield* recordOf("r")
      const [beforeIt] = read.slice(-2)
      assert.deepStrictEqual(Option.getOrUndefined(beforeIt!.continuationToken), position)
      // Left in the middle: what it was done with is written, though the fact is not.
      yield* passing(Fiber.interrupt(reading))
      assert.deepStrictEqual((yield* recordOf("r")).position, position)
      assert.isNull((yield* recordOf("r")).lease)
      state.isRefusing = false
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 200)
      assert.strictEqual(rest.at(-1)?.status, "completed")
      assert.isNull(doneWith(yield* recordOf("r")))
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), layer)))
  })

  it.effect("E17: the position of a consumer that ends early is written beside a fact that is refused", () => {
    const { layer, state } = refusing("ResponseEnded")
    return Effect.gen(function* () {
      const read = yield* passing(
        Stream.runCollect(Stream.takeUntil(Agent.stream(analyst, input), ({ part }) => part?.type === "text-end")),
        100
      )
      assert.isAbove(state.denieds, 0)
      assert.deepStrictEqual(Option.getOrUndefined(read.at(-1)!.continuationToken), (yield* recordOf("r")).position)
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer([text("a"), text("b"), completed]), layer)))
  })
})

describe("fifty runs while the store is away", () => {
  const steps = (length: number) => [
    ...Array.from({ length }, () => [text("x"), pause("500 millis")]).flat(),
    completed
  ]
  it.effect.each([
    // Positions cannot be written then, and after a third of a lease it cannot be renewed either.
    ["3 s", 3000, 2],
    ["20 s", 20_000, 4]
  ] as const)("E17: for %s log a line each when it begins, and one when it ends", ([, millis, most]) => {
    const { layer, lines } = logged()
    let isAway = false
    const unlessAway = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | TokenStoreError.TokenStoreError> =>
        isAway ? Effect.fail(storeAway(operation)) : effect
      )
    const store = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) => unlessAway("commit", inner.commit(lease, commit)),
      renew: (lease, ttl, seen) => unlessAway("renew", inner.renew(lease, ttl, seen)),
      record: (id, fact, seen) => unlessAway("record", inner.record(id, fact, seen)),
      release: (lease, options) => unlessAway("release", inner.release(lease, options))
    }))
    return Effect.gen(function* () {
      const ids = Array.from({ length: 50 }, (_, i) => `r-${i}`)
      const readers = yield* Effect.forEach(ids, (runId) =>
        Effect.forkChild(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId })))
      )
      yield* elapse(2000, 50)
      assert.deepStrictEqual(lines, [])
      isAway = true
      yield* elapse(millis, 100)
      isAway = false
      for (const reader of readers) yield* passing(Fiber.join(reader), 100)
      for (const runId of ids) {
        const own = lines.filter((line) => line.includes(`"runId":"${runId}"`))
        assert.isAtLeast(own.length, 2, "but it is told")
        assert.isAtMost(own.length, most, own.join("\n"))
        assert.strictEqual(
          own.filter((line) => line.startsWith("Warn")).length,
          own.filter((line) => line.startsWith("Info baton: recovered")).length,
          own.join("\n")
        )
      }
      assert.isTrue(lines.every((line) => line.includes('"runId":"r-')))
    }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(ScriptedModel.layer(steps(6 + millis / 500)), store)))
  })
})
