// Looking at runs, waiting for them, and stopping many of them, in a process that never talks to the provider; and hints,
// which end waits early.
import { Agent, BackgroundModel, Run, RunPolicy, RunState, Runs, TokenStore, TokenStoreError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Schedule, Stream, Struct } from "effect"
import { logged } from "../support/logs.ts"
import { analyst, count, recordOf, stateOf, statusOf, textOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { doneBy, launch, quick } from "../support/workers.ts"

const { completed, failed, pause, text } = ScriptedModel
const poet = Agent.make("poet", { background: true })

const worker = Runs.worker([analyst, poet], {
  ...quick,
  handle: ({ updates }) => Effect.ignore(Stream.runDrain(updates))
})

const enqueue = (runId: string, agent: Agent.Agent = analyst, labels: Readonly<Record<string, string>> = {}) =>
  Agent.enqueue(agent, { input: "Hello", runId, labels })

const idsOf = (filter: Runs.Filter) =>
  Effect.map(Stream.runCollect(Runs.list(filter)), (found) => found.map(({ runId }) => String(runId)).toSorted())

/** A text a second, for an hour. */
const long = [...Array.from({ length: 3600 }, () => [text("a"), pause("1 second")]).flat(), completed]

/** Lets what is under way go on as far as it can, while no time passes. */
const still = elapse(0.001, 0.001)

const away = new TokenStoreError.TokenStoreError({ operation: "read", kind: "unavailable", description: "away" })
const torn = new TokenStoreError.TokenStoreError({ operation: "read", kind: "corrupt", description: "torn" })

describe.each(stores)("Runs ($name)", ({ layer: store }) => {
  const over = (script: Parameters<typeof ScriptedModel.layer>[0] = [text("a"), completed]) =>
    Layer.merge(ScriptedModel.layer(script), store)

  it.effect("get reads a record, and says if there is none", () =>
    Effect.gen(function* () {
      yield* enqueue("r")
      assert.deepStrictEqual(yield* Runs.get("r"), yield* recordOf("r"))
      assert.strictEqual((yield* Effect.flip(Runs.get("unknown"))).reason._tag, "RunNotFound")
      assert.strictEqual((yield* Effect.flip(Runs.get("a/b"))).reason._tag, "InvalidInput")
    }).pipe(Effect.provide(store))
  )

  it.effect("count and list tell where the runs of an agent stand", () =>
    Effect.gen(function* () {
      yield* enqueue("done")
      yield* enqueue("failed", poet)
      const close = yield* launch(worker)
      yield* elapse(5000)
      yield* close
      yield* enqueue("next", analyst, { customer: "c-42" })
      yield* enqueue("last", poet, { customer: "c-42" })
      const all = yield* Runs.count()
      assert.strictEqual(all.queued, 2)
      assert.strictEqual(all.completed, 1)
      assert.strictEqual(all.failed, 1)
      assert.strictEqual(all.parked, 0)
      const poets = yield* Runs.count({ agent: "poet" })
      assert.deepStrictEqual([poets.queued, poets.completed, poets.failed], [1, 0, 1])
      assert.deepStrictEqual(yield* idsOf({ agent: "poet" }), ["failed", "last"])
      assert.deepStrictEqual(yield* idsOf({ status: ["failed", "completed"] }), ["done", "failed"])
      assert.deepStrictEqual(yield* idsOf({ agent: "analyst", status: ["queued"] }), ["next"])
      assert.deepStrictEqual(yield* idsOf({ labels: { customer: "c-42" } }), ["last", "next"])
      assert.deepStrictEqual(yield* idsOf({ parked: true }), [])
      assert.deepStrictEqual(yield* idsOf({ parked: false, agent: "analyst" }), ["done", "next"])
    }).pipe(Effect.provide(over(({ agent }) => (agent === "poet" ? [failed("x")] : [text("a"), completed]))))
  )

  it.effect("wait answers the record once the run has ended, or is as wanted", () =>
    Effect.gen(function* () {
      yield* enqueue("r")
      const ended = yield* Effect.forkChild(Runs.wait("r"))
      const opened = yield* Effect.forkChild(
        Runs.wait("r", { until: (record) => RunState.winners(RunState.fold(record)).length > 0 })
      )
      yield* elapse(10_000, 500)
      assert.isUndefined(opened.pollUnsafe())
      const close = yield* launch(worker)
      yield* elapse(5000)
      assert.strictEqual(RunState.statusOfRecord(yield* doneBy(opened)), "in_progress")
      assert.isUndefined(ended.pollUnsafe())
      yield* elapse(60_000, 500)
      assert.strictEqual(RunState.statusOfRecord(yield* doneBy(ended)), "completed")
      assert.strictEqual(RunState.statusOfRecord(yield* passing(Runs.wait("r"))), "completed", "it is over already")
      yield* close
    }).pipe(Effect.provide(over([text("a"), pause("20 seconds"), completed])))
  )

  it.effect("wait sees the end of a run as soon as it is recorded", () =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, { input: "Hello", runId: "r" }))
      const waiting = yield* Effect.forkChild(Runs.wait("r"))
      yield* elapse(10)
      yield* Agent.poll(analyst, { runId: "r" })
      yield* still
      assert.isDefined(waiting.pollUnsafe())
    }).pipe(Effect.provide(over()))
  )

  it.effect("wait sees what it is not told of by looking every second", () =>
    Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      const deaf = Layer.succeed(TokenStore.TokenStore, { ...shared, wakeups: Stream.never })
      yield* passing(Agent.start(analyst, { input: "Hello", runId: "r" }))
      const waiting = yield* Effect.forkChild(Effect.provide(Runs.wait("r"), deaf))
      yield* elapse(10)
      yield* Agent.poll(analyst, { runId: "r" })
      yield* elapse(900)
      assert.isUndefined(waiting.pollUnsafe())
      yield* elapse(200)
      assert.isDefined(waiting.pollUnsafe())
    }).pipe(Effect.provide(over()))
  )

  it.effect("wait fails if there is no such run, or none any more", () =>
    Effect.gen(function* () {
      const unknown = yield* Effect.forkChild(Effect.flip(Runs.wait("r")))
      yield* elapse(5000)
      assert.strictEqual((yield* doneBy(unknown)).reason._tag, "RunNotFound")
      assert.strictEqual((yield* Effect.flip(Runs.wait("a/b"))).reason._tag, "InvalidInput")
      yield* enqueue("r")
      const waiting = yield* Effect.forkChild(Effect.flip(Runs.wait("r")))
      yield* elapse(100)
      yield* passing(Agent.remove(analyst, { runId: "r" }))
      yield* elapse(1000)
      assert.strictEqual((yield* doneBy(waiting)).reason._tag, "RunNotFound")
    }).pipe(Effect.provide(over()))
  )

  it.effect("wait outlasts a store that is away, and logs one line when that begins", () => {
    const { layer: logs, lines } = logged()
    return Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      let error: TokenStoreError.TokenStoreError | undefined
      const faulty = Layer.succeed(TokenStore.TokenStore, {
        ...shared,
        read: (id) => Effect.suspend(() => (error === undefined ? shared.read(id) : Effect.fail(error)))
      })
      yield* enqueue("r")
      const waiting = yield* Effect.forkChild(Effect.provide(Runs.wait("r"), faulty))
      yield* elapse(2000)
      error = away
      yield* elapse(120_000, 500)
      yield* passing(Agent.cancel(analyst, { runId: "r" }))
      assert.isUndefined(waiting.pollUnsafe())
      error = undefined
      yield* elapse(2000)
      assert.strictEqual(RunState.statusOfRecord(yield* doneBy(waiting)), "cancelled")
      const told = lines.filter((line) => line.includes("waited for"))
      assert.strictEqual(told.length, 2)
      assert.match(told[0]!, /^Warn baton: a run that is waited for cannot be read.*away.*"runId":"r"/)
      assert.match(told[1]!, /^Info baton: recovered: /)
      // What another read cannot mend ends it.
      error = torn
      const again = yield* Effect.forkChild(Effect.flip(Effect.provide(Runs.wait("r"), faulty)))
      yield* elapse(5000)
      assert.strictEqual((yield* doneBy(again)).message, "Run 'r': The token store failed: read: torn")
    }).pipe(Effect.provide([over(), logs]))
  })

  it.effect("cancel asks for the end of all runs of a filter that have not ended", () =>
    Effect.gen(function* () {
      yield* enqueue("over", analyst, { customer: "c-42" })
      yield* Agent.enqueue(analyst, {
        input: "Hello",
        runId: "later",
        labels: { customer: "c-42" },
        notBefore: new Date(3_600_000)
      })
      const close = yield* launch(worker)
      yield* elapse(5000)
      for (const runId of ["long-1", "long-2"]) yield* enqueue(runId, poet, { customer: "c-42" })
      yield* enqueue("other", poet, { customer: "c-43" })
      yield* elapse(2000)
      assert.strictEqual(yield* statusOf("over"), "completed")
      assert.strictEqual(yield* statusOf("long-1"), "in_progress")
      assert.strictEqual(yield* Runs.cancel({ labels: { customer: "c-42" } }), 3)
      yield* elapse(5000)
      for (const runId of ["long-1", "long-2", "later"]) assert.strictEqual(yield* statusOf(runId), "cancelled", runId)
      assert.strictEqual(yield* statusOf("over"), "completed")
      assert.strictEqual(yield* statusOf("other"), "in_progress")
      assert.strictEqual(yield* count("cancel"), 2)
      assert.strictEqual(yield* count("create"), 4)
      assert.strictEqual(yield* Runs.cancel({ labels: { customer: "c-42" } }), 0)
      assert.strictEqual(yield* Runs.cancel({ agent: "poet" }), 1)
      yield* close
    }).pipe(Effect.provide(over(({ agent }) => (agent === "poet" ? long : [text("a"), completed]))))
  )

  it.effect("cancel needs no model, may be repeated, and takes runs of many pages and those that are parked", () =>
    Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      for (let i = 0; i < 230; i++) yield* enqueue(`r-${i}`)
      const parked = Run.RunId.make("r-7")
      const { lease } = yield* shared.acquire(parked, { owner: "test", ttl: Duration.seconds(1) })
      yield* shared.release(lease, { seen: 0, due: Duration.infinity, parked: "broken", attempt: "keep" })
      assert.strictEqual(yield* Runs.cancel({ agent: "analyst" }), 230)
      assert.strictEqual(yield* Runs.cancel({ agent: "analyst" }), 230, "none of them has ended yet")
      assert.strictEqual((yield* stateOf("r-7")).cancelled, true)
      const { due, journal, parked: left } = yield* recordOf("r-7")
      assert.isNull(left)
      assert.isNotNull(due)
      assert.strictEqual(journal.length, 1)
    }).pipe(Effect.provide(store))
  )

  it.effect("cancel reads no runs that have ended, whatever the filter says of them", () =>
    Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      const close = yield* launch(worker)
      yield* enqueue("over")
      yield* elapse(5000)
      yield* close
      yield* enqueue("next")
      const read: Array<string> = []
      const counted = Layer.succeed(TokenStore.TokenStore, {
        ...shared,
        list: (filter) =>
          Effect.tap(shared.list(filter), ({ items }) =>
            Effect.sync(() => read.push(...items.map(({ runId }) => String(runId))))
          )
      })
      const cancel = (filter: Runs.Filter) => Effect.provide(Runs.cancel(filter), counted)
      assert.strictEqual(yield* cancel({ status: ["completed", "failed"] }), 0)
      assert.strictEqual(yield* cancel({ status: [] }), 0)
      assert.deepStrictEqual(read, [])
      assert.strictEqual(yield* cancel({ status: ["completed", "queued"] }), 1)
      assert.strictEqual(yield* cancel({ agent: "analyst" }), 1)
      assert.deepStrictEqual(read, ["next", "next"])
      assert.strictEqual(yield* statusOf("over"), "completed")
    }).pipe(Effect.provide(over()))
  )

  it.effect("cancel stops a run that was retried", () => {
    let opened = 0
    const retried = { input: "Hello", runId: "r" }
    return Effect.gen(function* () {
      yield* passing(Effect.flip(Agent.run(poet, retried)))
      yield* passing(Agent.retry(poet, retried))
      assert.isFalse(Run.isOver(yield* statusOf("r")))
      assert.strictEqual(yield* Runs.cancel({ agent: "poet" }), 1)
      assert.isTrue((yield* stateOf("r")).cancelled)
      const close = yield* launch(worker)
      yield* elapse(5000)
      assert.strictEqual(yield* statusOf("r"), "cancelled")
      yield* close
    }).pipe(Effect.provide(over(() => (opened++ === 0 ? [failed("x")] : long))))
  })

  it.effect("cancel does not stumble over a run that goes meanwhile", () =>
    Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      for (const runId of ["r-1", "r-2"]) yield* enqueue(runId)
      const going = Layer.succeed(TokenStore.TokenStore, {
        ...shared,
        record: (id, fact, seen) =>
          Effect.andThen(id === "r-1" ? Effect.orDie(removed(shared, id)) : Effect.void, shared.record(id, fact, seen))
      })
      assert.strictEqual(yield* Effect.provide(Runs.cancel({}), going), 1)
      assert.isTrue((yield* stateOf("r-2")).cancelled)
    }).pipe(Effect.provide(store))
  )
})

const removed = (store: TokenStore.TokenStore["Service"], id: Run.RunId) =>
  Effect.flatMap(store.acquire(id, { owner: "test", ttl: Duration.seconds(1) }), ({ lease }) => store.remove(lease))

describe.each(stores)("hints ($name)", ({ layer: store }) => {
  const slow = RunPolicy.layer({ pollEvery: Schedule.spaced("10 minutes") })
  const over = (script: Parameters<typeof ScriptedModel.layer>[0], options?: ScriptedModel.Options) =>
    Layer.mergeAll(ScriptedModel.layer(script, options), store, slow)

  it.effect("Runs.wake lets Agent.result look at once: a webhook need not wait for the next poll", () =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, { input: "Hello", runId: "r" }))
      const result = yield* Effect.forkChild(Agent.result(analyst, { runId: "r" }))
      yield* elapse(10_000, 1000)
      assert.isUndefined(result.pollUnsafe())
      const looks = yield* count("retrieve")
      assert.deepStrictEqual(yield* Runs.wake("resp_1"), Option.some("r"))
      yield* still
      assert.strictEqual(yield* count("retrieve"), looks + 1)
      assert.strictEqual((yield* doneBy(result)).text, "ab")
    }).pipe(Effect.provide(over([text("a"), pause("5 seconds"), text("b"), completed])))
  )

  const ref = { runId: "r" }
  const polled = {
    "Agent.result": Effect.asVoid(Agent.result(analyst, ref)),
    "the holder of a run that is polled": Stream.runDrain(Agent.resume(analyst, ref))
  }
  it.effect.each(Struct.keys(polled))("that come while it looks are not lost: %s", (who) =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, { input: "Hello", ...ref }))
      const inner = yield* BackgroundModel.BackgroundModel
      let looks = 0
      const late = Layer.succeed(BackgroundModel.BackgroundModel, {
        ...inner,
        retrieve: (id) =>
          Effect.tap(
            Effect.sync(() => looks++),
            () => Effect.sleep("1 second")
          ).pipe(Effect.andThen(inner.retrieve(id)))
      })
      const waiting = yield* Effect.forkChild(Effect.provide(polled[who], late))
      yield* elapse(500)
      assert.strictEqual(looks, 1)
      yield* Runs.wake("resp_1")
      yield* elapse(1000)
      assert.strictEqual(looks, 2)
      yield* elapse(5000)
      assert.strictEqual(looks, 2, "one hint is one look")
      yield* Runs.wake("resp_1")
      yield* still
      assert.strictEqual(looks, 3, "the next hint is heard too")
      yield* Fiber.interrupt(waiting)
    }).pipe(
      Effect.provide(
        // A response that cannot be streamed again is polled.
        over([text("a"), pause("1 hour"), text("b"), completed], { capabilities: { resume: false } })
      )
    )
  )

  it.effect("let Agent.result and Agent.watch see the opening of a run that they wait for", () =>
    Effect.gen(function* () {
      yield* enqueue("r")
      const result = yield* Effect.forkChild(Agent.result(analyst, { runId: "r" }))
      const watched = yield* Effect.forkChild(Stream.runCollect(Agent.watch(analyst, { runId: "r" })))
      yield* elapse(5000, 500)
      const close = yield* launch(worker)
      yield* elapse(2000)
      assert.strictEqual(textOf(yield* doneBy(watched)), "a")
      assert.strictEqual((yield* doneBy(result)).text, "a")
      yield* close
    }).pipe(Effect.provide(over([text("a"), completed])))
  )

  it.effect("are of one run: those of others wake nobody", () =>
    Effect.gen(function* () {
      for (const runId of ["r", "s"]) yield* passing(Agent.start(analyst, { input: "Hello", runId }))
      const result = yield* Effect.forkChild(Agent.result(analyst, { runId: "r" }))
      yield* elapse(1000)
      const looks = yield* count("retrieve")
      assert.deepStrictEqual(yield* Runs.wake("resp_2"), Option.some("s"))
      assert.deepStrictEqual(yield* Runs.wake("resp_unknown"), Option.none())
      yield* elapse(1000)
      assert.strictEqual(yield* count("retrieve"), looks)
      yield* Fiber.interrupt(result)
    }).pipe(Effect.provide(over([text("a"), pause("1 hour"), completed])))
  )

  it.effect("are heard for no longer than somebody waits", () =>
    Effect.gen(function* () {
      const shared = yield* TokenStore.TokenStore
      let heard = 0
      const counted = Layer.succeed(TokenStore.TokenStore, {
        ...shared,
        wakeups: Stream.unwrap(
          Effect.as(
            Effect.sync(() => heard++),
            shared.wakeups
          )
        ).pipe(Stream.ensuring(Effect.sync(() => heard--)))
      })
      yield* enqueue("r")
      const waiting = yield* Effect.forkChild(Effect.provide(Runs.wait("r"), counted))
      const watched = yield* Effect.forkChild(
        Effect.provide(Stream.runDrain(Agent.watch(analyst, { runId: "r" })), counted)
      )
      yield* elapse(1000)
      assert.strictEqual(heard, 1, "once for both")
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(watched)
      yield* elapse(1000)
      assert.strictEqual(heard, 0)
    }).pipe(Effect.provide(over([text("a"), completed])))
  )
})
