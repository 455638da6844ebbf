// A child for the crash tests: takes every durable step of a store at least once, and dies at the place it is told.
import { NodeRuntime } from "@effect/platform-node"
import { Agent, Failpoint, Run, RunPolicy, TokenStore } from "@effect-baton/core"
import { Config, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { say, sayUpdate } from "./line.ts"
import { Model } from "./model.ts"
import * as Operations from "./operations.ts"
import { Store } from "./store.ts"

const agent = Agent.make("crasher", { background: true })

const program = Effect.gen(function* () {
  yield* Stream.runForEach(Agent.stream(agent, { input: "Write.", runId: "main", ifLeased: "wait" }), sayUpdate).pipe(
    // On a busy machine its short lease may end under it.
    Effect.retry({ while: ({ reason }) => reason._tag === "LeaseLost" })
  )
  yield* say({ did: "end" })

  // The rest is there for its steps. It was begun before, perhaps, and all of it may be done again.
  yield* Agent.start(agent, { input: "Write.", runId: "other" }).pipe(
    Effect.andThen(Agent.cancel(agent, { runId: "other" })),
    Effect.andThen(Agent.remove(agent, { runId: "other" })),
    Effect.retry({
      while: ({ reason }) => reason._tag === "RunLeased" || reason._tag === "LeaseLost",
      schedule: Schedule.spaced("100 millis")
    }),
    Effect.catch((error) => (error.reason._tag === "Unconfirmed" ? Effect.void : Effect.fail(error)))
  )
  const store = yield* TokenStore.TokenStore
  yield* Effect.forEach(
    Array.from({ length: 300 }, (_, i) => Run.RunId.make(`churn-${i}`)),
    (runId) =>
      Effect.andThen(
        // Enough that a log is written anew.
        store.create({ runId, agent: agent.name, digest: "d".repeat(5000), background: true, session: {} }),
        store.remove(runId)
      ),
    { concurrency: "unbounded", discard: true }
  )
})

const Dying = Layer.unwrap(
  Effect.gen(function* () {
    const place = yield* Config.String("DIE_AT").pipe(Config.withDefault(""))
    let hits = yield* Config.Int("DIE_AT_HIT").pipe(Config.withDefault(1))
    return Layer.succeed(Failpoint.Failpoint, (reached) =>
      Effect.suspend(() => {
        if (reached !== place || --hits > 0) return Effect.void
        process.kill(process.pid, "SIGKILL")
        return Effect.never
      })
    )
  })
)

const Policy = RunPolicy.layer({ checkpointEvery: Duration.millis(50), leaseTime: Duration.millis(600) })

program.pipe(
  Effect.provide([Model, Operations.layer.pipe(Layer.provide(Store)), Policy]),
  Effect.provide(Dying),
  NodeRuntime.runMain
)
