// A child for the crash tests: takes every durable step of a store at least once, and dies at the place it is told.
import { NodeRuntime } from "@effect/platform-node"
import { Agent, Run, RunPolicy, TokenStore } from "@effect-baton/core"
import { Config, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { say, sayUpdate } from "./line.ts"
import { Model } from "./model.ts"
import * as Store from "./store.ts"

const agent = Agent.make("crasher", { background: true })

// On a busy machine a short lease may end under its holder, and a server may answer too late.
const again = <A, E extends { readonly isRetryable: boolean }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.retry(effect, { while: (error) => error.isRetryable, schedule: Schedule.spaced("100 millis") })

const program = Effect.gen(function* () {
  const place = yield* Config.String("DIE_AT").pipe(Config.withDefault(""))
  // A run that is to be died in takes its time, however fast it is read: there are writes and renewals meanwhile.
  const pause = Effect.sleep(place === "" ? Duration.zero : Duration.millis(20))
  yield* Stream.runForEach(Agent.stream(agent, { input: "Write.", runId: "main", ifLeased: "wait" }), (update) =>
    Effect.andThen(pause, sayUpdate(update))
  ).pipe(again)
  yield* say({ did: "end" })

  // The rest is there for its steps. It was begun before, perhaps, and all of it may be done again.
  yield* Agent.start(agent, { input: "Write.", runId: "other" }).pipe(
    Effect.andThen(Agent.cancel(agent, { runId: "other" })),
    Effect.andThen(Agent.remove(agent, { runId: "other" })),
    again,
    Effect.catch((error) => (error.reason._tag === "Unconfirmed" ? Effect.void : Effect.fail(error)))
  )
  const store = yield* TokenStore.TokenStore
  yield* Effect.forEach(
    Array.from({ length: 300 }, (_, i) => Run.RunId.make(`churn-${i}`)),
    (runId) =>
      Effect.gen(function* () {
        // Enough that a log is written again.
        yield* store.create({ runId, agent: agent.name, digest: "d".repeat(5000), background: true, session: {} })
        const { lease } = yield* store.acquire(runId, {
          owner: `${process.pid}`,
          ttl: Duration.minutes(1),
          steal: true
        })
        yield* store.remove(lease, { force: true })
      }).pipe(again),
    { concurrency: "unbounded", discard: true }
  )
  // A worker's steps, without the worker.
  yield* Effect.gen(function* () {
    yield* store.create({ runId: Run.RunId.make("claimed"), agent: "claimer", background: true, session: {} })
    for (const shard of store.shards) {
      const claim = { agents: ["claimer"], owner: "claimer", ttl: Duration.minutes(1), limit: 1, shard }
      const { taken } = yield* store.claim(claim)
      yield* Effect.forEach(taken, ({ lease }) =>
        store.release(lease, { seen: 0, due: Duration.infinity, attempt: "back" })
      )
    }
  }).pipe(again)
  // No verb needs to conclude a run here.
  yield* Effect.gen(function* () {
    const { record } = yield* store.create(
      { runId: Run.RunId.make("concluded"), agent: agent.name, background: true, session: {} },
      { due: Duration.infinity }
    )
    yield* store.conclude(record.runId, {
      seen: record.journal.length,
      facts: [{ _tag: "Ended", incarnation: record.incarnation, by: "test", status: "cancelled" }],
      due: Duration.infinity
    })
  }).pipe(again)
})

// Dies at the place it is told, or tells at which places it was.
const Dying = Layer.unwrap(
  Effect.gen(function* () {
    const place = yield* Config.String("DIE_AT").pipe(Config.withDefault(""))
    let hits = yield* Config.Int("DIE_AT_HIT").pipe(Config.withDefault(1))
    return Store.layer((reached) =>
      Effect.suspend(() => {
        if (place === "everywhere") return say({ did: "reach", place: reached })
        if (reached !== place || --hits > 0) return Effect.void
        process.kill(process.pid, "SIGKILL")
        return Effect.never
      })
    )
  })
)

const Policy = RunPolicy.layer({ checkpointEvery: Duration.millis(50), leaseTime: Duration.millis(1200) })

program.pipe(Effect.provide([Model, Dying, Policy]), NodeRuntime.runMain)
