import type { Run } from "@effect-baton/core"

/** What all keys of a shard begin with: by the braces all of them are in one slot of a cluster. */
export type Shard = string

// Braces of its own would choose the slot.
const nameOf = (prefix: string): string => prefix.replaceAll(/[%{}]/g, encodeURIComponent)

/** A namespace, in shards. */
export const shardsOf = (prefix: string, count: number): ReadonlyArray<Shard> =>
  Array.from({ length: count }, (_, i) => `{${nameOf(prefix)}:${i}}:`)

/** Where the stores of a namespace give each other hints. */
export const hintsOf = (prefix: string): string => `${nameOf(prefix)}:hints`

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

/** The key of an index of all runs of a shard. */
export const indexKey = (shard: Shard, index: "runs" | "agents" | "responses"): string => `${shard}${index}`

/** The key of the index of an agent's runs that stand there. */
export const statusKey = (shard: Shard, status: Run.RunStatus, agent: string): string =>
  `${shard}status:${status}:${agent}`

/** The key of the index of an agent's parked runs. */
export const parkedKey = (shard: Shard, agent: string): string => `${shard}parked:${agent}`

/**
 * What a script is called with: how many keys there are, these, and one of the shard that never exists. A script also uses
 * keys that it finds itself. While a cluster moves the slot of the shard, some keys are here and some there: by the one that is
 * not there the node refuses the call before anything is written, and it can be repeated.
 */
export const called = (
  shard: Shard,
  keys: readonly [string, ...Array<string>]
): readonly [string, string, ...Array<string>] => {
  const [first, ...rest] = keys
  return [String(keys.length + 1), first, ...rest, `${shard}none`]
}

/** Which shard a run is in, now and for ever: FNV-1a. */
export const shardOf = (shards: ReadonlyArray<Shard>, id: Run.RunId): Shard => {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return shards[(hash >>> 0) % shards.length] ?? ""
}

/** The channel for the hints of the logs of a namespace. */
export const logHintsOf = (prefix: string): string => `${nameOf(prefix)}:log`
