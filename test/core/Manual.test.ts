import { Agent, AgentError, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import {
  analyst,
  counter,
  halting,
  recordOf,
  type Services,
  uninterrupted,
  type Update,
  type Updates
} from "../support/runs.ts"
import { Recorder, recording, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

type Work = (update: Update) => Effect.Effect<void, "stop">
type Consumer = (updates: Updates, work: Work) => Effect.Effect<unknown, unknown, Services>

const working =
  <B>(
    operator: (updates: Updates) => Stream.Stream<B, unknown, Services>,
    each: (value: B, work: Work) => Effect.Effect<unknown, unknown>
  ): Consumer =>
  (updates, work) =>
    Stream.runForEach(operator(updates), (value) => each(value, work))
const one = (update: Update, work: Work) => Effect.andThen(work(update), Agent.acknowledge(update))
const group = (updates: ReadonlyArray<Update>, work: Work) =>
  Effect.andThen(Effect.forEach(updates, work), Agent.acknowledge(updates.at(-1)!))

const consumers: Record<string, Consumer> = {
  "nothing between": working((updates) => updates, one),
  buffer: working(Stream.buffer({ capacity: 16 }), one),
  grouped: working(Stream.grouped(3), group),
  groupedWithin: working(Stream.groupedWithin(4, "100 millis"), group),
  merge: working(Stream.merge(Stream.empty), one),
  "mapEffect with concurrency": (updates, work) =>
    Stream.mapEffect(updates, (update) => Effect.as(work(update), update), { concurrency: 3 }).pipe(
      Stream.runForEach(Agent.acknowledge)
    ),
  timeout: working(Stream.timeout("1 minute"), one)
}

const observe = (consumer: Consumer, stopAt?: number) =>
  Effect.gen(function* () {
    const whole = yield* uninterrupted("whole")
    const countOf = counter(whole)
    const recorder = yield* Recorder
    const finished = new Set<number>([0])
    let seen = 0
    let ahead: string | undefined
    recorder.onCommit = ({ token }) => {
      const claimed = countOf(token)
      for (let n = 1; n <= claimed; n++) if (!finished.has(n)) ahead ??= `${claimed} claimed, but not ${n} finished`
    }
    const work: Work = (update) =>
      Effect.suspend(() => (++seen === stopAt ? Effect.fail("stop" as const) : Effect.sleep("700 millis"))).pipe(
        Effect.andThen(Effect.sync(() => finished.add(countOf(Option.getOrNull(update.continuationToken)))))
      )
    const exit = yield* passing(
      Effect.exit(consumer(Agent.stream(analyst, { input: "Hello", runId: "r", acknowledge: "manual" }), work))
    )
    const record = yield* recordOf("r")
    assert.isNull(record.lease)
    return { ahead, committed: countOf(record.token), exit, finished: finished.size - 1, whole: whole.length }
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

    it.effect("an acknowledged update stands for all before it", () =>
      Effect.gen(function* () {
        const updates = yield* passing(
          Stream.runCollect(
            Agent.stream(analyst, { input: "Hello", runId: "r", acknowledge: "manual" }).pipe(
              Stream.tap((update) => (update.text === "d" ? Agent.acknowledge(update) : Effect.void))
            )
          )
        )
        const { token } = yield* recordOf("r")
        assert.strictEqual(counter(updates)(token), updates.findIndex((update) => update.text === "d") + 1)
      }).pipe(Effect.provide(over))
    )

    it.effect("an older update takes nothing back", () =>
      Effect.gen(function* () {
        const updates = yield* passing(
          Stream.runCollect(
            Agent.stream(analyst, { input: "Hello", runId: "r", acknowledge: "manual" }).pipe(
              Stream.mapAccum(
                () => [] as ReadonlyArray<Update>,
                (before, update) => [[...before, update], [{ first: before[0] ?? update, update }]] as const
              ),
              Stream.tap(({ first, update }) =>
                update.text === "d" ? Effect.andThen(Agent.acknowledge(update), Agent.acknowledge(first)) : Effect.void
              ),
              Stream.map(({ update }) => update)
            )
          )
        )
        const { token } = yield* recordOf("r")
        assert.strictEqual(counter(updates)(token), updates.findIndex((update) => update.text === "d") + 1)
      }).pipe(Effect.provide(over))
    )
  })
}

describe("Agent.acknowledge", () => {
  it.effect("refuses an update of another stream", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello" })))
      const error = yield* Effect.flip(Agent.acknowledge(updates[0]!))
      assert.instanceOf(error, AgentError.AgentError)
      assert.strictEqual(error.reason._tag, "InvalidInput")
      assert.include(error.message, 'acknowledge: "manual"')
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), stores[0]!.layer)))
  )

  it.effect("refuses where another worker took the run over, and leaves its position alone", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const held: Array<Update> = []
      const stale = yield* Effect.forkChild(
        Effect.exit(
          Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "r", acknowledge: "manual" }), (update) =>
            Effect.andThen(
              Effect.sync(() => held.push(update)),
              Effect.sleep("2 minutes")
            )
          )
        )
      )
      yield* elapse(1000)
      const { lease, runId, token } = yield* recordOf("r")
      yield* store.release({ runId, ...lease! })
      yield* store.acquire(runId, { owner: "other", ttl: Duration.hours(1) })
      yield* elapse(60_000, 1000)
      const error = yield* Effect.flip(Agent.acknowledge(held[0]!))
      assert.strictEqual(error.reason._tag, "LeaseLost")
      assert.deepStrictEqual((yield* recordOf("r")).token, token)
      yield* Fiber.interrupt(stale)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), stores[0]!.layer)))
  )
})
