import type { Run } from "@effect-baton/core"
import * as Keys from "../keys.ts"

/** Where the logs of a namespace give hints. */
export const hintsOf = (prefix: string): string => `${Keys.nameOf(prefix)}:log`

/** The keys of a log: its chunks, and which epoch may write. */
export const keysOf = (shard: Keys.Shard, id: Run.RunId): readonly [chunks: string, head: string] => [
  `${shard}log:${id}`,
  `${shard}head:${id}`
]
