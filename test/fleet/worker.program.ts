// A worker of the fleet: advances the runs of a Redis server, keeps what its consumer got, and writes its history down.
import { NodeRedis, NodeRuntime } from "@effect/platform-node"
import { RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { Config, Duration, Effect, Layer, Option, Stream } from "effect"
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import { Model } from "../crash/model.ts"
import { agent } from "./agent.ts"
import { recorded } from "./history.ts"
import { encodeLine } from "./line.ts"

const Worker = Layer.unwrap(
  Effect.gen(function* () {
    const directory = yield* Config.String("FLEET_DIRECTORY")
    const worker = yield* Config.String("FLEET_WORKER")
    return Runs.worker([agent], {
      concurrency: yield* Config.Int("FLEET_CONCURRENCY"),
      // That its workers are struck is no fault of a run.
      maxAttempts: Number.MAX_SAFE_INTEGER,
      claimEvery: "200 millis",
      startJitter: "200 millis",
      handle: ({ runId, updates }) =>
        Stream.runForEach(updates, (update) =>
          Effect.sync(() => appendFileSync(join(directory, "runs", runId), `${encodeLine(worker, update)}\n`))
        )
    })
  })
)

const unwritten = Effect.succeed<TokenStore.Answer>({ outcome: "written", facts: [] })

/** A worker that no fence stops: it takes its lease for good, and writes by whatever lease there is. */
const lawless = (inner: TokenStore.TokenStore["Service"]): TokenStore.TokenStore["Service"] => ({
  ...inner,
  renew: () => Effect.succeed([]),
  commit: (lease, commit) =>
    inner.commit(lease, commit).pipe(
      Effect.catchTag("LeaseLost", () =>
        Effect.flatMap(
          inner.read(lease.runId),
          Option.match({
            onNone: () => unwritten,
            onSome: ({ lease: other, ordinal, runId }) =>
              other === null
                ? unwritten
                : inner.commit(
                    { runId, ...other },
                    commit.position === undefined
                      ? commit
                      : { ...commit, position: { ...commit.position, ordinal: ordinal + 1 } }
                  )
          })
        )
      )
    )
})

const Store = Layer.effect(
  TokenStore.TokenStore,
  Effect.gen(function* () {
    const directory = yield* Config.String("FLEET_DIRECTORY")
    const worker = yield* Config.String("FLEET_WORKER")
    const sabotage = yield* Config.Boolean("FLEET_SABOTAGE").pipe(Config.withDefault(false))
    const inner = yield* TokenStore.TokenStore
    return recorded(sabotage ? lawless(inner) : inner, worker, join(directory, `history-${worker}`))
  })
).pipe(
  Layer.provide(RedisTokenStore.layer({ timeout: "250 millis" })),
  Layer.provide(
    Layer.unwrap(
      Effect.map(Config.String("FLEET_REDIS"), (url) =>
        RedisTokenStore.connecting(
          NodeRedis.layer({
            url,
            disableOfflineQueue: true,
            // A worker that starts while the server is away waits for it.
            socket: { reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 500) }
          }),
          { within: "1 minute" }
        )
      )
    )
  )
)

const Policy = Layer.unwrap(
  Effect.map(Config.Duration("FLEET_LEASE").pipe(Config.withDefault(Duration.millis(800))), (leaseTime) =>
    RunPolicy.layer({ checkpointEvery: Duration.millis(50), leaseTime, closeTimeout: Duration.seconds(2) })
  )
)

Layer.launch(Worker).pipe(Effect.provide([Model, Store, Policy]), NodeRuntime.runMain)
