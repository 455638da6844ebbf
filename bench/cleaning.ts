/** Takes runs out of a Redis that goes on without the bench. */
import { Effect } from "effect"
import type { Redis } from "effect/persistence"

/** Takes all runs of namespaces whose names begin so. */
export const clean = Effect.fnUntraced(
  function* (redis: Redis.Redis["Service"], prefix: string) {
    let cursor = "0"
    do {
      const [next, keys] = yield* redis.send<[string, ReadonlyArray<string>]>(
        "SCAN",
        cursor,
        "MATCH",
        `{${prefix}:*`,
        "COUNT",
        "1000"
      )
      cursor = next
      if (keys.length > 0) yield* redis.send("UNLINK", ...keys)
    } while (cursor !== "0")
  },
  (effect) => Effect.ignore(effect)
)
