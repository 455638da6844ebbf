import type { Run } from "@effect-baton/core"
import type * as Keys from "../keys.ts"

/** The keys of the log of a run: the stream of its chunks, and its head with the epoch. */
export const keysOf = (shard: Keys.Shard, id: Run.RunId): readonly [chunks: string, head: string] => [
  `${shard}log:${id}`,
  `${shard}head:${id}`
]
