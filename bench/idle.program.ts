/** What a worker asks of Redis while there is nothing to do: `idle.program.ts SECONDS SETTLING`. */
import { Agent, Runs } from "@effect-baton/core"
import { Effect, Layer, ManagedRuntime } from "effect"
import { Redis } from "effect/persistence"
import { evaluated, processed } from "./info.ts"
import { shortModel } from "./model.ts"
import { redisStore, setting } from "./stores.ts"

const [seconds = 0, settling = 0] = process.argv.slice(2).map(Number)

process.stdin.resume().once("end", () => process.exit(1))

const Worker = Runs.worker([Agent.make("bench", { background: true })], { concurrency: 128, handle: () => Effect.void })
const Store = await redisStore(`${setting("BENCH_PREFIX")}:${process.pid}`)
const runtime = ManagedRuntime.make(Layer.provideMerge(Worker, Layer.merge(Store, shortModel)))

const figures = Effect.gen(function* () {
  const redis = yield* Redis.Redis
  yield* Effect.sleep(settling * 1000)
  const scripts = yield* evaluated(redis)
  const before = yield* processed(redis)
  yield* Effect.sleep(seconds * 1000)
  // This question is one of them.
  const all = (yield* processed(redis)) - before - 1
  const sent = (yield* evaluated(redis)).calls - scripts.calls
  return { sent: sent / seconds, all: all / seconds }
})
console.log(JSON.stringify(await runtime.runPromise(figures)))
process.exit(0)
