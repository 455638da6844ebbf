import type { Run } from "@effect-baton/core"

/** What all keys of a shard begin with: by the braces all of them are in one slot of a cluster. */
export type Shard = string

// Braces of its own would choose the slot.
const nameOf = (prefix: string): string => prefix.replaceAll(/[%{}]/g, encodeURIComponent)

/** A namespace, in shards. */
export const shardsOf = (prefix: string, count: number): ReadonlyArray<Shard> =>
  Array.from({ length: count }, (_, i) => `{${nameOf(prefix)}:${i}}:`)

/** Where a namespace says how many shards it has. */
export const layoutKey = (prefix: string): string => `{${nameOf(prefix)}:shards}`

/** The key of a run. */
export const runKey = (shard: Shard, id: Run.RunId): string => `${shard}run:${id}`

/** The keys of a run: the run, its journal, and the keys of the facts in it. */
export const keysOf = (shard: Shard, id: Run.RunId): readonly [string, string, string] => [
  runKey(shard, id),
  `${shard}journal:${id}`,
  `${shard}keys:${id}`
]

/** The key of an index of a shard. */
export const indexKey = (shard: Shard, index: "runs" | "work" | "parked" | "responses"): string => `${shard}${index}`

/** Which shard a run is in, now and for ever: FNV-1a. */
export const shardOf = (shards: ReadonlyArray<Shard>, id: Run.RunId): Shard => {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return shards[(hash >>> 0) % shards.length] ?? ""
}
