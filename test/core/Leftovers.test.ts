// What was left over of the first engine (E17), and that a run has one state, whichever verb is asked (E19).
import {
  Agent,
  type AgentError,
  type AgentUpdate,
  BackgroundModel,
  Run,
  RunEngine,
  RunPolicy,
  type RunRecord,
  Runs,
  TokenStore,
  TokenStoreError
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count, doneWith, recordOf, type Services, stateOf, statusOf, textOf } from "../support/runs.ts"
import { logged } from "../support/logs.ts"
import { aiError, denied, modelWith } from "../support/models.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, fail, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const script = [text("a"), pause("1 second"), text("b"), completed]
const idOfR = Run.RunId.make("r")

const over = (steps: ReadonlyArray<ScriptedModel.Step>, options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)

const storeError = (kind: "unavailable" | "corrupt", operation = "commit") =>
  new TokenStoreError.TokenStoreError({ operation, kind, description: "not now" })

/** Why this fails. */
const reasonOf = <A, R>(effect: Effect.Effect<A, AgentError.AgentError, R>) =>
  Effect.map(passing(Effect.flip(effect), 200), ({ reason }) => reason)

const stored = Effect.gen(function* () {
  const store = yield* TokenStore.TokenStore
  return Option.getOrUndefined(yield* Effect.orDie(store.read(idOfR)))
})

/** Opens a run, and leaves it after its first text. */
const begun = passing(Stream.runDrain(Stream.takeUntil(Agent.stream(analyst, input), (update) => update.text !== "")))

describe.each(stores)("remove, over the $name store", ({ layer: kept }) => {
  it.effect("E17: by a caller that lost its lease: the run stays, with whoever holds it", () => {
    const slow = modelWith(script, (inner) => ({
      remove: (responseId) => Effect.andThen(Effect.sleep("5 seconds"), inner.remove(responseId))
    }))
    return Effect.gen(function* () {
      yield* begun
      const removing = yield* Effect.forkChild(Effect.flip(Agent.remove(analyst, ref)))
      yield* elapse(1000)
      const store = yield* TokenStore.TokenStore
      const { lease } = yield* store.acquire(idOfR, { owner: "another", ttl: Duration.hours(1), steal: true })
      const { reason } = yield* passing(Fiber.join(removing))
      assert.strictEqual(reason._tag, "LeaseLost")
      assert.deepStrictEqual((yield* recordOf("r")).lease?.owner, "another")
      // The one that holds the run can go on.
      const { incarnation } = yield* recordOf("r")
      yield* store.commit(lease, { seen: 99, facts: [{ _tag: "CancelRequested", incarnation, by: "another" }] })
      assert.isTrue((yield* stateOf("r")).cancelled)
    }).pipe(Effect.provide(Layer.merge(slow, kept)))
  })
})

describe("remove", () => {
  it.effect("E17: if the provider does not delete a response: require fails, try warns, keep does not ask", () => {
    const { layer, lines } = logged()
    let asked = 0
    const model = modelWith(script, () => ({
      remove: () =>
        Effect.suspend(() => {
          asked++
          return Effect.fail(denied)
        })
    }))
    return Effect.gen(function* () {
      yield* begun
      for (const options of [{}, { provider: "require" }] as const) {
        const before = asked
        const reason = yield* reasonOf(Agent.remove(analyst, { ...ref, ...options }))
        assert.strictEqual(reason._tag, "AiError")
        assert.isAbove(asked, before)
        const { lease, parked } = yield* recordOf("r")
        assert.isNull(lease, "the run is free")
        assert.isNull(parked)
      }
      assert.deepStrictEqual(lines, [])
      const before = asked
      yield* passing(Agent.remove(analyst, { ...ref, provider: "try" }))
      assert.isAbove(asked, before)
      assert.isUndefined(yield* stored)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warn baton: the provider did not delete a response.*"runId":"r".*"responseId":"resp_1"/)

      yield* begun
      const kept = asked
      yield* passing(Agent.remove(analyst, { ...ref, provider: "keep" }))
      assert.strictEqual(asked, kept)
      assert.isUndefined(yield* stored)
      assert.strictEqual(
        (yield* (yield* BackgroundModel.BackgroundModel).retrieve("resp_2")).snapshot.responseId,
        "resp_2"
      )
      assert.strictEqual((yield* reasonOf(Agent.poll(analyst, ref)))._tag, "RunNotFound")
    }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("E17: of a run whose request was never answered needs force", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* reasonOf(Agent.run(analyst, input)))._tag, "Unconfirmed")
      for (const provider of ["require", "try", "keep"] as const) {
        const error = yield* passing(Effect.flip(Agent.remove(analyst, { ...ref, provider })))
        assert.strictEqual(error.reason._tag, "Unconfirmed")
        assert.isDefined(yield* stored)
      }
      yield* passing(Agent.remove(analyst, { ...ref, force: true }))
      assert.isUndefined(yield* stored)
    }).pipe(Effect.provide(over(script, { confirms: false })))
  )

  it.effect("E17: of a run that bought a response which nobody reads deletes it too, or needs force", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const model = yield* BackgroundModel.BackgroundModel
      const loose = Effect.gen(function* () {
        yield* begun
        const { incarnation } = yield* recordOf("r")
        const { responseId } = yield* model.submit({
          runId: idOfR,
          agent: "analyst",
          prompt: (yield* firstRequest).prompt,
          background: true
        })
        yield* store.record(
          idOfR,
          { _tag: "Accepted", incarnation, by: "late", turn: 0, responseId, streamed: false },
          0
        )
        return responseId
      })
      yield* loose
      // The cancel of it is on its way, and does not arrive.
      const { reason } = yield* passing(Effect.flip(Agent.remove(analyst, { ...ref, provider: "keep" })))
      assert.strictEqual(reason._tag, "Unconfirmed")
      yield* passing(Agent.remove(analyst, ref))
      assert.isUndefined(yield* stored)
      assert.strictEqual(yield* count("remove"), 2)
      const second = yield* loose
      yield* passing(Agent.remove(analyst, { ...ref, provider: "keep", force: true }))
      assert.isUndefined(yield* stored)
      assert.strictEqual(yield* count("remove"), 2)
      assert.strictEqual((yield* model.retrieve(second)).snapshot.responseId, second)
    }).pipe(Effect.provide(over([text("a"), pause("1 hour"), completed])))
  )
})

const firstRequest = Effect.gen(function* () {
  const { ledger } = yield* ScriptedModel.ScriptedModel
  return (yield* ledger).find(({ request }) => request !== undefined)!.request!
})

describe.each(stores)("a run that is never opened, over the $name store", ({ layer: kept }) => {
  const recorded = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    // Its starter died before it took the run.
    yield* store.create(
      { runId: idOfR, agent: "analyst", digest: "of the input", background: true, session: {} },
      { due: Duration.seconds(60) }
    )
  })
  const forEver = { duration: "10 minutes", orElse: () => Effect.die("it waits for ever") } as const
  const verbs = {
    watch: Effect.timeoutOrElse(Stream.runDrain(Agent.watch(analyst, ref)), forEver),
    result: Effect.timeoutOrElse(Effect.asVoid(Agent.result(analyst, ref)), forEver),
    resume: Stream.runDrain(Agent.resume(analyst, ref))
  }
  it.effect.each(["watch", "result"] as const)(
    "E17: %s waits while somebody may be about to open it, then says so",
    (verb) =>
      Effect.gen(function* () {
        yield* recorded
        assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "queued")
        const [waited, first] = yield* passing(Effect.timed(Effect.flip(verbs[verb])), 500)
        assert.strictEqual(first.reason._tag, "RunNotOpened")
        assert.isAtLeast(Duration.toSeconds(waited), 59)
        assert.isAtMost(Duration.toSeconds(waited), 64)
        for (const again of [verbs.watch, verbs.result, verbs.resume, Effect.asVoid(Agent.poll(analyst, ref))]) {
          const [duration, error] = yield* passing(Effect.timed(Effect.flip(again)))
          assert.strictEqual(error.reason._tag, "RunNotOpened")
          assert.isAtMost(Duration.toSeconds(duration), 1)
        }
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), kept)))
  )

  it.effect("E17: watch and result of a run whose request is never answered say so", () =>
    Effect.gen(function* () {
      const starting = yield* Effect.forkChild(Effect.flip(Agent.run(analyst, input)))
      yield* elapse(1000)
      const viewers = yield* Effect.forEach([verbs.watch, verbs.result], (verb) => Effect.forkChild(Effect.flip(verb)))
      yield* elapse(10_000, 500)
      assert.isTrue(
        viewers.every((viewer) => viewer.pollUnsafe() === undefined),
        "while it is under way, they wait"
      )
      assert.strictEqual((yield* passing(Fiber.join(starting), 1000)).reason._tag, "Unconfirmed")
      const [duration, errors] = yield* passing(Effect.timed(Fiber.joinAll(viewers)))
      for (const { reason } of errors) assert.strictEqual(reason._tag, "Unconfirmed")
      assert.isAtMost(Duration.toSeconds(duration), 5)
    }).pipe(
      Effect.provide(
        Layer.merge(
          modelWith(script, () => ({ create: () => Stream.never })),
          kept
        )
      )
    )
  )
})

describe("a run that completed, and whose response the provider then forgot", () => {
  it.effect("E17: is completed, and not expired", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, input))
      const model = yield* BackgroundModel.BackgroundModel
      yield* model.remove("resp_1")
      assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "completed")
      assert.strictEqual((yield* passing(Agent.cancel(analyst, ref))).status, "completed")
      assert.strictEqual(yield* statusOf("r"), "completed")
      // Its consumer had all of it.
      assert.deepStrictEqual(yield* passing(Stream.runCollect(Agent.resume(analyst, ref))), [])
      assert.strictEqual(yield* statusOf("r"), "completed")
    }).pipe(Effect.provide(over(script)))
  )

  const verbs = {
    result: Effect.asVoid(Agent.result(analyst, ref)),
    run: Effect.asVoid(Agent.run(analyst, input)),
    watch: Stream.runDrain(Agent.watch(analyst, ref)),
    resume: Stream.runDrain(Agent.resume(analyst, ref))
  }
  it.effect.each(["result", "run", "watch", "resume"] as const)(
    "E17: %s does not take what cannot be read any more for an empty output",
    (verb) =>
      Effect.gen(function* () {
        yield* begun
        yield* elapse(5000)
        // Somebody saw the end, but the consumer did not read the rest.
        assert.strictEqual((yield* passing(Agent.poll(analyst, ref))).status, "completed")
        const model = yield* BackgroundModel.BackgroundModel
        yield* model.remove("resp_1")
        const before = yield* recordOf("r")
        const reason = yield* reasonOf(verbs[verb])
        assert.strictEqual(reason._tag, "RunExpired")
        assert.deepStrictEqual((yield* recordOf("r")).position, before.position)
        assert.isFalse((yield* stateOf("r")).delivered)
        assert.strictEqual(yield* statusOf("r"), "completed")
      }).pipe(Effect.provide(over(script)))
  )
})

describe("RunPolicy.leaseTime", () => {
  const times: ReadonlyArray<readonly [string, Duration.Input]> = [
    ["infinity", Duration.infinity],
    ["zero", 0],
    ["1 nanosecond", "1 nano"],
    ["a year", "365 days"]
  ]
  it.effect.each(times)("E17: %s is no defect: runs are read to their end, and held by one worker", ([, leaseTime]) =>
    Effect.gen(function* () {
      const reading = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
      yield* elapse(500, 1)
      const { lease } = yield* recordOf("r")
      assert.isNotNull(lease)
      assert.isTrue(Number.isFinite(lease.expiresAt))
      const second = yield* Effect.exit(Stream.runDrain(Agent.resume(analyst, ref)))
      assert.isTrue(Exit.isFailure(second))
      assert.isFalse(Exit.hasDies(second))
      assert.strictEqual(textOf(yield* passing(Fiber.join(reading), 2)), "ab")
      assert.isNull(doneWith(yield* recordOf("r")))
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.fromInputUnsafe(leaseTime) })),
      Effect.provide(over(script))
    )
  )

  it.effect.each(times)("E17: %s: a parked run is given back, and given up", ([, leaseTime]) =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const parkedNow = Effect.gen(function* () {
        const { lease, record } = yield* store.acquire(idOfR, { owner: "w", ttl: Duration.minutes(1) })
        const seen = record.journal.length
        yield* store.release(lease, { seen, due: Duration.infinity, parked: "for a test", attempt: "keep" })
      })
      yield* passing(Agent.start(analyst, input))
      yield* parkedNow
      yield* Runs.retry("r")
      const { due, parked } = yield* recordOf("r")
      assert.isNull(parked)
      assert.isNotNull(due)
      yield* parkedNow
      yield* Runs.discard("r")
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.fromInputUnsafe(leaseTime) })),
      Effect.provide(over(script))
    )
  )

  it.effect.each(times)("E17: %s: a run whose starter died is found by a worker", ([, leaseTime]) =>
    Effect.gen(function* () {
      // The starter dies as soon as the run is recorded.
      const starting = yield* Effect.forkChild(Agent.run(analyst, input))
      yield* elapse(3000)
      yield* passing(Fiber.interrupt(starting))
      const { due, lease } = yield* recordOf("r")
      assert.isNull(lease)
      assert.isNotNull(due)
      assert.isTrue(Number.isFinite(due))
    }).pipe(
      Effect.provide(RunPolicy.layer({ leaseTime: Duration.fromInputUnsafe(leaseTime) })),
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer(script),
          changing(TokenStore.layerMemory, () => ({ acquire: () => Effect.never }))
        )
      )
    )
  )
})

describe.each(stores)("polls beside resumes, over the $name store", ({ layer: kept }) => {
  /** A store whose answers take up to 20 ms, as those of a server do. */
  const slow = changing(kept, (inner) => {
    let n = 0
    const later = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => Effect.andThen(Effect.sleep(((n++ * 7) % 20) + 1), effect))
    return {
      read: (id) => later(inner.read(id)),
      acquire: (id, options) => later(inner.acquire(id, options)),
      commit: (lease, commit) => later(inner.commit(lease, commit)),
      record: (id, fact, seen) => later(inner.record(id, fact, seen)),
      conclude: (id, options) => later(inner.conclude(id, options)),
      release: (lease, options) => later(inner.release(lease, options))
    }
  })
  it.effect("E17: of 200 resumes none is told that a poll holds its run", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 200 }, (_, i) => `r-${i}`)
      yield* passing(
        Effect.forEach(ids, (runId) => Agent.start(analyst, { input: "Hello", runId }), { concurrency: 50 })
      )
      // Each run ends while it is polled and resumed.
      yield* elapse(900, 100)
      const outcomes = yield* passing(
        Effect.forEach(
          ids,
          (runId, i) =>
            Effect.gen(function* () {
              yield* Effect.sleep((i * 13) % 200)
              const polling = yield* Effect.forkChild(
                Effect.repeat(Effect.exit(Agent.poll(analyst, { runId })), { times: 8, schedule: Schedule.spaced(3) })
              )
              yield* Effect.sleep((i * 5) % 40)
              const resumed = yield* Effect.result(Stream.runCollect(Agent.resume(analyst, { runId })))
              yield* Fiber.join(polling)
              return resumed
            }),
          { concurrency: "unbounded" }
        ),
        10
      )
      const tags = outcomes.map((outcome) =>
        outcome._tag === "Success" ? textOf(outcome.success) : outcome.failure.reason._tag
      )
      assert.deepStrictEqual(
        tags.filter((tag) => tag !== "ab"),
        []
      )
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(script), slow)))
  )
})

describe("a store that refuses a commit for good", () => {
  const steps = [...Array.from({ length: 20 }, (_, i) => [text(`${i} `), pause("1 second")]).flat(), completed]
  const textOfSome = (n: number) => Array.from({ length: n }, (_, i) => `${i} `).join("")

  it.effect("E17: later positions are written all the same", () => {
    let commits = 0
    const store = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() =>
          commit.position !== undefined && ++commits === 3
            ? Effect.fail(storeError("corrupt"))
            : inner.commit(lease, commit)
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
          return Effect.fail(storeError("corrupt"))
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
        isAway ? Effect.fail(storeError("unavailable", operation)) : effect
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

describe("a journal", () => {
  it.effect("E17: does not grow for ever with requests that are refused for now", () => {
    const busy = modelWith(script, (inner) => ({
      create: (request) =>
        Stream.unwrap(Effect.as(inner.submit(request), Stream.fail(aiError(new AiError.RateLimitError({})))))
    }))
    return Effect.gen(function* () {
      let reason: AgentError.AgentError["reason"] | undefined
      for (let i = 0; i < 100; i++) reason = yield* reasonOf(Agent.run(analyst, input))
      const { journal } = yield* recordOf("r")
      assert.strictEqual(yield* count("submit"), RunEngine.maxTries)
      assert.strictEqual(journal.length, 2 * RunEngine.maxTries + 1)
      assert.strictEqual(yield* statusOf("r"), "failed")
      assert.strictEqual(reason?._tag === "AiError" && reason.reason._tag, "RateLimitError")
    }).pipe(Effect.provide(Layer.merge(busy, TokenStore.layerMemory)))
  })

  it.effect("E17: does not grow for ever with requests that are never answered, if they are sent again", () =>
    Effect.gen(function* () {
      let reason: AgentError.AgentError["reason"] | undefined
      for (let i = 0; i < 100; i++) reason = yield* reasonOf(Agent.run(analyst, input))
      assert.strictEqual(yield* count("create"), RunEngine.maxTries)
      assert.strictEqual((yield* recordOf("r")).journal.length, RunEngine.maxTries + 1)
      assert.strictEqual(reason?._tag, "Unconfirmed")
      assert.strictEqual((yield* stateOf("r")).ended?.unresolved?.length, RunEngine.maxTries)
    }).pipe(
      Effect.provide(RunPolicy.layer({ onUnconfirmed: "restart" })),
      Effect.provide(over(script, { confirms: false }))
    )
  )
})

describe.each(stores)("one state: a run that ended before a response was opened ($name)", ({ layer: kept }) => {
  type Program = Effect.Effect<unknown, unknown, Services>
  const refused = passing(Effect.exit(Agent.run(analyst, input)))
  const abandoned = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const digest = (yield* recordOf("r")).digest!
    const { lease } = yield* store.acquire(idOfR, { owner: "x", ttl: Duration.minutes(1) })
    yield* store.remove(lease, { force: true })
    yield* store.create({ runId: idOfR, agent: "analyst", digest, background: true, session: {} })
  })
  const parkedNow = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const { lease, record } = yield* store.acquire(idOfR, { owner: "x", ttl: Duration.minutes(1) })
    const seen = record.journal.length
    yield* store.release(lease, { seen, due: Duration.infinity, parked: "for a test", attempt: "keep" })
  })
  const cancelled = passing(Agent.cancel(analyst, ref))
  const good = [text("a"), completed]
  const cases: ReadonlyArray<
    readonly [string, ReadonlyArray<ScriptedModel.Step>, ScriptedModel.Options, Program, Run.RunStatus, string]
  > = [
    ["as refused", [fail(denied), ...good], {}, refused, "failed", "AiError"],
    [
      "as cancelled",
      good,
      {},
      Effect.andThen(refused, Effect.andThen(abandoned, cancelled)),
      "cancelled",
      "RunCancelled"
    ],
    [
      "as given up",
      good,
      {},
      Effect.andThen(refused, Effect.andThen(abandoned, Effect.andThen(parkedNow, Runs.discard("r")))),
      "cancelled",
      "RunCancelled"
    ],
    ["as unconfirmed", good, { confirms: false }, Effect.andThen(refused, cancelled), "failed", "Unconfirmed"]
  ]
  it.effect.each(cases)(
    "E19: %s: every verb says so, and nothing is asked of the provider",
    ([, steps, options, end, status, reason]) =>
      Effect.gen(function* () {
        yield* end
        const creates = yield* count("create")
        const failing: Record<string, Effect.Effect<unknown, AgentError.AgentError, Services>> = {
          stream: Stream.runDrain(Agent.stream(analyst, input)),
          "stream, by hand": Stream.runDrain(Agent.stream(analyst, { ...input, acknowledge: "manual" })),
          run: Agent.run(analyst, input),
          resume: Stream.runDrain(Agent.resume(analyst, ref)),
          watch: Stream.runDrain(Agent.watch(analyst, ref)),
          result: Agent.result(analyst, ref)
        }
        for (const [verb, effect] of Object.entries(failing)) {
          assert.strictEqual((yield* reasonOf(effect))._tag, reason, verb)
        }
        const telling = {
          poll: Agent.poll(analyst, ref),
          start: Agent.start(analyst, input),
          cancel: Agent.cancel(analyst, ref),
          "cancel, without waiting": Agent.cancel(analyst, { ...ref, wait: false })
        }
        for (const [verb, effect] of Object.entries(telling)) {
          const response = yield* passing(effect)
          assert.strictEqual(response.status, status, verb)
          assert.isTrue(Option.isNone(response.continuationToken), verb)
          assert.isTrue(Option.isNone(response.responseId), verb)
        }
        // As do the record, the list, and workers.
        assert.strictEqual(yield* statusOf("r"), status)
        const { due, lease, parked } = yield* recordOf("r")
        assert.isNull(due)
        assert.isNull(lease)
        assert.isNull(parked)
        const listed = yield* Stream.runCollect(Runs.list({ status: [status] }))
        assert.deepStrictEqual(
          listed.map(({ runId }) => runId),
          [idOfR]
        )
        const open = Runs.list({ status: ["queued", "in_progress", "waiting"] })
        assert.deepStrictEqual(yield* Stream.runCollect(open), [])
        assert.strictEqual(yield* count("create"), creates)
        for (const operation of ["submit", "resume", "retrieve", "cancel"] as const) {
          assert.strictEqual(yield* count(operation), 0, operation)
        }
        yield* passing(Agent.remove(analyst, { ...ref, force: true }))
        assert.isUndefined(yield* stored)
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(steps, options), kept)))
  )
})
