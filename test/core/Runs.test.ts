// Runs that workers share: who takes which, what is written when, and what becomes of a run that fails its consumer.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  Run,
  RunRecord,
  Runs,
  TokenStore,
  TokenStoreError
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Metric, Schedule, Scope, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count, recordOf } from "../support/runs.ts"
import { changing, Recorder, recording, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

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
  const add = (runId: string, text: string) => void texts.set(runId, (texts.get(runId) ?? "") + text)
  return { texts, add }
}

const quick = { concurrency: 10, claimEvery: "500 millis", startJitter: "1 second" } as const

/** Launches a layer in a scope of its own, and answers what closes it. */
const launch = <E, R>(layer: Layer.Layer<never, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return Scope.close(scope, Exit.void)
  })

const stageOf = (runId: string) => Effect.map(recordOf(runId), RunRecord.stage)

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
          handle: ({ runId, updates }) => Stream.runForEach(updates, ({ text }) => Effect.sync(() => add(runId, text)))
        })
      )
      yield* elapse(40_000, 100)
      assert.deepStrictEqual([...texts.keys()], ["r-1", "r-2", "r-3"])
      for (const text of texts.values()) assert.strictEqual(`0 ${text}`, whole)
      for (const runId of texts.keys()) assert.strictEqual(yield* stageOf(runId), "finished")
      assert.strictEqual(yield* stageOf("p-1"), "unfinished")
      assert.strictEqual(yield* count("create"), 4)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("have no more runs at once than they shall, the oldest first", () =>
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
              Stream.runForEach(updates, ({ text }) => Effect.sync(() => add(runId, text)))
          })
        )
      )
      yield* elapse(60_000, 200)
      assert.strictEqual(texts.size, 12)
      for (const text of texts.values()) assert.strictEqual(`0 ${text}`, whole)
      yield* Effect.forEach(closes, (close) => passing(close))
    }).pipe(Effect.provide(over))
  )

  it.effect("write the end of a run only after handle has succeeded", () => {
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
        tooEarly ||= commit.token === null && !saved
      }
      yield* elapse(60_000, 200)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 200)
      assert.isTrue(saved)
      assert.isFalse(tooEarly)
      assert.strictEqual(yield* stageOf("r"), "finished")
      assert.strictEqual((yield* recordOf("r")).status, "completed")
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
      assert.strictEqual((yield* recordOf("r")).status, "completed")
      assert.strictEqual(calls, 1)
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )

  it.effect("try a run again that failed handle, from its last position, and set it aside in the end", () =>
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
            return Stream.runForEach(updates, ({ text }) =>
              text === poison ? Effect.fail(new Error("indigestible")) : Effect.sync(() => add(runId, text))
            )
          }
        })
      const close = yield* launch(worker("5 "))
      yield* elapse(60_000, 100)
      assert.deepStrictEqual(attempts, [1, 2, 3])
      assert.strictEqual((yield* failedAttempts) - before, 3)
      const { setAside } = yield* recordOf("r")
      assert.match(setAside?.reason ?? "", /indigestible/)
      assert.strictEqual(texts.get("r"), "1 2 3 4 ")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Runs.list({ stage: "set aside" }))).map(({ runId }) => String(runId)),
        ["r"]
      )
      yield* passing(close)

      const mended = yield* launch(worker("none"))
      yield* elapse(5000, 100)
      assert.strictEqual(yield* stageOf("r"), "set aside")
      yield* passing(Runs.retry("r"))
      yield* elapse(60_000, 100)
      assert.strictEqual(`0 ${texts.get("r")}`, whole)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(mended)
    }).pipe(Effect.provide(over))
  )

  it.effect("count attempts in one place only: who comes further begins anew", () =>
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

  it.effect("set aside what took its worker along too often", () =>
    Effect.gen(function* () {
      yield* begin("r")
      const store = yield* TokenStore.TokenStore
      const { runId } = yield* recordOf("r")
      const { lease, record } = yield* store.acquire(runId, { owner: "dead", ttl: Duration.seconds(1) })
      yield* store.commit(lease, {
        ordinal: record.ordinal + 1,
        token: record.token,
        status: record.status,
        maxAttempts: 5
      })
      let calls = 0
      const close = yield* launch(Runs.worker([analyst], { ...quick, handle: () => Effect.sync(() => void calls++) }))
      yield* elapse(5000, 100)
      assert.strictEqual(calls, 0)
      assert.match((yield* recordOf("r")).setAside?.reason ?? "", /died 5 times/)
      yield* passing(Runs.discard("r"))
      assert.strictEqual(yield* stageOf("r"), "finished")
      const { reason } = yield* Effect.flip(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      assert.strictEqual(reason._tag, "RunCancelled")
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
          return Stream.runForEach(updates, ({ text }) =>
            Effect.andThen(
              Effect.sleep("300 millis"),
              Effect.sync(() => add(runId, text))
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
          const { attempts, lease, setAside } = yield* recordOf(runId)
          assert.isNull(setAside)
          assert.isAtMost(attempts, 1)
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
        assert.strictEqual((yield* recordOf("r")).attempts, 1)
        yield* passing(close)
        assert.strictEqual((yield* recordOf("r")).attempts, 0)
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

  it.effect("leave a run to its starter, and set it aside when the starter is gone without having opened it", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      const { digest } = yield* Effect.andThen(begin("other"), recordOf("other"))
      yield* store.create({ runId: Run.RunId.make("r"), agent: "analyst", digest, background: true, session: {} })
      yield* elapse(30_000, 100)
      assert.isNull((yield* recordOf("r")).lease)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 100)
      assert.match((yield* recordOf("r")).setAside?.reason ?? "", /never opened/)
      // Its starter is back, with the input, and opens it: workers may have it again.
      yield* begin("r")
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over))
  )
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
        assert.strictEqual((yield* recordOf(runId)).status, "failed")
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
            return Stream.fail(
              AiError.make({
                module: "Test",
                method: "resume",
                reason: new AiError.AuthenticationError({ kind: "InvalidKey" })
              })
            )
          }
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
      const { attempts, setAside } = yield* recordOf("r")
      assert.isNull(setAside)
      assert.strictEqual(attempts, 0)
      const right = yield* launch(worker)
      yield* elapse(40_000, 100)
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(misled)
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
      const rest = yield* Effect.forkChild(
        Stream.runDrain(Agent.resume(analyst, { runId: "r", ifLeased: "steal" }))
      )
      yield* elapse(12_000, 100)
      assert.isTrue(interrupted)
      yield* passing(Fiber.join(rest))
      assert.strictEqual(yield* stageOf("r"), "finished")
      yield* passing(close)
    }).pipe(Effect.provide(over(steps)))
  )

  it.effect("go on looking when the store was away", () => {
    let away = true
    const store = changing(TokenStore.layerMemory, (inner) => ({
      list: (filter) =>
        Effect.suspend(() =>
          away
            ? Effect.fail(
                new TokenStoreError.TokenStoreError({ operation: "list", kind: "unavailable", description: "away" })
              )
            : inner.list(filter)
        )
    }))
    return Effect.gen(function* () {
      yield* begin("r")
      const close = yield* launch(
        Runs.worker([analyst], { ...quick, handle: ({ updates }) => Stream.runDrain(updates) })
      )
      yield* elapse(20_000, 100)
      assert.strictEqual(yield* stageOf("r"), "unfinished")
      away = false
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
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps), store)))
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
      assert.deepStrictEqual(yield* listed({ stage: "finished" }), [])
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
      assert.strictEqual(yield* reasonOf(Runs.retry("r")), "RunLeased")
    }).pipe(Effect.provide(over))
  )
})
