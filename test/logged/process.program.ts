// One of the processes that share runs and their logs in Redis: a worker, a thief or a viewer. It writes down what it does.
import { NodeRedis, NodeRuntime } from "@effect/platform-node"
import { Agent, RunPolicy, Runs, TokenStore, UpdateLog } from "@effect-baton/core"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { Config, Effect, Layer, Schedule } from "effect"
import { Model } from "../crash/model.ts"
import { writeLine } from "../support/writeLine.ts"
import { reading, recorderIn, watching } from "./reading.ts"
import { recordedLog, recordedStore } from "./recording.ts"

const agent = Agent.make("writer", { background: true })

const program = Effect.gen(function* () {
  const role = yield* Config.Literals(["worker", "thief", "viewer"], "LOGGED_ROLE")
  const name = yield* Config.String("LOGGED_NAME")
  const runIds = (yield* Config.String("LOGGED_RUNS")).split(",")
  const url = yield* Config.String("LOGGED_REDIS")
  const recorder = recorderIn(yield* Config.String("LOGGED_FILE"), name)

  const Kept = Layer.merge(
    Layer.effect(
      TokenStore.TokenStore,
      Effect.map(TokenStore.TokenStore, (store) => recordedStore(store, recorder))
    ),
    Layer.effect(
      UpdateLog.UpdateLog,
      Effect.map(UpdateLog.UpdateLog, (log) => recordedLog(log, recorder))
    )
  ).pipe(
    Layer.provide(Layer.merge(RedisTokenStore.layer(), RedisUpdateLog.layer())),
    Layer.provide(NodeRedis.layer({ url, disableOfflineQueue: true }))
  )
  const working = Layer.launch(
    Runs.worker([agent], {
      concurrency: 10,
      maxAttempts: Number.MAX_SAFE_INTEGER,
      claimEvery: "100 millis",
      startJitter: "50 millis",
      handle: ({ runId, updates }) =>
        Effect.flatMap(
          reading(recorder, runId, `handle ${runId}`, updates, { owner: true, finished: Effect.sleep("2 millis") }),
          ({ exit }) => exit
        )
    })
  )
  const each = <R>(one: (runId: string) => Effect.Effect<unknown, unknown, R>) =>
    Effect.forEach(runIds, one, { concurrency: "unbounded", discard: true })
  const stealing = each((runId) =>
    reading(recorder, runId, `thief of ${runId}`, Agent.resume(agent, { runId, ifLeased: "steal" }), { owner: true })
  )
  const programs = {
    worker: working,
    thief: stealing,
    viewer: each((runId) => watching(recorder, agent, runId, runId))
  }
  yield* writeLine("ready")
  yield* Effect.provide(programs[role], Kept)
})

const Policy = RunPolicy.layer({
  checkpointEvery: "50 millis",
  leaseTime: "800 millis",
  closeTimeout: "2 seconds",
  leaseRetry: Schedule.spaced("100 millis")
})

program.pipe(Effect.provide([Model, Policy]), NodeRuntime.runMain)
