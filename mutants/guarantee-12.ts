import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "looks-pile-up",
    guarantee: 12,
    breaks: "memory is flat, however long a run is polled",
    file: "packages/core/src/internal/follow.ts",
    find: "Effect.flatMap(guarded(look), deliver)",
    replace: "guarded(Effect.flatMap(look, deliver))",
    test: "test/core/Flat.test.ts",
    title: "holds no more fibers after thousands of looks than after one"
  },
  {
    id: "updates-kept",
    guarantee: 12,
    breaks: "memory is flat, however long a run is streamed",
    file: "packages/core/src/internal/cursor.ts",
    find: "return { updates, progressed }",
    replace:
      ";((globalThis as { kept?: Array<unknown> }).kept ??= []).push(...updates); return { updates, progressed }",
    test: "test/openai/Flat.test.ts"
  },
  {
    id: "redis-index-not-moved",
    guarantee: 12,
    breaks: "a listing of the runs that are work in Redis reads those, and no others",
    file: "packages/redis/src/internal/scripts.ts",
    find: "redis.call('ZADD', base .. 'held', till, id) redis.call('ZREM', base .. 'work', id)",
    replace: "redis.call('ZADD', base .. 'held', till, id)",
    test: "test/redis/RedisTokenStore.test.ts",
    title: "a run is in the indexes that its record says"
  },
  {
    id: "redis-finished-for-ever",
    guarantee: 12,
    breaks: "Redis keeps a run that is over for its time, and no longer",
    file: "packages/redis/src/internal/scripts.ts",
    find: "redis.call('PEXPIRE', run, retention)",
    replace: "",
    test: "test/redis/RedisTokenStore.test.ts",
    title: "runs that are over are kept for their time, and then are in no index"
  }
] satisfies ReadonlyArray<Mutant>
