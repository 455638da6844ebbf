/**
 * How soon another worker has a run that a worker gave back, each in a process of its own: `freed.program.ts TIMES`. The
 * process that is started as `holder` holds runs, and is stopped as a service is.
 */
import { Agent, Runs, TokenStore } from "@effect-baton/core"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { now } from "./clock.ts"
import { openModel } from "./model.ts"
import { redisStore, setting } from "./stores.ts"

const [what = "", namespace = "", turn = ""] = process.argv.slice(2)
const prefix = what === "holder" ? namespace : `${setting("BENCH_PREFIX")}:${process.pid}`
// What is left of one time must not come in the next.
const agentOf = (i: number) => Agent.make(`bench-${i}`, { background: true })

/** A worker that tells when it has a run, when it gives one back, and how often it looked for some. */
const workerWith = async (
  i: number,
  told: {
    readonly onHandle: () => void
    readonly onRelease: () => void
    readonly onLook: () => void
  }
) => {
  const Store = Layer.effect(
    TokenStore.TokenStore,
    Effect.map(TokenStore.TokenStore, (store) => ({
      ...store,
      claim: (options: TokenStore.ClaimOptions) => Effect.tap(store.claim(options), () => Effect.sync(told.onLook)),
      release: (lease: TokenStore.Lease, options: TokenStore.ReleaseOptions) =>
        Effect.suspend(() => {
          told.onRelease()
          return store.release(lease, options)
        })
    }))
  ).pipe(Layer.provideMerge(await redisStore(prefix)))
  const Worker = Runs.worker([agentOf(i)], {
    concurrency: 8,
    startJitter: 0,
    handle: ({ updates }) =>
      Effect.suspend(() => {
        told.onHandle()
        return Stream.runDrain(updates)
      })
  })
  return ManagedRuntime.make(Layer.provideMerge(Worker, Layer.merge(Store, openModel)))
}

const holder = async () => {
  process.once("disconnect", () => process.exit(1))
  let released = Number.NaN
  const runtime = await workerWith(Number(turn), {
    onHandle: () => process.send?.("held"),
    onRelease: () => {
      released = now()
    },
    onLook: () => undefined
  })
  await runtime.runPromise(Effect.void)
  await once(process, "message")
  await runtime.dispose()
  process.send?.(released, () => process.exit(0))
}

/** One time: the other process has the run, this one waits for it, and the other is stopped. */
const time = async (i: number) => {
  const store = ManagedRuntime.make(await redisStore(prefix))
  await store.runPromise(Agent.enqueue(agentOf(i), { runId: `freed-${i}`, input: "Write a report." }))
  await store.dispose()
  const child = fork(process.argv[1] ?? "", ["holder", prefix, String(i)])
  await once(child, "message")
  const taken = Promise.withResolvers<number>()
  const settled = Promise.withResolvers<void>()
  let looks = 0
  const runtime = await workerWith(i, {
    onHandle: () => taken.resolve(now()),
    onRelease: () => undefined,
    // It has looked at every shard, and goes on with its rounds.
    onLook: () => {
      if (++looks === 20) settled.resolve()
    }
  })
  await runtime.runPromise(Effect.void)
  await settled.promise
  child.send("stop")
  const [released] = await once(child, "message")
  const ms = (await taken.promise) - Number(released)
  await runtime.dispose()
  return ms
}

if (what === "holder") {
  await holder()
} else {
  process.stdin.resume().once("end", () => process.exit(1))
  const all: Array<number> = []
  for (let i = 0; i < Number(what); i++) all.push(await time(i))
  const sorted = all.toSorted((a, b) => a - b)
  console.log(JSON.stringify({ p50: sorted[sorted.length >> 1], max: sorted.at(-1) }))
  process.exit(0)
}
