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
    breaks: "a listing of a stage in Redis reads the runs of that stage, and no others",
    file: "packages/redis/src/internal/scripts.ts",
    find: "if stage ~= known[6] then",
    replace: "if stage ~= known[6] and not known[6] then",
    test: "test/redis/RedisTokenStore.test.ts",
    title: "each stage has its index, and a run is in one of them"
  },
  {
    id: "redis-finished-for-ever",
    guarantee: 12,
    breaks: "Redis keeps a finished run for its time, and no longer",
    file: "packages/redis/src/internal/scripts.ts",
    find: "redis.call('PEXPIREAT', run, last)",
    replace: "",
    test: "test/redis/RedisTokenStore.test.ts",
    title: "finished runs are kept for their time, and then are in no index"
  }
] satisfies ReadonlyArray<Mutant>
