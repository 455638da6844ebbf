// How workers find work: by hints, by what the last look told, and by a round that needs neither.
import { Agent, Runs, TokenStore, TokenStoreError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Scope, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { analyst, count, recordOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, text } = ScriptedModel
const model = ScriptedModel.layer([text("Hello"), completed])
const input = "Hello"

type Service = TokenStore.TokenStore["Service"]

/** A store whose claims are counted, and whose hints are lost. */
const counted = (change: (inner: Service) => Partial<Service> = () => ({})) => {
  const claims: Array<TokenStore.ClaimOptions> = []
  const layer = changing(TokenStore.layerMemory, (inner) => {
    const changed = { ...inner, ...change(inner) }
    return {
      ...change(inner),
      claim: (options) => {
        claims.push(options)
        return changed.claim(options)
      }
    }
  })
  return { claims, layer }
}

const deaf = () => ({ wakeups: Stream.never })

const worker = (options: Partial<Runs.WorkerOptions<never, never>> = {}) =>
  Runs.worker([analyst], {
    concurrency: 4,
    claimEvery: "10 seconds",
    startJitter: 0,
    handle: ({ updates }) => Effect.ignore(Stream.runDrain(updates)),
    ...options
  })

const isDone = (runId: string) => Effect.map(recordOf(runId), ({ due, lease }) => due === null && lease === null)

describe("a worker", () => {
  it.effect("takes a run at once that a hint tells of, and looks seldom otherwise", () => {
    const { claims, layer } = counted()
    return Effect.gen(function* () {
      yield* Layer.build(worker())
      yield* elapse(60_000, 1000)
      const idle = claims.length
      assert.isAtMost(idle, 9)
      yield* Agent.enqueue(analyst, { input, runId: "r" })
      yield* elapse(100, 10)
      assert.isTrue(yield* isDone("r"))
      assert.isAtMost(claims.length - idle, 3)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect("E18: asks one shard at a time while it has nothing to do, and each in its turn", () => {
    const shards = ["a", "b", "c", "d"]
    const { claims, layer } = counted((inner) => ({
      ...deaf(),
      shards,
      claim: (options) =>
        options.shard === "c" ? inner.claim({ ...options, shard: inner.shards[0]! }) : Effect.succeed({ taken: [] })
    }))
    return Effect.gen(function* () {
      yield* Layer.build(worker({ claimEvery: "1 second" }))
      yield* elapse(60_000, 100)
      assert.isAtMost(claims.length, 80)
      assert.isAtLeast(claims.length, 45)
      assert.isTrue(claims.every(({ shard }, i) => shard === shards[i % 4]))
      yield* Agent.enqueue(analyst, { input, runId: "r" })
      yield* elapse(5500, 100)
      assert.isTrue(yield* isDone("r"))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect("finds a run by itself if hints are lost", () => {
    const { layer } = counted(deaf)
    return Effect.gen(function* () {
      yield* Layer.build(worker())
      yield* elapse(1000)
      yield* Agent.enqueue(analyst, { input, runId: "r" })
      yield* elapse(13_000, 500)
      assert.isTrue(yield* isDone("r"))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect("looks when a run is due of which the last look told, though nobody gives a hint", () => {
    const { layer } = counted(deaf)
    return Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { input, runId: "r", notBefore: new Date(4000) })
      yield* Layer.build(worker({ claimEvery: "10 minutes" }))
      yield* elapse(3900, 100)
      assert.strictEqual(yield* count("create"), 0)
      yield* elapse(300, 50)
      assert.isTrue(yield* isDone("r"))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect("takes the run of a worker that died when its lease ends", () => {
    const { layer } = counted(deaf)
    return Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      yield* Agent.enqueue(analyst, { input, runId: "r" })
      const [shard = ""] = store.shards
      yield* store.claim({ agents: ["analyst"], owner: "dead", ttl: Duration.seconds(20), limit: 1, shard })
      yield* Layer.build(worker({ claimEvery: "10 minutes" }))
      yield* elapse(19_900, 500)
      assert.strictEqual((yield* recordOf("r")).lease?.owner, "dead")
      yield* elapse(300, 50)
      assert.isTrue(yield* isDone("r"))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect("claims no more than it has room for, and asks for no other agent's runs", () => {
    const { claims, layer } = counted()
    return Effect.gen(function* () {
      for (let i = 0; i < 9; i++) yield* Agent.enqueue(analyst, { input, runId: `r-${i}` })
      let most = 0
      let now = 0
      yield* Layer.build(
        worker({
          handle: ({ updates }) =>
            Effect.acquireUseRelease(
              Effect.sync(() => void (most = Math.max(most, ++now))),
              () => Effect.andThen(Effect.sleep("1 second"), Effect.ignore(Stream.runDrain(updates))),
              () => Effect.sync(() => void now--)
            )
        })
      )
      yield* elapse(10_000, 100)
      assert.strictEqual(most, 4)
      for (let i = 0; i < 9; i++) assert.isTrue(yield* isDone(`r-${i}`))
      assert.isTrue(claims.every(({ agents, limit }) => agents.join() === "analyst" && limit <= 4 && limit > 0))
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect("asks again under the same name for a claim whose answer was lost: one attempt, bought once", () => {
    let lost = 0
    const away = new TokenStoreError.TokenStoreError({ operation: "claim", kind: "unavailable", description: "away" })
    const { layer } = counted((inner) => ({
      claim: (options) =>
        Effect.flatMap(inner.claim(options), (claimed) =>
          claimed.taken.length > 0 && lost++ < 3 ? Effect.fail(away) : Effect.succeed(claimed)
        )
    }))
    return Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { input, runId: "r" })
      const attempts: Array<number> = []
      yield* Layer.build(
        worker({
          claimEvery: "1 second",
          handle: ({ attempt, updates }) =>
            Effect.andThen(
              Effect.sync(() => attempts.push(attempt)),
              Effect.ignore(Stream.runDrain(updates))
            )
        })
      )
      yield* elapse(10_000, 100)
      assert.isTrue(yield* isDone("r"))
      assert.deepStrictEqual([lost > 3, attempts], [true, [1]])
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })

  it.effect(
    "gives back the runs of a claim that was interrupted: they are free at once, and no attempt is counted",
    () => {
      let hangs = true
      const { layer } = counted((inner) => ({
        claim: (options) =>
          Effect.tap(inner.claim(options), ({ taken }) =>
            hangs && taken.length > 0
              ? Effect.andThen(
                  Effect.sync(() => (hangs = false)),
                  Effect.never
                )
              : Effect.void
          )
      }))
      return Effect.gen(function* () {
        yield* Agent.enqueue(analyst, { input, runId: "r" })
        const scope = yield* Scope.make()
        yield* Layer.buildWithScope(worker(), scope)
        yield* elapse(1000)
        assert.isNotNull((yield* recordOf("r")).lease)
        yield* passing(Scope.close(scope, Exit.void))
        const { attempts, due, lease } = yield* recordOf("r")
        assert.deepStrictEqual([attempts, lease], [[], null])
        assert.isNotNull(due)
      }).pipe(Effect.provide(Layer.merge(model, layer)))
    }
  )

  it.effect("comes back to a run of another version only after a lease's time, and says so once", () => {
    const { claims, layer } = counted()
    const { layer: logger, lines } = logged()
    return Effect.gen(function* () {
      yield* Agent.enqueue({ ...analyst, version: "2" }, { input, runId: "r" })
      yield* Layer.build(worker())
      yield* elapse(95_000, 500)
      assert.strictEqual(yield* count("create"), 0)
      assert.isAtMost(claims.length, 24)
      const { attempts, lease, parked } = yield* recordOf("r")
      assert.deepStrictEqual([attempts, lease, parked], [[], null, null])
      assert.strictEqual(lines.filter((line) => line.includes("Version '2'")).length, 1, lines.join("\n"))
    }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(model, layer, logger)))
  })

  it.effect("comes back to a run that breaks it only after a lease's time, and has room for others", () => {
    const { claims, layer } = counted((inner) => ({
      // What comes of a run is looked at by its journal: this one's cannot be.
      claim: (options) =>
        Effect.map(inner.claim(options), ({ taken, ...rest }) => ({
          ...rest,
          taken: taken.map((one) =>
            one.record.runId === "broken" ? { ...one, record: { ...one.record, journal: [null as never] } } : one
          )
        }))
    }))
    return Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { input, runId: "broken" })
      yield* Layer.build(worker({ concurrency: 1 }))
      yield* elapse(20_000, 500)
      yield* Agent.enqueue(analyst, { input, runId: "r" })
      yield* elapse(5000, 100)
      assert.isTrue(yield* isDone("r"))
      assert.isAtMost(claims.length, 12)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(model, layer)))
  })
})
