// Runs with an update log: the consumer and all viewers read one story, and the provider is asked once.
import {
  Agent,
  AgentError,
  type AgentUpdate,
  Run,
  Runs,
  RunPolicy,
  RunState,
  TokenStore,
  UpdateLog
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Stream, Struct } from "effect"
import { analyst, count, plain, reasonOf, recordOf, requests, textOf, uninterrupted } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, pause, text, unknown } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const runId = Run.RunId.make("r")

const over = (steps: ReadonlyArray<ScriptedModel.Step>, options: ScriptedModel.Options = {}) =>
  Layer.mergeAll(ScriptedModel.layer(steps, options), TokenStore.layerMemory, UpdateLog.layerMemory)

const slowly = [text(["a", "b"]), pause("1 second"), text("c"), pause("1 second"), text(["d", "e"]), completed]

const placesOf = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) =>
  updates.map(({ continuationToken }) => Option.getOrThrow(continuationToken).offset)

/** Also the tokens are the same. */
const same = (some: ReadonlyArray<AgentUpdate.AgentUpdate>, others: ReadonlyArray<AgentUpdate.AgentUpdate>) => {
  const read = (updates: typeof some) =>
    updates.map(({ continuationToken, ...rest }) => ({ ...rest, token: Option.getOrThrow(continuationToken) }))
  assert.deepStrictEqual(read(some), read(others))
}

const watched = Stream.runCollect(Agent.watch(analyst, ref))

describe("a run with an update log", () => {
  it.effect("gives its consumer and a viewer the same updates, and the provider is asked once", () =>
    Effect.gen(function* () {
      const [updates, seen] = yield* passing(
        Effect.all([Stream.runCollect(Agent.stream(analyst, input)), Effect.delay(watched, "500 millis")], {
          concurrency: "unbounded"
        })
      )
      assert.strictEqual(textOf(updates), "abcde")
      assert.deepStrictEqual(
        placesOf(updates),
        updates.map((_, i) => i + 1)
      )
      same(seen, updates)
      assert.deepStrictEqual(yield* requests, ["create"])
      // A viewer that comes after the end reads the same, and so does one at any place.
      same(yield* watched, updates)
      for (const [k, update] of updates.entries()) {
        const { epoch, offset } = Option.getOrThrow(update.continuationToken)
        const rest = Agent.watch(analyst, { runId: "r", offset, ...(epoch === undefined ? {} : { epoch }) })
        same(yield* Stream.runCollect(rest), updates.slice(k + 1))
      }
      assert.deepStrictEqual(yield* requests, ["create"])
    }).pipe(Effect.provide(over(slowly)))
  )

  it.effect("has the same text as one without a log, and neither raw events nor their numbers", () =>
    Effect.gen(function* () {
      const logged = yield* uninterrupted("r")
      assert.isTrue(logged.every(({ raw, sequenceNumber }) => raw === undefined && sequenceNumber === undefined))
      assert.strictEqual((yield* recordOf("r")).logged, true)
      const unlogged = { ...analyst, log: false }
      const plainly = yield* passing(Stream.runCollect(Agent.stream(unlogged, { input: "Hello", runId: "u" })))
      assert.isUndefined((yield* recordOf("u")).logged)
      const without = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) =>
        plain(updates).map(Struct.omit(["raw", "sequenceNumber", "token"]))
      assert.deepStrictEqual(without(logged), without(plainly))
    }).pipe(Effect.provide(over([...slowly.slice(0, -1), unknown({ type: "new" }), completed])))
  )

  it.effect(
    "is not slowed by its consumer: a viewer sees the end while the consumer has its first update in hand",
    () =>
      Effect.gen(function* () {
        const consumer = yield* Effect.forkChild(Stream.runForEach(Agent.stream(analyst, input), () => Effect.never))
        const seen = yield* passing(watched)
        assert.strictEqual(textOf(seen), "abcde")
        yield* Fiber.interrupt(consumer)
        assert.strictEqual((yield* recordOf("r")).position.offset, 0)
        // What it did not finish with comes again, from the log.
        const again = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)))
        assert.strictEqual(textOf(again), "abcde")
        assert.deepStrictEqual(yield* requests, ["create"])
      }).pipe(Effect.provide(over(slowly)))
  )

  it.effect("is answered from its log, also after the provider forgot it", () =>
    Effect.gen(function* () {
      const updates = yield* uninterrupted("r")
      const before = (yield* requests).length
      const result = yield* Agent.result(analyst, ref)
      assert.strictEqual(result.text, "abcde")
      assert.strictEqual(result.status, "completed")
      assert.deepStrictEqual(result.responseId, Option.some("resp_1"))
      assert.deepStrictEqual(result.session, updates.at(-1)?.session)
      assert.isTrue(Option.isSome(result.finishReason))
      const all = yield* Stream.runCollect(Runs.results())
      assert.deepStrictEqual(
        all.map(({ record, response }) => [record.runId, Option.getOrThrow(response).text]),
        [["r", "abcde"]]
      )
      assert.strictEqual((yield* requests).length, before)
    }).pipe(Effect.provide(over(slowly)))
  )

  it.effect("that failed fails its viewers as the run did, after its last update", () =>
    Effect.gen(function* () {
      const seen: Array<AgentUpdate.AgentUpdate> = []
      const consumer = Stream.runForEach(Agent.stream(analyst, input), () => Effect.void)
      yield* passing(Effect.exit(consumer))
      const reason = yield* reasonOf(
        Stream.runForEach(Agent.watch(analyst, ref), (update) => Effect.sync(() => void seen.push(update)))
      )
      assert.strictEqual(reason._tag, "RunFailed")
      assert.strictEqual(textOf(seen), "a")
      assert.strictEqual(seen.at(-1)?.status, "failed")
    }).pipe(Effect.provide(over([text("a"), failed("once")])))
  )

  it.effect("that nobody follows to its end is completed by whoever learns of the end", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 2)))
      yield* elapse(5000)
      const poll = yield* Agent.poll(analyst, ref)
      assert.strictEqual(poll.status, "completed")
      const log = yield* UpdateLog.UpdateLog
      assert.isTrue((yield* log.read(runId, { from: 0, limit: 1 })).ended)
      assert.strictEqual(RunState.fold(yield* recordOf("r")).ended?.status, "completed")
      assert.strictEqual(textOf(yield* watched), "abcde")
    }).pipe(Effect.provide(over(slowly)))
  )

  it.effect("goes on under the same offsets after it was retried", () =>
    Effect.gen(function* () {
      yield* passing(Effect.exit(Stream.runDrain(Agent.stream(analyst, input))))
      const before = yield* passing(Effect.exit(watched))
      assert.isTrue(before._tag === "Failure")
      yield* passing(Agent.retry(analyst, input))
      yield* passing(Effect.exit(Stream.runDrain(Agent.resume(analyst, ref))))
      const places: Array<number> = []
      const texts: Array<string> = []
      const retried: Array<number> = []
      yield* passing(
        Effect.exit(
          Stream.runForEach(Agent.watch(analyst, ref), (update) =>
            Effect.sync(() => {
              places.push(Option.getOrThrow(update.continuationToken).offset)
              texts.push(update.text)
              if (update.retried === true) retried.push(places.length)
            })
          )
        )
      )
      assert.deepStrictEqual(
        places,
        places.map((_, i) => i + 1)
      )
      assert.strictEqual(texts.join(""), "aa")
      assert.strictEqual(retried.length, 1)
    }).pipe(Effect.provide(over([text("a"), failed("each time")])))
  )
})

describe("a worker of a logged run", () => {
  it.effect("gives a handle that failed at its end the last update again", () =>
    Effect.gen(function* () {
      const texts: Array<string> = []
      const statuses: Array<string> = []
      yield* Agent.enqueue(analyst, input)
      const worker = yield* Effect.forkChild(
        Layer.launch(
          Runs.worker([analyst], {
            concurrency: 1,
            handle: Effect.fnUntraced(function* ({ attempt, updates }) {
              let read = ""
              yield* Stream.runForEach(updates, (update) =>
                Effect.sync(() => {
                  read += update.text
                  statuses.push(`${attempt} ${update.status}`)
                })
              )
              texts.push(read)
              if (attempt === 1) return yield* Effect.fail("not yet")
            })
          })
        )
      )
      yield* passing(Runs.wait("r", { until: (record) => RunState.fold(record).delivered }))
      yield* Fiber.interrupt(worker)
      assert.deepStrictEqual(texts, ["abcde", ""])
      assert.strictEqual(statuses.at(-1), "2 completed")
    }).pipe(Effect.provide(over(slowly)))
  )
})

describe("without the log", () => {
  it.effect("a logged run is neither advanced nor watched, and says what is missing", () =>
    Effect.gen(function* () {
      yield* uninterrupted("r").pipe(Effect.provide(UpdateLog.layerMemory))
      for (const effect of [
        Stream.runDrain(Agent.watch(analyst, ref)),
        Stream.runDrain(Agent.stream(analyst, input))
      ]) {
        assert.strictEqual((yield* reasonOf(effect))._tag, "LogMissing")
      }
      // The provider still has the whole.
      assert.strictEqual((yield* Agent.result(analyst, ref)).text, "abcde")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(slowly), TokenStore.layerMemory)))
  )

  it.effect("an offset of a run that has none is refused", () =>
    Effect.gen(function* () {
      yield* uninterrupted("r")
      const reason = yield* reasonOf(Stream.runDrain(Agent.watch(analyst, { runId: "r", offset: 1 })))
      assert.strictEqual(reason._tag, "InvalidInput")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(slowly), TokenStore.layerMemory)))
  )

  it.effect("viewers of a run in one process share one attachment", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const all = yield* passing(
        Effect.all(
          Array.from({ length: 20 }, (_, i) => Effect.delay(watched, `${i * 100} millis`)),
          { concurrency: "unbounded" }
        )
      )
      for (const updates of all) assert.strictEqual(textOf(updates), "abcde")
      assert.strictEqual(yield* count("resume"), 1)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(slowly), TokenStore.layerMemory)))
  )
})

describe("a log that lost updates", () => {
  const losing = Effect.gen(function* () {
    yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 4)))
    const log = yield* UpdateLog.UpdateLog
    const { chunks } = yield* log.read(runId, { from: 0, limit: 10 })
    yield* log.remove(runId)
    // The place of the log has only its first update left.
    return chunks
  })

  it.effect("gives its consumer again what it lost, says so, and ends as it must", () =>
    Effect.gen(function* () {
      yield* losing
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)))
      assert.strictEqual(textOf(rest), "abcde")
      assert.strictEqual(placesOf(rest)[0], 1)
    }).pipe(Effect.provide(over(slowly)))
  )

  it.effect("tells a viewer that saw the lost ones to read from the start", () =>
    Effect.gen(function* () {
      const first = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 4)))
      const { epoch, offset } = Option.getOrThrow(first.at(-1)!.continuationToken)
      yield* (yield* UpdateLog.UpdateLog).remove(runId)
      yield* passing(Stream.runDrain(Agent.resume(analyst, ref)))
      const reason = yield* reasonOf(
        Stream.runDrain(Agent.watch(analyst, { runId: "r", offset, ...(epoch === undefined ? {} : { epoch }) }))
      )
      assert.isTrue(reason._tag === "TokenInvalid" && reason.kind === "rewritten")
      assert.strictEqual(textOf(yield* watched), "abcde")
    }).pipe(Effect.provide(over(slowly)))
  )
})

describe("a log that is full", () => {
  const long = [
    ...Array.from({ length: 40 }, (_, i) => [text(`${i} `.padEnd(200, ".")), pause("60 millis")]).flat(),
    completed
  ]

  it.effect("drops acknowledged updates, and late viewers are told where it begins", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      const reason = yield* reasonOf(watched)
      assert.isTrue(reason._tag === "LogTruncated" && reason.first > 0)
      assert.strictEqual((yield* Agent.result(analyst, ref)).text, textOf(updates))
    }).pipe(Effect.provide(Layer.mergeAll(over(long), RunPolicy.layer({ maxLog: 4000 }))))
  )

  it.effect("parks a run whose consumer acknowledges nothing, with the reason", () =>
    Effect.gen(function* () {
      const stream = Agent.stream(analyst, { ...input, acknowledge: "manual" })
      const reason = yield* reasonOf(Stream.runDrain(stream))
      assert.strictEqual(reason._tag, "LogFull")
      const { parked } = yield* recordOf("r")
      assert.match(parked?.reason ?? "", /maxLog/)
      assert.instanceOf(reason, AgentError.LogFull)
    }).pipe(Effect.provide(Layer.mergeAll(over(long), RunPolicy.layer({ maxLog: 4000 }))))
  )
})
