/**
 * Commits of positions to Redis, one after the other and 64 at once: `commits.program.ts SUBJECT MILLISECONDS`. `store` is
 * Baton's, and `client` is it over the client itself; `bare` and `timer` send the same script with the same arguments by the client, without and with its own timer.
 */
import type { TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer, ManagedRuntime } from "effect"
import type { Redis } from "effect/persistence"
import { byEffect, byPromise, laneOf, manyLanes, measure } from "./lanes.ts"
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
const seenLaneOf = Effect.fnUntraced(function* (name: string) {
  const { commit, numbers, written } = yield* laneOf(`${setting("BENCH_PREFIX")}-${process.pid}-${name}`)
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
  const place = seen.indexOf(String(numbers.last()))
  const send = (): Promise<unknown> => client.sendCommand(seen.with(place, String(numbers.next())))
  if (place < 0) return yield* Effect.die("The store did not send a commit by this client.")
  return { commit, send, written }
})

const lanes = await runtime.runPromise(Effect.forEach(manyLanes, seenLaneOf))
const isStore = subject === "store" || subject === "client"

await measure(
  Number(milliseconds),
  (atOnce) => {
    const used = lanes.slice(0, atOnce)
    return isStore
      ? byEffect(
          runtime.runPromise,
          used.map(({ commit }) => commit)
        )
      : byPromise(used.map(({ send }) => send))
  },
  async () => {
    const written = await runtime.runPromise(Effect.forEach(lanes, (lane) => lane.written))
    if (written.includes(false)) throw new Error("A position is not in the store.")
  }
)
process.exit(0)
