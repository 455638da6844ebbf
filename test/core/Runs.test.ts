// Runs as their operator sees them: how they are listed, tried again and discarded.
import { Agent, type AgentError, Run, Runs, TokenStore, TokenStoreError } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Stream } from "effect"
import { analyst, count, recordOf, stateOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { attemptsOf, claimOne, launch, leaveBegun, quick, stageOf, twenty } from "../support/workers.ts"

describe("Runs", () => {
  const over = Layer.merge(ScriptedModel.layer(twenty), TokenStore.layerMemory)

  it.effect("lists all runs, the oldest first, in pages", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 25 }, (_, i) => `r-${String(i).padStart(2, "0")}`)
      for (const runId of ids) yield* leaveBegun(runId)
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
      yield* leaveBegun("r")
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
      yield* leaveBegun("other")
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
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(twenty), store)))
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
