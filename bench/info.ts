/** What a Redis tells of its own work. */
import { Effect } from "effect"
import type { Redis } from "effect/persistence"

const numberOf = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0)

/** How many scripts it ran that it knew, and for how many microseconds. */
export const evaluated = (redis: Redis.Redis["Service"]) =>
  Effect.map(redis.send<string>("INFO", "commandstats"), (info) => ({
    calls: numberOf(info, /^cmdstat_evalsha:calls=(\d+)/m),
    usec: numberOf(info, /^cmdstat_evalsha:.*?usec=(\d+)/m)
  }))

/** How many commands it has processed, this one and those that scripts call included. */
export const processed = (redis: Redis.Redis["Service"]) =>
  Effect.map(redis.send<string>("INFO", "stats"), (info) => numberOf(info, /^total_commands_processed:(\d+)/m))
