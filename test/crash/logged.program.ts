// A child for the crash tests of logged runs: advances a run, watches it, and dies at the place it is told. Everything that
// it does and sees is written down at once.
import { NodeRedis, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, RunPolicy, type RunRecord, TokenStore, UpdateLog } from "@effect-baton/core"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { Failpoint } from "@effect-baton/testing"
import { Config, Effect, Fiber, Layer, Option, Schedule } from "effect"
import { join } from "node:path"
import { recordedLog, recordedStore, type Recorder } from "../logged/recording.ts"
import { reading, recorderIn, watching } from "../logged/reading.ts"
import { say } from "./line.ts"
import { agent, runId } from "./logged.ts"
import { Model } from "./model.ts"

type Reach = (place: string) => Effect.Effect<void>

/** The places of facts and acknowledgements, on both sides of the operation that writes them. */
const around = (inner: TokenStore.TokenStore["Service"], reach: Reach): TokenStore.TokenStore["Service"] => {
  const passing = <A, E>(
    facts: ReadonlyArray<RunRecord.NewFact>,
    isAcknowledged: boolean,
    write: Effect.Effect<A, E>,
    isWritten: (value: A) => boolean
  ) => {
    const names = [...facts.map(({ _tag }) => `fact ${_tag}`), ...(isAcknowledged ? ["acknowledgement"] : [])]
    const pass = (side: string) => Effect.forEach(names, (name) => reach(`${name}:${side}`), { discard: true })
    return Effect.andThen(
      pass("before"),
      Effect.tap(write, (value) => (isWritten(value) ? pass("after") : Effect.void))
    )
  }
  return {
    ...inner,
    commit: (lease, commit) =>
      passing(
        commit.facts ?? [],
        commit.position !== undefined,
        inner.commit(lease, commit),
        ({ outcome }) => outcome === "written"
      ),
    record: (id, fact, seen) => passing([fact], false, inner.record(id, fact, seen), () => true)
  }
}

/** Where this process keeps runs and logs. */
const Kept: Layer.Layer<TokenStore.TokenStore | UpdateLog.UpdateLog> = Layer.unwrap(
  Effect.gen(function* () {
    const directory = yield* Config.String("DIRECTORY")
    const url = yield* Config.option(Config.String("REDIS"))
    return Option.match(url, {
      onNone: (): Layer.Layer<TokenStore.TokenStore | UpdateLog.UpdateLog> =>
        Layer.merge(
          TokenStore.layerFile({ directory: join(directory, "runs"), heartbeat: "50 millis" }),
          UpdateLog.layerFile({ directory: join(directory, "updates"), heartbeat: "50 millis" })
        ).pipe(Layer.provide(NodeServices.layer), Layer.orDie),
      onSome: (at) => {
        const prefix = directory.replaceAll(/[^a-zA-Z0-9]/g, "")
        return Layer.merge(RedisTokenStore.layer({ prefix }), RedisUpdateLog.layer({ prefix })).pipe(
          Layer.provide(NodeRedis.layer({ url: at, disableOfflineQueue: true })),
          Layer.orDie
        )
      }
    })
  })
).pipe(Layer.orDie)

const program = Effect.gen(function* () {
  const directory = yield* Config.String("DIRECTORY")
  const life = yield* Config.String("LIFE")
  const place = yield* Config.String("DIE_AT").pipe(Config.withDefault(""))
  let hits = yield* Config.Int("DIE_AT_HIT").pipe(Config.withDefault(1))
  const recorder: Recorder = recorderIn(join(directory, `history-${life}`), life)
  const reach: Reach = (reached) =>
    Effect.suspend(() => {
      if (place === "everywhere") return say({ did: "reach", place: reached })
      if (reached !== place || --hits > 0) return Effect.void
      process.kill(process.pid, "SIGKILL")
      return Effect.never
    })
  // What is written down lies between the place and the operation.
  const Dying = Layer.mergeAll(
    Layer.effect(
      TokenStore.TokenStore,
      Effect.map(TokenStore.TokenStore, (store) => around(recordedStore(store, recorder), reach))
    ),
    Failpoint.layerUpdateLog(({ side, step }) => reach(`log ${step}:${side}`)).pipe(
      Layer.provide(
        Layer.effect(
          UpdateLog.UpdateLog,
          Effect.map(UpdateLog.UpdateLog, (log) => {
            const kept = recordedLog(log, recorder)
            return {
              ...kept,
              append: (id, chunk) =>
                chunk.ended
                  ? Effect.andThen(
                      reach("log end:before"),
                      Effect.tap(kept.append(id, chunk), () => reach("log end:after"))
                    )
                  : kept.append(id, chunk)
            }
          })
        )
      )
    )
  ).pipe(Layer.provide(Kept))

  yield* Effect.gen(function* () {
    const viewer = yield* Effect.forkChild(watching(recorder, agent, runId, "viewer"))
    const { exit } = yield* reading(
      recorder,
      runId,
      "consumer",
      Agent.stream(agent, { input: "Write.", runId, ifLeased: "wait" }),
      { owner: true, finished: Effect.sleep("4 millis") }
    ).pipe(
      // A lease may end under its holder on a busy machine.
      Effect.repeat({
        while: ({ exit: { _tag }, how }) => _tag === "Failure" && how === "left" && life !== "dies",
        schedule: Schedule.spaced("100 millis"),
        times: 20
      })
    )
    yield* exit
    yield* Fiber.await(viewer)
    yield* say({ did: "end" })
  }).pipe(Effect.provide(Dying))
})

const Policy = RunPolicy.layer({
  checkpointEvery: "50 millis",
  leaseTime: "1200 millis",
  logEvery: "30 millis",
  leaseRetry: Schedule.spaced("100 millis")
})

program.pipe(Effect.provide([Model, Policy]), NodeRuntime.runMain)
