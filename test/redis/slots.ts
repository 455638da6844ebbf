import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { RedisServer } from "../support/redisServer.ts"

/** Moves the slot of a key to another node, key by key, as `redis-cli --cluster reshard` does. */
export const moveSlot = Effect.fnUntraced(function* (
  nodes: ReadonlyArray<RedisServer>,
  from: number,
  to: number,
  key: string,
  pause: Effect.Effect<unknown>
) {
  const [source, target] = [nodes[from], nodes[to]]
  if (source === undefined || target === undefined) return assert.fail("there are no such nodes")
  const slot = String(yield* source.send<number>("CLUSTER", "KEYSLOT", key))
  const id = yield* target.send<string>("CLUSTER", "MYID")
  const { hostname, port } = new URL(target.url)
  yield* target.send("CLUSTER", "SETSLOT", slot, "IMPORTING", yield* source.send<string>("CLUSTER", "MYID"))
  yield* source.send("CLUSTER", "SETSLOT", slot, "MIGRATING", id)
  const left = source.send<ReadonlyArray<string>>("CLUSTER", "GETKEYSINSLOT", slot, "1")
  for (let keys = yield* left; keys.length > 0; keys = yield* left) {
    yield* source.send("MIGRATE", hostname, port, "", "0", "60000", "KEYS", ...keys)
    yield* pause
  }
  for (const node of [target, source, ...nodes]) yield* node.send("CLUSTER", "SETSLOT", slot, "NODE", id)
})
