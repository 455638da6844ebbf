// Runs that workers share: who takes which, what is written when, and what becomes of a run that fails its consumer.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  Run,
  RunPolicy,
  Runs,
  RunState,
  TokenStore,
  TokenStoreError
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Metric, Option, Random, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { denied } from "../support/models.ts"
import { analyst, count, recordOf, stateOf, statusOf } from "../support/runs.ts"
import { changing, Recorder, recording, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { launch } from "../support/workers.ts"

const { completed, failed, pause, text } = ScriptedModel
const poet = Agent.make("poet", { background: true })

/** Twenty texts, a second apart. */
const steps = [...Array.from({ length: 20 }, (_, i) => [text(`${i} `), pause("1 second")]).flat(), completed]
const whole = Array.from({ length: 20 }, (_, i) => `${i} `).join("")

/** Starts a run, and leaves it after its first text. */
const begin = (runId: string, agent: Agent.Agent = analyst) =>
  passing(
    Stream.runDrain(Stream.takeUntil(Agent.stream(agent, { input: "Hello", runId }), (update) => update.text !== "")),
    10
  )

/** What handlers were given, by run. */
const ledger = () => {
  const texts = new Map<string, string>()
  const add = (runId: string, more: string) => void texts.set(runId, (texts.get(runId) ?? "") + more)
  return { texts, add }
}

/** Takes the only run that is work, as a worker does. */
const claimOne = (store: TokenStore.TokenStore["Service"], owner: string, ttl: Duration.Duration) =>
  Effect.gen(function* () {
    const [shard = ""] = store.shards
    const { taken } = yield* Effect.orDie(store.claim({ agents: ["analyst"], owner, ttl, limit: 1, shard }))
    const [first] = taken
    return first ?? (yield* Effect.die("there is no work"))
  })

const quick = { concurrency: 10, claimEvery: "500 millis", startJitter: "1 second" } as const

/** What a run is to workers. A run that its consumer is done with is work no more. */
const stageOf = (runId: string) =>
  Effect.map(recordOf(runId), (record) => {
    if (record.parked !== null) return record.due === null ? "parked" : "parked, but due"
    if (!RunState.fold(record).delivered) return "unfinished"
    return record.due === null ? "finished" : "finished, but due"
  })

/** How often a run is held to have failed its consumer. */
const attemptsOf = (runId: string) => Effect.map(recordOf(runId), ({ attempts }) => attempts.length)

const away = (operation: string) =>
  new TokenStoreError.TokenStoreError({ operation, kind: "unavailable", description: "away" })

const failedAttempts = Effect.map(Metric.snapshot, (metrics) =>
  metrics.reduce(
    (sum, metric) =>
      metric.id === "baton.worker.attempts" && metric.attributes?.outcome === "failed" && metric.type === "Counter"
        ? sum + Number(metric.state.count)
        : sum,
    0
  )
)

describe.each(stores)("workers ($name)", ({ layer }) => {
  const over = Layer.merge(ScriptedModel.layer(steps), layer)

  it.effect("take the runs of their agents that nobody advances, and bring each to its end once", () =>
    Effect.gen(function* () {
      for (const runId of ["r-1", "r-2", "r-3"]) yield* begin(runId)
      yield* begin("p-1", poet)
      const { add, texts } = ledger()
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ runId, updates }) =>
            Stream.runForEach(updates, (update) => Effect.sync(() => add(runId, update.text)))
        })
      )
      yield* elapse(40_000, 100)
      assert.deepStrictEqual([...texts.keys()], ["r-1", "r-2", "r-3"])
      for (const read of texts.values()) assert.strictEqual(`0 ${read}`, whole)
      for (const runId of texts.keys()) assert.strictEqual(yield* stageOf(runId), "finished")
      assert.strictEqual(yield* stageOf("p-1"), "unfinished")
      assert.strictEqual(yield* count("create"), 4)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("have no more runs at once than they are told, those that were due first coming first", () =>
    Effect.gen(function* () {
      for (let i = 1; i <= 6; i++) {
        yield* begin(`r-${i}`)
        yield* elapse(10)
      }
      const order: Array<string> = []
      let now = 0
      let most = 0
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          concurrency: 2,
          handle: ({ runId, updates }) =>
            Effect.suspend(() => {
              order.push(runId)
              most = Math.max(most, ++now)
              return Stream.runDrain(updates)
            }).pipe(Effect.ensuring(Effect.sync(() => void now--)))
        })
      )
      yield* elapse(90_000, 100)
      assert.deepStrictEqual(order, ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"])
      assert.strictEqual(most, 2)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("share runs with each other, and none is advanced twice", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 12 }, (_, i) => `r-${i}`)
      for (const runId of ids) yield* begin(runId)
      const { add, texts } = ledger()
      const closes = yield* Effect.forEach([1, 2, 3], () =>
        launch(
          Runs.worker([analyst], {
            ...quick,
            concurrency: 4,
            handle: ({ runId, updates }) =>
              Stream.runForEach(updates, (update) => Effect.sync(() => add(runId, update.text)))
          })
        )
      )
      yield* elapse(60_000, 200)
      assert.strictEqual(texts.size, 12)
      for (const read of texts.values()) assert.strictEqual(`0 ${read}`, whole)
      yield* Effect.forEach(closes, (close) => passing(close))
    }).pipe(Effect.provide(over))
  )

  it.effect("write that a run is finished only after handle has succeeded", () => {
    let saved = false
    return Effect.gen(function* () {
      yield* begin("r")
      const recorder = yield* Recorder
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ updates }) =>
            Effect.gen(function* () {
              yield* Stream.runDrain(updates)
              yield* Effect.sleep("1 minute")
              saved = true
            })
        })
      )
      let tooEarly = false
      recorder.onCommit = (commit) => {
        tooEarly ||= commit.facts?.some(({ _tag }) => _tag === "Delivered") === true && !saved
      }
      yield* elapse(60_000, 200)
      // The end itself is known as soon as it is seen.
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 200)
      assert.isTrue(saved)
      assert.isFalse(tooEarly)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(yield* statusOf("r"), "completed")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), recording(layer))))
  })

  it.effect("are done with a run that handle is done with, and see it to its end", () =>
    Effect.gen(function* () {
      yield* begin("r")
      let calls = 0
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ updates }) =>
            Effect.andThen(
              Effect.sync(() => calls++),
              Stream.runHead(updates)
            )
        })
      )
      yield* elapse(10_000, 100)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(30_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(yield* statusOf("r"), "completed")
      assert.strictEqual(calls, 1)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("try a run again that failed handle, from its last position, and park it in the end", () =>
    Effect.gen(function* () {
      yield* begin("r")
      const before = yield* failedAttempts
      const { add, texts } = ledger()
      const attempts: Array<number> = []
      const worker = (poison: string) =>
        Runs.worker([analyst], {
          ...quick,
          maxAttempts: 3,
          handle: ({ attempt, runId, updates }) => {
            attempts.push(attempt)
            return Stream.runForEach(updates, (update) =>
              update.text === poison
                ? Effect.fail(new Error("indigestible"))
                : Effect.sync(() => add(runId, update.text))
            )
          }
        })
      const close = yield* launch(worker("5 "))
      yield* elapse(60_000, 100)
      assert.deepStrictEqual(attempts, [1, 2, 3])
      assert.strictEqual((yield* failedAttempts) - before, 3)
      assert.match((yield* recordOf("r")).parked?.reason ?? "", /indigestible/)
      assert.strictEqual(texts.get("r"), "1 2 3 4 ")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Runs.list({ parked: true }))).map(({ runId }) => String(runId)),
        ["r"]
      )
      assert.deepStrictEqual(yield* Stream.runCollect(Runs.list({ parked: false })), [])
      yield* passing(close)

      const mended = yield* launch(worker("none"))
      yield* elapse(5000, 100)
      assert.strictEqual(yield* stageOf("r"), "parked")
      yield* passing(Runs.retry("r"))
      yield* elapse(60_000, 100)
      assert.strictEqual(`0 ${texts.get("r")}`, whole)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(mended)
    }).pipe(Effect.provide(over))
  )

  it.effect("count attempts in one place only: who comes further begins again", () =>
    Effect.gen(function* () {
      yield* begin("r")
      const attempts: Array<number> = []
      let taken = 0
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          maxAttempts: 2,
          retry: Schedule.spaced("100 millis"),
          handle: ({ attempt, updates }) => {
            attempts.push(attempt)
            let own = 0
            return Stream.runForEach(updates, () =>
              Effect.suspend(() => (++own > 3 && ++taken < 100 ? Effect.fail("enough for now") : Effect.void))
            )
          }
        })
      )
      yield* elapse(60_000, 100)
      assert.isAtLeast(attempts.length, 5)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("park what took its worker along too often, and cancel it if it is discarded", () =>
    Effect.gen(function* () {
      yield* begin("r")
      const store = yield* TokenStore.TokenStore
      for (let i = 0; i < 5; i++) {
        yield* claimOne(store, `dead-${i}`, Duration.seconds(1))
        yield* elapse(1100, 100)
      }
      let calls = 0
      const close = yield* launch(Runs.worker([analyst], { ...quick, handle: () => Effect.sync(() => void calls++) }))
      yield* elapse(5000, 100)
      assert.match((yield* recordOf("r")).parked?.reason ?? "", /died 5 times/)
      assert.strictEqual(yield* stageOf("r"), "parked")
      assert.strictEqual(yield* count("cancel"), 0)
      yield* passing(Runs.discard("r"))
      const { reason } = yield* Effect.flip(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(reason._tag, "RunCancelled")
      yield* elapse(2000, 100)
      assert.strictEqual(yield* count("cancel"), 1)
      assert.strictEqual(yield* stageOf("r"), "finished")
      // Nobody waits for it.
      assert.strictEqual(calls, 0)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("leave their runs to others at once when they stop, with nothing repeated and no attempt counted", () =>
    Effect.gen(function* () {
      const ids = ["r-1", "r-2", "r-3", "r-4"]
      for (const runId of ids) yield* begin(runId)
      const { add, texts } = ledger()
      const attempts: Array<number> = []
      const worker = Runs.worker([analyst], {
        ...quick,
        handle: ({ attempt, runId, updates }) => {
          attempts.push(attempt)
          // A consumer that takes its time with each update is let finish it.
          return Stream.runForEach(updates, (update) =>
            Effect.andThen(
              Effect.sleep("300 millis"),
              Effect.sync(() => add(runId, update.text))
            )
          )
        }
      })
      let close = yield* launch(worker)
      for (let i = 0; i < 8; i++) {
        yield* elapse(2000 + i * 70, 10)
        const held = yield* Effect.forEach(ids, recordOf)
        const next = yield* launch(worker)
        const [duration] = yield* passing(Effect.timed(close), 10)
        assert.isAtMost(Duration.toMillis(duration), 1000)
        for (const { lease: before, runId } of held) {
          const { attempts: counted, lease, parked } = yield* recordOf(runId)
          assert.isNull(parked)
          assert.isAtMost(counted.length, 1)
          // Free, or already in the hands of the next.
          assert.isTrue(lease === null || lease.fence > (before?.fence ?? 0))
        }
        close = next
      }
      yield* elapse(60_000, 100)
      for (const runId of ids) assert.strictEqual(`0 ${texts.get(runId)}`, whole)
      assert.deepStrictEqual(new Set(attempts), new Set([1]))
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("count no attempt against a run that says nothing while they come and go", () =>
    Effect.gen(function* () {
      yield* begin("r")
      for (let i = 0; i < 7; i++) {
        const close = yield* launch(
          Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
        )
        yield* elapse(3000, 100)
        assert.strictEqual(yield* attemptsOf("r"), 1)
        yield* passing(close)
        assert.strictEqual(yield* attemptsOf("r"), 0)
      }
      assert.strictEqual(yield* stageOf("r"), "unfinished")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer([text("a"), pause("1 hour"), completed]), layer)))
  )

  it.effect("lose nothing and finish nothing when handle is in the middle of its work at the end", () =>
    Effect.gen(function* () {
      yield* begin("r")
      let saves = 0
      const worker = Runs.worker([analyst], {
        ...quick,
        handle: ({ updates }) =>
          Effect.andThen(Stream.runDrain(updates), Effect.sleep("1 minute")).pipe(
            Effect.andThen(Effect.sync(() => void saves++))
          )
      })
      const first = yield* launch(worker)
      yield* elapse(40_000, 100)
      const [duration] = yield* passing(Effect.timed(first))
      assert.isAtMost(Duration.toMillis(duration), 6000)
      assert.strictEqual(saves, 0)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      const second = yield* launch(worker)
      yield* elapse(70_000, 100)
      assert.strictEqual(saves, 1)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(second)
    }).pipe(Effect.provide(over))
  )

  it.effect("leave a run to its starter, and park it when the starter is gone without having opened it", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      const { digest = "" } = yield* Effect.andThen(begin("other"), recordOf("other"))
      yield* store.create(
        { runId: Run.RunId.make("r"), agent: "analyst", digest, background: true, session: {} },
        { due: Duration.minutes(1) }
      )
      yield* elapse(30_000, 100)
      assert.isNull((yield* recordOf("r")).lease)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 100)
      assert.match((yield* recordOf("r")).parked?.reason ?? "", /never opened/)
      assert.strictEqual(yield* attemptsOf("r"), 0)
      // Its starter is back, with the input, and opens it: workers may have it again.
      yield* begin("r")
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("leave a run to a starter that is slow", () => {
    // Workers claim what they take.
    const slow = changing(layer, (inner) => ({
      acquire: (id, options) => Effect.delay(inner.acquire(id, options), "20 seconds")
    }))
    return Effect.gen(function* () {
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      const starting = yield* Effect.forkChild(Agent.start(analyst, { input: "Hello", runId: "r" }))
      yield* elapse(10_000, 100)
      const { handled, parked } = yield* recordOf("r")
      assert.deepStrictEqual({ handled, parked }, { handled: false, parked: null })
      yield* passing(Fiber.join(starting), 100)
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), slow)))
  })
})

describe("workers and honest ends", () => {
  const over = (script: ReadonlyArray<ScriptedModel.Step>) =>
    Layer.merge(ScriptedModel.layer(script), TokenStore.layerMemory)

  it.effect("finish a run that failed at the provider, whether handle minds or not", () =>
    Effect.gen(function* () {
      yield* begin("r-1")
      yield* begin("r-2")
      const reasons: Array<string> = []
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ runId, updates }) =>
            Stream.runDrain(updates).pipe(
              Effect.tapError(({ reason }) => Effect.sync(() => void reasons.push(`${runId} ${reason._tag}`))),
              Effect.catch((error) => (runId === "r-1" ? Effect.void : Effect.fail(error)))
            )
        })
      )
      yield* elapse(20_000, 100)
      assert.deepStrictEqual(reasons.toSorted(), ["r-1 RunFailed", "r-2 RunFailed"])
      for (const runId of ["r-1", "r-2"]) {
        assert.strictEqual(yield* stageOf(runId), "finished")
        assert.strictEqual(yield* statusOf(runId), "failed")
      }
      yield* passing(close)
    }).pipe(Effect.provide(over([text("a"), pause("5 seconds"), failed("no")])))
  )

  it.effect("leave alone what the provider refuses them, without counting it", () => {
    let refused = 0
    const refusing = Layer.effect(
      BackgroundModel.BackgroundModel,
      Effect.map(BackgroundModel.BackgroundModel, (inner) =>
        BackgroundModel.BackgroundModel.of({
          ...inner,
          resume: () => {
            refused++
            return Stream.fail(denied)
          },
          retrieve: () => Effect.fail(denied)
        })
      )
    )
    return Effect.gen(function* () {
      yield* begin("r")
      const worker = Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      const misled = yield* launch(worker.pipe(Layer.provide(refusing)))
      yield* elapse(120_000, 500)
      assert.isAtLeast(refused, 2)
      assert.isAtMost(refused, 5)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      assert.strictEqual(yield* attemptsOf("r"), 0)
      // Given back each time, so that whoever can go on with it does.
      yield* passing(misled)
      const right = yield* launch(worker)
      yield* elapse(80_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(right)
    }).pipe(Effect.provide(over(steps)))
  })

  it.effect("stop at once, and commit nothing, when their lease is taken from them in the middle of handle", () =>
    Effect.gen(function* () {
      yield* begin("r")
      let interrupted = false
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ updates }) =>
            Effect.andThen(Stream.runHead(updates), Effect.sleep("10 minutes")).pipe(
              Effect.onInterrupt(() => Effect.sync(() => void (interrupted = true)))
            )
        })
      )
      yield* elapse(5000, 100)
      const rest = yield* Effect.forkChild(Stream.runDrain(Agent.resume(analyst, { runId: "r", ifLeased: "steal" })))
      yield* elapse(12_000, 100)
      assert.isTrue(interrupted)
      yield* passing(Fiber.join(rest))
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over(steps)))
  )

  it.effect("go on looking when the store was away", () => {
    let isAway = true
    const store = changing(TokenStore.layerMemory, (inner) => ({
      claim: (options) => Effect.suspend(() => (isAway ? Effect.fail(away("claim")) : inner.claim(options)))
    }))
    return Effect.gen(function* () {
      yield* begin("r")
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      yield* elapse(20_000, 100)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      isAway = false
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), store)))
  })

  it.effect("of a fleet that starts at once do not ask the store at once", () => {
    const asked: Array<number> = []
    const store = changing(TokenStore.layerMemory, (inner) => ({
      list: (filter) =>
        Effect.clockWith((clock) => {
          asked.push(clock.currentTimeMillisUnsafe())
          return inner.list(filter)
        })
    }))
    return Effect.gen(function* () {
      const closes = yield* Effect.forEach(Array.from({ length: 50 }), () =>
        launch(Runs.worker([analyst], { ...quick, startJitter: "5 seconds", handle: () => Effect.void }))
      )
      yield* elapse(5000, 10)
      const busiest = Math.max(...asked.map((at) => asked.filter((other) => Math.abs(other - at) < 50).length))
      assert.isAtMost(busiest, 25)
      assert.isBelow(asked.filter((at) => at < 1000).length, 30)
      yield* Effect.forEach(closes, (close) => passing(close), { concurrency: "unbounded" })
    }).pipe(Random.withSeed("fleet"), Effect.provide(Layer.merge(ScriptedModel.layer(steps), store)))
  })
})

describe("workers and attempts", () => {
  const provider = (
    change: (inner: BackgroundModel.BackgroundModel["Service"]) => Partial<BackgroundModel.BackgroundModel["Service"]>
  ) =>
    Layer.effect(
      BackgroundModel.BackgroundModel,
      Effect.map(BackgroundModel.BackgroundModel, (inner) => ({ ...inner, ...change(inner) }))
    )
  const failing = (reason: AiError.AiErrorReason) => AiError.make({ module: "Test", method: "test", reason })

  it.effect("E4a: none counts against a run whose handle is done with it while the provider cannot be asked", () => {
    let isAway = true
    let looks = 0
    let calls = 0
    const over = provider((inner) => ({
      resume: () => Stream.fail(new BackgroundModel.ReplayUnavailable({ description: "kept no longer" })),
      retrieve: (responseId) =>
        Effect.suspend(() => {
          looks++
          return isAway
            ? Effect.fail(failing(new AiError.InternalProviderError({ description: "500" })))
            : inner.retrieve(responseId)
        })
    })).pipe(
      Layer.provideMerge(Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)),
      Layer.provideMerge(RunPolicy.layer({ reconnect: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 })) }))
    )
    return Effect.gen(function* () {
      yield* begin("r")
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
      yield* begin("r")
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
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)))
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
            return Effect.fail(away(operation))
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
        yield* begin("r")
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
        const close = yield* launch(
          Runs.worker([analyst], {
            ...quick,
            handle: ({ attempt, updates }) =>
              Effect.andThen(
                Effect.sync(() => attempts.push(attempt)),
                Stream.runDrain(updates)
              )
          })
        )
        yield* elapse(40_000, 100)
        assert.strictEqual(yield* stageOf("r"), "finished")
        assert.deepStrictEqual(new Set(attempts), new Set([1]))
        yield* passing(close)
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), store)))
    }
  )

  it.effect("none counts against a run whose worker loses it, or whose store is away", () => {
    let isAway = false
    const unlessAway = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | TokenStoreError.TokenStoreError> =>
        isAway ? Effect.fail(away(operation)) : effect
      )
    const over = changing(TokenStore.layerMemory, (inner) => ({
      claim: (options) => unlessAway("claim", inner.claim(options)),
      renew: (lease, ttl, seen) => unlessAway("renew", inner.renew(lease, ttl, seen)),
      commit: (lease, commit) => unlessAway("commit", inner.commit(lease, commit)),
      release: (lease, options) => unlessAway("release", inner.release(lease, options))
    }))
    const attempts: Array<number> = []
    return Effect.gen(function* () {
      yield* begin("r")
      const store = yield* TokenStore.TokenStore
      const { runId } = yield* recordOf("r")
      const close = yield* launch(
        Runs.worker([analyst], {
          ...quick,
          handle: ({ attempt, updates }) =>
            Effect.andThen(
              Effect.sync(() => attempts.push(attempt)),
              Stream.runDrain(updates)
            )
        })
      )
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
    const over = provider((inner) => ({
      resume: (responseId, options) =>
        Stream.suspend(() => (isRefusing ? Stream.fail(denied) : inner.resume(responseId, options))),
      retrieve: (responseId) => Effect.suspend(() => (isRefusing ? Effect.fail(denied) : inner.retrieve(responseId)))
    })).pipe(Layer.provideMerge(Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)))
    return Effect.gen(function* () {
      yield* begin("r")
      const { add, texts } = ledger()
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
      assert.strictEqual(`0 ${texts.get("r")}`, whole)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  })
})

describe("Runs", () => {
  const over = Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)

  it.effect("lists all runs, the oldest first, in pages", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 25 }, (_, i) => `r-${String(i).padStart(2, "0")}`)
      for (const runId of ids) yield* begin(runId)
      const listed = (options: Parameters<typeof Runs.list>[0]) =>
        Effect.map(Stream.runCollect(Runs.list(options)), (records) => records.map(({ runId }) => String(runId)))
      assert.deepStrictEqual(yield* listed({ pageSize: 4 }), ids)
      assert.deepStrictEqual(yield* listed({}), ids)
      assert.deepStrictEqual(yield* listed({ status: ["in_progress"] }), ids)
      assert.deepStrictEqual(yield* listed({ status: ["completed", "failed"] }), [])
      assert.deepStrictEqual(yield* listed({ agent: "poet" }), [])
    }).pipe(Effect.provide(over))
  )

  it.effect("retry and discard refuse what they are not for", () =>
    Effect.gen(function* () {
      const reasonOf = (effect: Effect.Effect<void, AgentError.AgentError, TokenStore.TokenStore>) =>
        Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)
      assert.strictEqual(yield* reasonOf(Runs.retry("nowhere")), "RunNotFound")
      assert.strictEqual(yield* reasonOf(Runs.discard("nowhere")), "RunNotFound")
      assert.strictEqual(yield* reasonOf(Runs.discard("a/b")), "InvalidInput")
      yield* begin("r")
      assert.strictEqual(yield* reasonOf(Runs.discard("r")), "InvalidInput")
      yield* Runs.retry("r")
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* Effect.forkChild(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      yield* elapse(100)
      // A run that somebody holds is not parked.
      const { lease } = yield* recordOf("r")
      yield* Runs.retry("r")
      assert.deepStrictEqual((yield* recordOf("r")).lease, lease)
      assert.strictEqual(yield* reasonOf(Runs.discard("r")), "InvalidInput")
    }).pipe(Effect.provide(over))
  )

  const r = Run.RunId.make("r")
  const ttl = Duration.minutes(1)
  /** A run whose request was never answered, parked. */
  const unconfirmed = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const run = { runId: r, agent: "analyst", background: true, session: {} }
    yield* store.create(run, { facts: [{ _tag: "Requested", by: "test", turn: 0, try: "1" }] })
    const { lease, record } = yield* claimOne(store, "test", ttl)
    yield* store.release(lease, { seen: 1, due: Duration.infinity, parked: "unconfirmed", attempt: "keep" })
    return record
  })
  /** A memory store in which something happens the next time that a run is read, or taken. */
  const racing = (
    when: "read" | "acquire",
    happens: (store: TokenStore.TokenStore["Service"]) => Effect.Effect<unknown, unknown>
  ) => {
    const race = { on: false }
    const store = changing(TokenStore.layerMemory, (inner) => {
      const raced = Effect.suspend(() => {
        if (!race.on) return Effect.void
        race.on = false
        return Effect.orDie(happens(inner))
      })
      return when === "read"
        ? { read: (id) => Effect.tap(inner.read(id), () => raced) }
        : { acquire: (id, options) => Effect.tap(inner.acquire(id, options), () => raced) }
    })
    return { race, store }
  }

  it.effect.each([
    ["retry", Runs.retry],
    ["discard", Runs.discard]
  ] as const)("%s fails with RunLeased if somebody takes the run meanwhile, and changes nothing", ([, verb]) => {
    const { race, store } = racing("read", (inner) => inner.acquire(r, { owner: "other", ttl }))
    return Effect.gen(function* () {
      yield* unconfirmed
      race.on = true
      const { reason } = yield* Effect.flip(verb("r"))
      assert.strictEqual(reason._tag, "RunLeased")
      const record = yield* recordOf("r")
      assert.strictEqual(record.lease?.owner, "other")
      assert.strictEqual(record.journal.length, 1)
    }).pipe(Effect.provide(store))
  })

  it.effect("discard of a run whose request was never answered names the request, and is final", () =>
    Effect.gen(function* () {
      yield* unconfirmed
      yield* Runs.discard("r")
      const { ended } = yield* stateOf("r")
      assert.strictEqual(ended?.status, "failed")
      assert.strictEqual(ended?.reason, "unconfirmed")
      assert.deepStrictEqual(ended?.unresolved, [{ turn: 0, try: "1" }])
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual(yield* attemptsOf("r"), 0)
      // Once more changes nothing.
      const before = yield* recordOf("r")
      yield* Runs.discard("r")
      assert.deepStrictEqual(yield* recordOf("r"), before)
    }).pipe(Effect.provide(TokenStore.layerMemory))
  )

  it.effect("discard sees what comes while it writes: a response that turns up then is cancelled by a worker", () => {
    const { race, store } = racing("acquire", (inner) =>
      Effect.flatMap(inner.read(r), (found) =>
        inner.record(
          r,
          {
            _tag: "Accepted",
            incarnation: Option.getOrThrow(found).incarnation,
            by: "late",
            turn: 0,
            try: "1",
            responseId: "resp_1",
            streamed: true
          },
          1
        )
      )
    )
    return Effect.gen(function* () {
      // The response that turns up.
      yield* unconfirmed
      yield* begin("other")
      race.on = true
      yield* Runs.discard("r")
      const { ended, loose } = yield* stateOf("r")
      assert.strictEqual(ended?.status, "cancelled")
      assert.isUndefined(ended?.reason)
      assert.deepStrictEqual(
        loose.map(({ responseId }) => responseId),
        ["resp_1"]
      )
      assert.strictEqual(yield* stageOf("r"), "finished, but due")
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      yield* elapse(5000, 100)
      assert.strictEqual(yield* count("cancel"), 1)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), store)))
  })

  it.effect("discard leaves the run parked and free if the store fails", () => {
    let isFull = false
    const store = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() =>
          isFull
            ? Effect.fail(
                new TokenStoreError.TokenStoreError({ operation: "commit", kind: "full", description: "no room" })
              )
            : inner.commit(lease, commit)
        )
    }))
    return Effect.gen(function* () {
      yield* unconfirmed
      isFull = true
      const { reason } = yield* Effect.flip(Runs.discard("r"))
      assert.strictEqual(reason._tag, "StoreFailed")
      const { lease, parked } = yield* recordOf("r")
      assert.isNull(lease)
      assert.strictEqual(parked?.reason, "unconfirmed")
      isFull = false
      yield* Runs.discard("r")
      assert.strictEqual(yield* stageOf("r"), "finished")
    }).pipe(Effect.provide(store))
  })
})
