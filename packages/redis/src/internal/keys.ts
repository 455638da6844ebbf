import type { Run, RunRecord } from "@effect-baton/core"

/** The keys of one shard: all of them are in one slot of a cluster. */
export interface Shard {
  /** What its keys begin with. */
  readonly base: string
  /** Those that are not a run's own, in the order in which the scripts take them. */
  readonly shared: ReadonlyArray<string>
}

const shared = ["fence", "runs", "ends", "unfinished", "set aside", "finished"]

/** A namespace, in shards. Braces would choose the slot. */
export const shardsOf = (prefix: string, count: number): ReadonlyArray<Shard> => {
  const name = prefix.replaceAll(/[%{}]/g, encodeURIComponent)
  return Array.from({ length: count }, (_, i) => {
    const base = `{${name}:${i}}:`
    return { base, shared: shared.map((key) => base + key) }
  })
}

/** The keys of a run, for the scripts: its own, and its shard's. */
export const keysOf = (shards: ReadonlyArray<Shard>, id: Run.RunId): ReadonlyArray<string> => {
  const { base, shared } = shards[shardOf(id, shards.length)] ?? { base: "", shared: [] }
  return [`${base}run:${id}`, `${base}journal:${id}`, ...shared]
}

/** The keys of a listing: the index to read, and all that know of runs. */
export const indexesOf = ({ base, shared }: Shard, stage: RunRecord.Stage | undefined): ReadonlyArray<string> => [
  `${base}${stage ?? "runs"}`,
  ...shared.slice(1)
]

// Which of so many shards a run is in, now and for ever: FNV-1a.
const shardOf = (id: Run.RunId, count: number): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % count
}
