/**
 * What a worker's look for runs takes of Redis beside many that are not to be had: `looks.program.ts KIND RUNS LOOKS`. Nobody
 * else may use the server meanwhile. A look is a claim in every shard.
 */
import { Run, TokenStore } from "@effect-baton/core"
import { Duration, Effect, ManagedRuntime } from "effect"
import { Redis } from "effect/persistence"
import { clean } from "./cleaning.ts"
import { evaluated } from "./info.ts"
import { redisStore, setting } from "./stores.ts"

const [kind = "", ...numbers] = process.argv.slice(2)
const [runs = 0, looks = 0] = numbers.map(Number)

process.stdin.resume().once("end", () => process.exit(1))

const prefix = `${setting("BENCH_PREFIX")}:${process.pid}`
const runtime = ManagedRuntime.make(await redisStore(prefix))

const hour = Duration.hours(1)
const fill = Effect.fnUntraced(function* (store: TokenStore.TokenStore["Service"], i: number) {
  const runId = Run.RunId.make(`run-${i}`)
  const agent = kind === "other" ? `other-${i % 10}` : "bench"
  const due = kind === "later" ? hour : Duration.zero
  const { record } = yield* store.create({ runId, agent, background: true, session: {} }, { due })
  if (kind === "leased") yield* store.acquire(runId, { owner: "another", ttl: hour })
  if (kind === "finished") {
    const { incarnation } = record
    yield* store.conclude(runId, {
      seen: 0,
      facts: [{ _tag: "Ended", incarnation, by: "bench", status: "completed" }],
      due: Duration.infinity
    })
  }
})

const program = Effect.gen(function* () {
  const store = yield* TokenStore.TokenStore
  const redis = yield* Redis.Redis
  const claim = (shard: string) =>
    Effect.map(
      store.claim({ agents: ["bench"], owner: "bench", ttl: Duration.seconds(30), limit: 16, shard }),
      ({ taken }) => taken.length
    )
  const look = Effect.forEach(store.shards, claim)
  yield* Effect.forEach(
    Array.from({ length: runs }, (_, i) => i),
    (i) => fill(store, i),
    { concurrency: 128, discard: true }
  )
  // The script is sent once.
  yield* look
  const before = yield* evaluated(redis)
  for (let i = 0; i < looks; i++) {
    const taken = yield* look
    // Fast and wrong is no figure.
    if (taken.some((count) => count > 0)) return yield* Effect.die("There was something to be had.")
  }
  const after = yield* evaluated(redis)
  const { length: shards } = store.shards
  if (after.calls - before.calls !== looks * shards) return yield* Effect.die("Somebody else used the server.")
  const ms = (after.usec - before.usec) / 1000 / looks
  console.log(JSON.stringify({ look: ms, claim: ms / shards }))
  yield* clean(redis, prefix)
})
await runtime.runPromise(program)
process.exit(0)
