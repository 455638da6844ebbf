/** One worker does many short runs that wait in a store: `short.program.ts STORE RUNS WARM-UP`. */
import { Agent, Runs, TokenStore } from "@effect-baton/core"
import { Deferred, Effect, Layer, ManagedRuntime, Stream } from "effect"
import { now } from "./clock.ts"
import { shortModel } from "./model.ts"
import { redisStore, setting, storeOf } from "./stores.ts"

const [kind = "", ...numbers] = process.argv.slice(2)
const [runs = 0, warmUp = 0] = numbers.map(Number)

process.stdin.resume().once("end", () => process.exit(1))

const store = kind === "redis" ? await redisStore(`${setting("BENCH_PREFIX")}:${process.pid}`) : await storeOf(kind)
const runtime = ManagedRuntime.make(Layer.merge(store, shortModel))

/** When the consumer of a run was done with it, as the store has it. */
const watched =
  (onDelivered: () => void) =>
  (inner: TokenStore.TokenStore["Service"]): typeof inner => ({
    ...inner,
    commit: (lease, commit) =>
      commit.facts?.some(({ _tag }) => _tag === "Delivered")
        ? Effect.tap(inner.commit(lease, commit), () => Effect.sync(onDelivered))
        : inner.commit(lease, commit)
  })

/** Runs per second, and milliseconds of the processor for each, from the first `handle` to the last `Delivered`. */
const perSecond = Effect.fnUntraced(function* (name: string, count: number) {
  const agent = Agent.make(name, { background: true })
  yield* Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    (i) => Agent.enqueue(agent, { runId: `${name}-${i}`, input: `Write report number ${i}.` }),
    { concurrency: 64, discard: true }
  )
  const done = yield* Deferred.make<void>()
  let begin: number | undefined
  let cpu = process.cpuUsage()
  let delivered = 0
  const Worker = Runs.worker([agent], {
    concurrency: 128,
    handle: ({ updates }) =>
      Effect.suspend(() => {
        if (begin === undefined) {
          begin = now()
          cpu = process.cpuUsage()
        }
        return Stream.runDrain(updates)
      })
  })
  const Watched = Layer.effect(
    TokenStore.TokenStore,
    Effect.map(
      TokenStore.TokenStore,
      watched(() => {
        if (++delivered === count) Deferred.doneUnsafe(done, Effect.void)
      })
    )
  )
  yield* Effect.scoped(Effect.andThen(Layer.build(Layer.provide(Worker, Watched)), Deferred.await(done)))
  const seconds = (now() - (begin ?? Number.NaN)) / 1000
  const { system, user } = process.cpuUsage(cpu)
  const { completed } = yield* Runs.count({ agent: name })
  // Fast and wrong is no figure.
  if (completed !== count) return yield* Effect.die(`${completed} of ${count} runs are completed.`)
  return { rate: count / seconds, cpu: (user + system) / 1000 / count }
})
const program = Effect.gen(function* () {
  if (warmUp > 0) yield* perSecond("warm-up", warmUp)
  return yield* perSecond("short", runs)
})
console.log(JSON.stringify(await runtime.runPromise(program)))
process.exit(0)
