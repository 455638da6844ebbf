// Guarantee 2 for consumers that pull ahead: each update is acknowledged by hand, and the checkpoint is the longest
// prefix in which all are.
import { Agent, type AgentError, type AgentUpdate, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Queue, Stream } from "effect"
import {
  analyst,
  claimOf,
  counter,
  doneWith,
  halting,
  recordOf,
  type Services,
  textOf,
  uninterrupted,
  type Update
} from "../support/runs.ts"
import { changing, Recorder, recording, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

type Delivery = AgentUpdate.Delivery
type Deliveries = Stream.Stream<Delivery, AgentError.AgentError, Services>
type Work = (update: Update) => Effect.Effect<void, "stop">
type Consumer = (deliveries: Deliveries, work: Work) => Effect.Effect<unknown, unknown, Services>

const working =
  <B>(
    operator: (deliveries: Deliveries) => Stream.Stream<B, unknown, Services>,
    each: (value: B, work: Work) => Effect.Effect<unknown, unknown>
  ): Consumer =>
  (deliveries, work) =>
    Stream.runForEach(operator(deliveries), (value) => each(value, work))
const one = ({ acknowledge, update }: Delivery, work: Work) => Effect.andThen(work(update), acknowledge)
const acknowledgeAll = (deliveries: ReadonlyArray<Delivery>) =>
  Effect.forEach(deliveries, ({ acknowledge }) => acknowledge, { discard: true })
const group = (deliveries: ReadonlyArray<Delivery>, work: Work) =>
  Effect.andThen(
    Effect.forEach(deliveries, ({ update }) => work(update)),
    acknowledgeAll(deliveries)
  )

const consumers: Record<string, Consumer> = {
  "nothing between": working((deliveries) => deliveries, one),
  buffer: working(Stream.buffer({ capacity: 16 }), one),
  grouped: working(Stream.grouped(3), group),
  "grouped, from the last to the first": working(Stream.grouped(3), (deliveries, work) =>
    group(deliveries.toReversed(), work)
  ),
  groupedWithin: working(Stream.groupedWithin(4, "100 millis"), group),
  merge: working(Stream.merge(Stream.empty), one),
  "mapEffect with concurrency": (deliveries, work) =>
    Stream.mapEffect(deliveries, (delivery) => Effect.as(work(delivery.update), delivery), { concurrency: 3 }).pipe(
      Stream.runForEach(({ acknowledge }) => acknowledge)
    ),
  "mapEffect with concurrency, in any order": (deliveries, work) =>
    Stream.mapEffect(deliveries, (delivery) => one(delivery, work), { concurrency: 3, unordered: true }).pipe(
      Stream.runDrain
    ),
  timeout: working(Stream.timeout("1 minute"), one)
}

const by = { input: "Hello", runId: "r", acknowledge: "manual" } as const

/** How many updates the consumer is done with, as the record of the run tells. */
const doneOf = (countOf: ReturnType<typeof counter>) => Effect.map(recordOf("r"), (record) => countOf(doneWith(record)))

const observe = (consumer: Consumer, stopAt?: number) =>
  Effect.gen(function* () {
    const whole = yield* uninterrupted("whole")
    const countOf = counter(whole)
    const recorder = yield* Recorder
    const finished = new Set<number>([0])
    let seen = 0
    let ahead: string | undefined
    recorder.onCommit = (commit) => {
      const claim = claimOf(commit)
      if (claim === undefined) return
      const claimed = countOf(claim)
      for (let n = 1; n <= claimed; n++) if (!finished.has(n)) ahead ??= `${claimed} claimed, but not ${n} finished`
    }
    const work: Work = (update) =>
      Effect.suspend(() =>
        // The second of two is done before the first.
        ++seen === stopAt ? Effect.fail("stop" as const) : Effect.sleep(seen % 2 === 0 ? "300 millis" : "700 millis")
      ).pipe(Effect.andThen(Effect.sync(() => finished.add(countOf(Option.getOrNull(update.continuationToken))))))
    const exit = yield* passing(Effect.exit(consumer(Agent.stream(analyst, by), work)))
    assert.isNull((yield* recordOf("r")).lease)
    return {
      ahead,
      committed: yield* doneOf(countOf),
      exit,
      finished: finished.size - 1,
      whole: whole.length
    }
  })

for (const { layer, name } of stores) {
  const over = Layer.merge(ScriptedModel.layer(halting), recording(layer))

  describe(`acknowledging by hand over the ${name} store`, () => {
    for (const [operator, consumer] of Object.entries(consumers)) {
      it.effect(`${operator}: never ahead of what was acknowledged, and all of it at the end`, () =>
        Effect.gen(function* () {
          const { ahead, committed, exit, whole } = yield* observe(consumer)
          assert.isTrue(Exit.isSuccess(exit))
          assert.isUndefined(ahead)
          assert.strictEqual(committed, whole)
        }).pipe(Effect.provide(over))
      )

      it.effect(`${operator}: never ahead of what was acknowledged when the consumer fails`, () =>
        Effect.gen(function* () {
          const { ahead, committed, finished } = yield* observe(consumer, 4)
          assert.isUndefined(ahead)
          assert.isAtMost(committed, finished)
        }).pipe(Effect.provide(over))
      )
    }

    it.effect("the checkpoint is the longest prefix in which all updates are acknowledged", () =>
      Effect.gen(function* () {
        const countOf = counter(yield* uninterrupted("whole"))
        const out = yield* Queue.unbounded<Delivery>()
        const reading = yield* Effect.forkChild(
          Stream.runForEach(Agent.stream(analyst, by), (delivery) =>
            Effect.andThen(
              Queue.offer(out, delivery),
              delivery.update.text === "e" ? Effect.sleep("1 hour") : Effect.void
            )
          )
        )
        yield* elapse(1000)
        const deliveries = yield* Queue.takeAll(out)
        assert.isAtLeast(deliveries.length, 6)
        const acknowledge = (n: number) => Effect.andThen(deliveries[n - 1]!.acknowledge, elapse(500))

        yield* acknowledge(deliveries.length)
        assert.strictEqual(yield* doneOf(countOf), 0)
        yield* acknowledge(1)
        assert.strictEqual(yield* doneOf(countOf), 1)
        yield* acknowledge(3)
        yield* acknowledge(4)
        assert.strictEqual(yield* doneOf(countOf), 1)
        yield* acknowledge(2)
        assert.strictEqual(yield* doneOf(countOf), 4)
        // A second time changes nothing.
        for (const n of [3, 1, 4, 2]) yield* acknowledge(n)
        assert.strictEqual(yield* doneOf(countOf), 4)
        yield* acknowledgeAll(deliveries)
        yield* elapse(500)
        assert.strictEqual(yield* doneOf(countOf), deliveries.length)
        yield* passing(Fiber.interrupt(reading))
        assert.strictEqual(yield* doneOf(countOf), deliveries.length)
      }).pipe(Effect.provide(over))
    )

    it.effect.each([
      ["in order", (deliveries: ReadonlyArray<Delivery>) => deliveries],
      ["from the last to the first", (deliveries: ReadonlyArray<Delivery>) => deliveries.toReversed()]
    ] as const)("E17: acknowledgements after the end that come together take one lease, %s", ([, ordered]) =>
      Effect.gen(function* () {
        const countOf = counter(yield* uninterrupted("whole"))
        const deliveries = yield* passing(Stream.runCollect(Agent.stream(analyst, by)))
        const { operations } = yield* Recorder
        const before = operations.length
        assert.strictEqual(yield* doneOf(countOf), 0)
        yield* passing(
          Effect.forEach(ordered(deliveries), ({ acknowledge }) => acknowledge, { concurrency: "unbounded" })
        )
        assert.strictEqual(yield* doneOf(countOf), deliveries.length)
        const taken = operations.slice(before).filter((operation) => operation === "acquire")
        assert.strictEqual(taken.length, 1)
        assert.isNull((yield* recordOf("r")).lease)
      }).pipe(Effect.provide(over))
    )

    it.effect("acknowledgements after the end that come one by one are written as they come", () =>
      Effect.gen(function* () {
        const countOf = counter(yield* uninterrupted("whole"))
        const deliveries = yield* passing(Stream.runCollect(Agent.stream(analyst, by)))
        for (const [i, { acknowledge }] of deliveries.entries()) {
          yield* passing(acknowledge)
          assert.strictEqual(yield* doneOf(countOf), i + 1)
          assert.isNull((yield* recordOf("r")).lease)
        }
      }).pipe(Effect.provide(over))
    )
  })
}

describe("RunPolicy.maxUnacknowledged", () => {
  const over = Layer.mergeAll(
    ScriptedModel.layer(halting),
    recording(TokenStore.layerMemory),
    RunPolicy.layer({ maxUnacknowledged: 3 })
  )

  it.effect("bounds how many updates are out, and the stream goes on as they are acknowledged", () =>
    Effect.gen(function* () {
      const whole = yield* uninterrupted("whole")
      const out: Array<Delivery> = []
      const all: Array<Update> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, by), (delivery) =>
          Effect.sync(() => {
            out.push(delivery)
            all.push(delivery.update)
          })
        )
      )
      yield* elapse(5000)
      assert.strictEqual(out.length, 3)
      while (all.length < whole.length) {
        const before = all.length
        // From the last to the first: none makes room before the first does.
        const [first, ...others] = out.splice(0)
        for (const { acknowledge } of others.toReversed()) yield* acknowledge
        yield* elapse(1000)
        assert.strictEqual(all.length, before)
        yield* first!.acknowledge
        yield* elapse(1000)
        assert.strictEqual(all.length, Math.min(before + 3, whole.length))
      }
      yield* acknowledgeAll(out)
      yield* passing(Fiber.join(reading))
      assert.strictEqual(textOf(all), textOf(whole))
      assert.strictEqual(yield* doneOf(counter(whole)), whole.length)
    }).pipe(Effect.provide(over))
  )

  it.effect("a stream that waits for acknowledgements fails when its lease is lost", () =>
    Effect.gen(function* () {
      const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Agent.stream(analyst, by))))
      yield* elapse(1000)
      const store = yield* TokenStore.TokenStore
      const { runId } = yield* recordOf("r")
      yield* store.acquire(runId, { owner: "other", ttl: Duration.hours(1), steal: true })
      yield* elapse(60_000, 1000)
      assert.strictEqual((yield* Fiber.join(reading)).reason._tag, "LeaseLost")
    }).pipe(Effect.provide(over))
  )
})

describe("Delivery.acknowledge", () => {
  const over = Layer.merge(ScriptedModel.layer(halting), TokenStore.layerMemory)

  it.effect("refuses if another worker stole the run, and leaves its position alone", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const held: Array<Delivery> = []
      const stale = yield* Effect.forkChild(
        Effect.exit(
          Stream.runForEach(Agent.stream(analyst, by), (delivery) =>
            Effect.andThen(
              Effect.sync(() => held.push(delivery)),
              Effect.sleep("2 minutes")
            )
          )
        )
      )
      yield* elapse(1000)
      const { position, runId } = yield* recordOf("r")
      yield* store.acquire(runId, { owner: "other", ttl: Duration.hours(1), steal: true })
      yield* elapse(60_000, 1000)
      const error = yield* Effect.flip(held[0]!.acknowledge)
      assert.strictEqual(error.reason._tag, "LeaseLost")
      assert.deepStrictEqual((yield* recordOf("r")).position, position)
      yield* Fiber.interrupt(stale)
    }).pipe(Effect.provide(over))
  )

  it.effect("after the end refuses while another worker holds the run, and works again when it is free", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const countOf = counter(yield* uninterrupted("whole"))
      const deliveries = yield* passing(Stream.runCollect(Agent.stream(analyst, by)))
      const { journal, runId } = yield* recordOf("r")
      const { lease } = yield* store.acquire(runId, { owner: "other", ttl: Duration.hours(1) })
      for (const { acknowledge } of deliveries) {
        const error = yield* Effect.flip(acknowledge)
        assert.strictEqual(error.reason._tag, "RunLeased")
        assert.isTrue(error.isRetryable)
      }
      assert.strictEqual(yield* doneOf(countOf), 0)
      yield* store.release(lease, { seen: journal.length, due: Duration.infinity, attempt: "keep" })
      // Repeated, it is not taken for one that was written.
      yield* deliveries.at(-1)!.acknowledge
      assert.strictEqual(yield* doneOf(countOf), deliveries.length)
    }).pipe(Effect.provide(over))
  )

  it.effect("while the stream is being left waits for that, and is written", () =>
    Effect.gen(function* () {
      const countOf = counter(yield* uninterrupted("whole"))
      const held: Array<Delivery> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(Stream.take(Agent.stream(analyst, by), 4), (delivery) =>
          Effect.sync(() => void held.push(delivery))
        )
      )
      yield* elapse(100)
      assert.isNotNull((yield* recordOf("r")).lease)
      const acknowledged = yield* Effect.forkChild(
        Effect.forEach(held, ({ acknowledge }) => acknowledge, { concurrency: "unbounded" })
      )
      yield* passing(Fiber.join(reading))
      yield* passing(Fiber.join(acknowledged))
      assert.strictEqual(yield* doneOf(countOf), held.length)
      assert.isNull((yield* recordOf("r")).lease)
    }).pipe(
      Effect.provide(
        Layer.merge(
          ScriptedModel.layer(halting),
          changing(TokenStore.layerMemory, (inner) => ({
            release: (lease, options) => Effect.delay(inner.release(lease, options), "700 millis")
          }))
        )
      )
    )
  )

  it.effect("of a run that is over and read again from an early token has nothing to write", () =>
    Effect.gen(function* () {
      const whole = yield* uninterrupted("r")
      const early = Option.getOrThrow(whole[2]!.continuationToken)
      const again = yield* passing(
        Stream.runCollect(Agent.resume(analyst, { continuationToken: early, acknowledge: "manual" }))
      )
      yield* acknowledgeAll(again)
      assert.strictEqual(textOf(again.map(({ update }) => update)), textOf(whole.slice(3)))
      assert.strictEqual(yield* doneOf(counter(whole)), whole.length)
    }).pipe(Effect.provide(over))
  )
})
