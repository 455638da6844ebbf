import type { Run } from "@effect-baton/core"

/** The prefix of all keys of a shard. Its braces put all of them into one slot of a cluster. */
export type Shard = string

// Braces in the name would decide the slot instead.
const nameOf = (prefix: string): string => prefix.replaceAll(/[%{}]/g, encodeURIComponent)

/** The shards of a namespace. */
export const shardsOf = (prefix: string, count: number): ReadonlyArray<Shard> =>
  Array.from({ length: count }, (_, i) => `{${nameOf(prefix)}:${i}}:`)

/** The channel for the hints of a namespace. */
export const hintsOf = (prefix: string): string => `${nameOf(prefix)}:hints`

/** The key that holds the number of shards of a namespace. */
export const layoutKey = (prefix: string): string => `{${nameOf(prefix)}:shards}`

/** The key of a run. */
export const runKey = (shard: Shard, id: Run.RunId): string => `${shard}run:${id}`

/** The keys of a run: its hash, its journal, and the set of the keys of its facts. */
export const keysOf = (shard: Shard, id: Run.RunId): readonly [string, string, string] => [
  runKey(shard, id),
  `${shard}journal:${id}`,
  `${shard}keys:${id}`
]

/** The key of an index over all runs of a shard. */
export const indexKey = (shard: Shard, index: "runs" | "agents" | "responses"): string => `${shard}${index}`

/** The key of the index of an agent's runs with this status. */
export const statusKey = (shard: Shard, status: Run.RunStatus, agent: string): string =>
  `${shard}status:${status}:${agent}`

/** The key of the index of an agent's parked runs. */
export const parkedKey = (shard: Shard, agent: string): string => `${shard}parked:${agent}`

/**
 * The keys of a call to a script: their number, the given keys, and one key of the shard that never exists. A script also uses
 * keys that it finds itself. While a cluster moves the slot of the shard, its keys are on two nodes. Because of the key that
 * does not exist, the node refuses the call before anything is written, and the call can be repeated.
 */
export const called = (
  shard: Shard,
  keys: readonly [string, ...Array<string>]
): readonly [string, string, ...Array<string>] => {
  const [first, ...rest] = keys
  return [String(keys.length + 1), first, ...rest, `${shard}none`]
}

/** The shard of a run, by FNV-1a of its id. Changing this function would lose the runs that are stored. */
export const shardOf = (shards: ReadonlyArray<Shard>, id: Run.RunId): Shard => {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return shards[(hash >>> 0) % shards.length] ?? ""
}

/** The channel for the hints of the logs of a namespace. */
export const logHintsOf = (prefix: string): string => `${nameOf(prefix)}:log`
