/**
 * Commits of positions to Redis, one after the other and 64 at once: `commits.program.ts SUBJECT MILLISECONDS`. `store` is
 * Baton's, and `client` is it over the client itself; `bare` and `timer` send the same script with the same arguments by the client, without and with its own timer.
 */
import { ContinuationToken, Run, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { NodeRedis } from "@effect/platform-node"
import { Duration, Effect, Layer, ManagedRuntime, Option } from "effect"
import type { Redis } from "effect/persistence"
import { now } from "./clock.ts"
import { setting } from "./stores.ts"

const [subject = "", milliseconds = ""] = process.argv.slice(2)
process.stdin.resume().once("end", () => process.exit(1))

const Client = NodeRedis.layer({
  url: setting("BENCH_REDIS"),
  disableOfflineQueue: true,
  ...(subject === "timer" ? {} : { commandOptions: { timeout: 0 } })
})
const prefix = setting("BENCH_PREFIX")
const Store: Layer.Layer<TokenStore.TokenStore, never, NodeRedis.NodeRedis | Redis.Redis> =
  subject === "client"
    ? RedisTokenStore.layerClient(
        Effect.map(NodeRedis.NodeRedis, (redis) => redis.client),
        { prefix }
      )
    : RedisTokenStore.layer({ prefix })
const Live = Layer.provideMerge(Store, Client)
const runtime = ManagedRuntime.make(Live)
const { client } = await runtime.runPromise(NodeRedis.NodeRedis)

/** A run of its own, and its commits: by the store, and as the client sends them. */
const laneOf = Effect.fnUntraced(function* (name: string) {
  const store = yield* TokenStore.TokenStore
  const runId = Run.RunId.make(`${setting("BENCH_PREFIX")}-${process.pid}-${name}`)
  yield* store.create({ runId, agent: "bench", background: true, session: {} })
  const { lease, record } = yield* store.acquire(runId, { owner: "bench", ttl: Duration.minutes(5) })
  const start = ContinuationToken.start("bench", runId, record.incarnation)
  let ordinal = 1_000_001
  const commit = (): Effect.Effect<unknown, unknown> =>
    store.commit(lease, {
      seen: 0,
      position: { ordinal: ++ordinal, token: { ...start, sequenceNumber: ordinal } }
    })
  // What the store sends is seen once, and sent again with the next number.
  const { sendCommand } = client
  let sent: ReadonlyArray<unknown> = []
  client.sendCommand = new Proxy(sendCommand, {
    apply: (send, self, args) => {
      sent = args[0]
      return Reflect.apply(send, self, args)
    }
  })
  yield* commit()
  yield* commit()
  client.sendCommand = sendCommand
  const seen = sent.map(String)
  const place = seen.indexOf(String(ordinal))
  const send = (): Promise<unknown> => client.sendCommand(seen.with(place, String(++ordinal)))
  if (place < 0) return yield* Effect.die("The store did not send a commit by this client.")
  const written = Effect.map(store.read(runId), (found) => Option.getOrThrow(found).ordinal === ordinal)
  return { commit, send, written }
})

const lanes = await runtime.runPromise(
  Effect.forEach(
    Array.from({ length: 64 }, (_, i) => String(i)),
    laneOf
  )
)

/** Commits per second. */
const measured = async (atOnce: number, ms: number) => {
  let count = 0
  const begin = now()
  const end = begin + ms
  const used = lanes.slice(0, atOnce)
  if (subject === "store" || subject === "client") {
    const loop = (lane: (typeof used)[number]) =>
      Effect.whileLoop({ while: () => now() < end, body: lane.commit, step: () => void count++ })
    await runtime.runPromise(Effect.forEach(used, loop, { concurrency: "unbounded", discard: true }))
  } else {
    await Promise.all(
      used.map(async ({ send }) => {
        for (; now() < end; count++) await send()
      })
    )
  }
  const rate = count / ((now() - begin) / 1000)
  // Fast and wrong is no figure.
  const written = await runtime.runPromise(Effect.forEach(used, (lane) => lane.written))
  if (written.includes(false)) throw new Error("A position is not in the store.")
  return rate
}

const ms = Number(milliseconds)
await measured(64, ms / 2)
const many = await measured(64, ms)
await measured(1, ms / 2)
console.log(JSON.stringify({ many, serial: await measured(1, ms) }))
process.exit(0)
