// What counts as an attempt of a worker at a run, and what does not.
import { BackgroundModel, RunPolicy, Runs, TokenStore, type TokenStoreError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { aiError, denied, modelWith } from "../support/models.ts"
import { analyst, recordOf, stateOf, statusOf } from "../support/runs.ts"
import { changing, storeAway } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { attemptsOf, collected, launch, leaveBegun, quick, stageOf, twenty, twentyTexts } from "../support/workers.ts"

const { completed, pause, text } = ScriptedModel

/** A worker that reads runs to their end, and notes which attempt each is. */
const counting = (attempts: Array<number>) =>
  Runs.worker([analyst], {
    ...quick,
    handle: ({ attempt, updates }) =>
      Effect.andThen(
        Effect.sync(() => attempts.push(attempt)),
        Stream.runDrain(updates)
      )
  })

describe("workers and attempts", () => {
  it.effect("E4a: none counts against a run whose handle is done with it while the provider cannot be asked", () => {
    let isAway = true
    let looks = 0
    let calls = 0
    const over = modelWith(twenty, (inner) => ({
      resume: () => Stream.fail(new BackgroundModel.ReplayUnavailable({ description: "kept no longer" })),
      retrieve: (responseId) =>
        Effect.suspend(() => {
          looks++
          return isAway
            ? Effect.fail(aiError(new AiError.InternalProviderError({ description: "500" })))
            : inner.retrieve(responseId)
        })
    })).pipe(
      Layer.merge(TokenStore.layerMemory),
      Layer.provideMerge(RunPolicy.layer({ reconnect: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 })) }))
    )
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const close = yield* launch(Runs.worker([analyst], { ...quick, handle: () => Effect.sync(() => void calls++) }))
      // Five leases, and more.
      yield* elapse(300_000, 500)
      assert.isAtLeast(calls, 6)
      assert.isAtLeast(looks, 6)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      assert.isAtMost(yield* attemptsOf("r"), 1)
      isAway = false
      yield* elapse(90_000, 500)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(yield* statusOf("r"), "completed")
      yield* passing(close)
    }).pipe(Effect.provide(over))
  })

  it.effect("E4b: none counts against a run whose handle works on for minutes while workers come and go", () => {
    const attempts: Array<number> = []
    let saves = 0
    const worker = Runs.worker([analyst], {
      ...quick,
      handle: ({ attempt, updates }) =>
        Effect.gen(function* () {
          attempts.push(attempt)
          yield* Stream.runDrain(updates)
          yield* Effect.sleep("3 minutes")
          saves++
        })
    })
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      for (let deploy = 1; deploy <= 6; deploy++) {
        const close = yield* launch(worker)
        yield* elapse(60_000, 500)
        assert.strictEqual(yield* attemptsOf("r"), 1)
        yield* passing(close)
        assert.strictEqual(yield* attemptsOf("r"), 0)
        assert.strictEqual(yield* stageOf("r"), "unfinished")
      }
      assert.deepStrictEqual(attempts, [1, 1, 1, 1, 1, 1])
      assert.strictEqual(saves, 0)
      const close = yield* launch(worker)
      yield* elapse(200_000, 500)
      assert.strictEqual(saves, 1)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(twenty), TokenStore.layerMemory)))
  })

  it.effect.each(["claim", "commit"] as const)(
    "E4c: none counts against a run that is taken six times while the answer of the store's %s is lost",
    (lost) => {
      let isNew = false
      let losses = 0
      let calls = 0
      let isFresh = false
      const losing = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
        Effect.andThen(
          effect,
          Effect.suspend(() => {
            losses++
            return Effect.fail(storeAway(operation))
          })
        )
      // The first answer of each worker is lost: what it does about that is answered.
      const store = changing(TokenStore.layerMemory, (inner) => ({
        claim: (options) =>
          Effect.suspend(() => {
            const isLost = lost === "claim" && isNew
            isNew = false
            if (isLost) return losing("claim", inner.claim(options))
            return Effect.tap(inner.claim(options), ({ taken }) =>
              Effect.sync(() => {
                isFresh ||= taken.length > 0
              })
            )
          }),
        commit: (lease, commit) =>
          Effect.suspend(() => {
            const isLost = lost === "commit" && losses < 6 && isFresh
            isFresh = false
            return isLost ? losing("commit", inner.commit(lease, commit)) : inner.commit(lease, commit)
          })
      }))
      return Effect.gen(function* () {
        yield* leaveBegun("r")
        const attempts: Array<number> = []
        for (let i = 0; i < 6; i++) {
          isNew = true
          const close = yield* launch(
            Runs.worker([analyst], {
              ...quick,
              handle: ({ attempt, updates }) =>
                Effect.andThen(
                  Effect.sync(() => attempts.push(attempt)),
                  Stream.runDrain(updates)
                ).pipe(Effect.ensuring(Effect.sync(() => void calls++)))
            })
          )
          yield* elapse(2500, 100)
          yield* passing(close)
          const record = yield* recordOf("r")
          assert.deepStrictEqual(record.attempts, [])
          assert.isNull(record.parked)
          // No lease that nobody knows of is left behind.
          assert.isNull(record.lease)
        }
        assert.strictEqual(losses, 6)
        // A claim is repeated at once.
        assert.isAbove(calls, 0)
        const close = yield* launch(counting(attempts))
        yield* elapse(40_000, 100)
        assert.strictEqual(yield* stageOf("r"), "finished")
        assert.deepStrictEqual(new Set(attempts), new Set([1]))
        yield* passing(close)
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(twenty), store)))
    }
  )

  it.effect("none counts against a run whose worker loses it, or whose store is away", () => {
    let isAway = false
    const unlessAway = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | TokenStoreError.TokenStoreError> =>
        isAway ? Effect.fail(storeAway(operation)) : effect
      )
    const over = changing(TokenStore.layerMemory, (inner) => ({
      claim: (options) => unlessAway("claim", inner.claim(options)),
      renew: (lease, ttl, seen) => unlessAway("renew", inner.renew(lease, ttl, seen)),
      commit: (lease, commit) => unlessAway("commit", inner.commit(lease, commit)),
      release: (lease, options) => unlessAway("release", inner.release(lease, options))
    }))
    const attempts: Array<number> = []
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const store = yield* TokenStore.TokenStore
      const { runId } = yield* recordOf("r")
      const close = yield* launch(counting(attempts))
      yield* elapse(3000, 100)
      assert.strictEqual(yield* attemptsOf("r"), 1)
      // Stolen: the attempt is given back, though the run is another's.
      const { lease } = yield* store.acquire(runId, { owner: "thief", ttl: Duration.hours(1), steal: true })
      yield* elapse(20_000, 500)
      assert.deepStrictEqual((yield* recordOf("r")).attempts, [])
      assert.strictEqual((yield* recordOf("r")).lease?.owner, "thief")
      yield* store.release(lease, { seen: 1000, due: Duration.zero, attempt: "keep" })
      yield* elapse(40_000, 500)
      // Away for longer than a lease.
      const before = attempts.length
      assert.isAtLeast(before, 2)
      isAway = true
      yield* elapse(50_000, 500)
      isAway = false
      yield* elapse(120_000, 500)
      assert.isAbove(attempts.length, before)
      assert.deepStrictEqual(new Set(attempts), new Set([1]))
      assert.isNull((yield* recordOf("r")).parked)
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer([text("a"), pause("1 hour"), text("b"), completed]), over)))
  })

  it.effect("E17: a handle that lets a failure of its updates pass has not seen the run's end", () => {
    let isRefusing = true
    let calls = 0
    const over = modelWith(twenty, (inner) => ({
      resume: (responseId, options) =>
        Stream.suspend(() => (isRefusing ? Stream.fail(denied) : inner.resume(responseId, options))),
      retrieve: (responseId) => Effect.suspend(() => (isRefusing ? Effect.fail(denied) : inner.retrieve(responseId)))
    })).pipe(Layer.merge(TokenStore.layerMemory))
    return Effect.gen(function* () {
      yield* leaveBegun("r")
      const { add, texts } = collected()
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ runId, updates }) => {
            calls++
            return Effect.ignore(Stream.runForEach(updates, (update) => Effect.sync(() => add(runId, update.text))))
          }
        })
      )
      yield* elapse(60_000, 500)
      assert.isAtLeast(calls, 1)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      assert.isUndefined((yield* stateOf("r")).ended)
      assert.strictEqual(yield* attemptsOf("r"), 0)
      isRefusing = false
      yield* elapse(90_000, 500)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(`0 ${texts.get("r")}`, twentyTexts)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  })
})
