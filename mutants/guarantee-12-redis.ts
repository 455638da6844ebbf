import type { Mutant } from "./Mutant.ts"

// Redis at scale: eviction, failovers, clusters.
export default [
  {
    id: "P5-noeviction",
    guarantee: 12,
    breaks: "a server that evicts nothing is not warned of",
    file: "packages/redis/src/internal/serverCheck.ts",
    find: 'policy === "noeviction" || ',
    replace: "",
    test: "test/redis/Connecting.test.ts"
  },
  {
    id: "P5-no-limit",
    guarantee: 12,
    breaks: "a server without a limit of memory is not warned of",
    file: "packages/redis/src/internal/serverCheck.ts",
    find: ' || memory === "0"',
    replace: "",
    test: "test/redis/Connecting.test.ts"
  },
  {
    id: "fences-by-time",
    guarantee: 12,
    breaks: "fences go on rising after a failover",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "math.max(time[1] * 1000000 + time[2], number(last) + 1)",
    replace: "number(last) + 1",
    test: "test/redis/Failover.test.ts"
  },
  {
    id: "slot-moves",
    guarantee: 12,
    breaks: "a slot that moves while its runs are written loses nothing",
    file: "packages/redis/src/internal/keys.ts",
    find: "return [String(keys.length + 1), first, ...rest, `${shard}none`]",
    replace: "return [String(keys.length), first, ...rest]",
    test: "test/redis/Cluster.test.ts",
    title: "may move a slot"
  },
  {
    id: "redis-claims-early",
    guarantee: 12,
    breaks: "a claim takes only what is due",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "'-inf', now, 'WITHSCORES', 'LIMIT',",
    replace: "'-inf', '+inf', 'WITHSCORES', 'LIMIT',",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-corrupt-in-front",
    guarantee: 12,
    breaks: "a run that cannot be read is put off, and hides no other",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "redis.call('ZADD', base .. 'work:' .. agent, now + 60000, id)",
    replace: "",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-undecodable-spins",
    guarantee: 12,
    breaks: "a run that cannot be decoded is not claimed again at once",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "due = text(now + 60000)",
    replace: "due = text(now)",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-own-not-found",
    guarantee: 12,
    breaks: "a claim that is repeated answers what it took",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "if known[1] and known[2] == owner and holds(known[3]) then return take(known[1]) end",
    replace: "",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-attempt-twice",
    guarantee: 12,
    breaks: "a claim that is repeated counts no second attempt",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "if not attempted(attempts, fence) then",
    replace: "if true then",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-full-is-no-work",
    guarantee: 12,
    breaks: "a server that refuses is told, and is not one without work",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "if string.find(told, code, 1, true) then error(failure, 0) end",
    replace: "",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-forgotten-claimed",
    guarantee: 12,
    breaks: "a run whose time is over is not claimed",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "if known[2] ~= agent or forgotten() then",
    replace: "if known[2] ~= agent then",
    test: "test/redis/Claims.test.ts"
  },
  {
    id: "redis-lost-input",
    guarantee: 12,
    breaks: "an input that Redis lost is not thought to be there",
    file: "packages/redis/src/internal/scripts/holding.ts",
    find: "if isKept and not input then redis.call('HDEL', run, 'input') end",
    replace: "",
    test: "test/redis/Loss.test.ts"
  },
  {
    id: "redis-index-repair",
    guarantee: 12,
    breaks: "a run that Redis lost from an index is put back",
    file: "packages/redis/src/internal/scripts/looking.ts",
    find: "pcall(place)",
    replace: "",
    test: "test/redis/Loss.test.ts"
  },
  {
    id: "S3-hash-lost",
    guarantee: 12,
    breaks: "a run of which Redis lost the hash is corrupt, and not bought again",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "if redis.call('EXISTS', run, journal, keys) > 0 then error('CORRUPT') end",
    replace: "",
    test: "test/redis/Loss.test.ts"
  },
  {
    id: "redis-never-swept",
    guarantee: 12,
    breaks: "runs whose time is over are swept",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "forget(redis.call) end",
    replace: "end",
    test: "test/redis/Retention.test.ts"
  },
  {
    id: "E5-redis-shown",
    guarantee: 12,
    breaks: "a run whose time is over is not shown",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "return at and tonumber(at) <= now",
    replace: "return false",
    test: "test/redis/Retention.test.ts"
  },
  {
    id: "E5-redis-loose",
    guarantee: 12,
    breaks: "a run of which a response may run on is not over",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "and not known['CancelSent ' .. response] then return true end",
    replace: "and not known['CancelSent ' .. response] then return false end",
    test: "test/redis/Retention.test.ts"
  },
  {
    id: "redis-work-silent",
    guarantee: 12,
    breaks: "others hear of work",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "if tell and at and not held then",
    replace: "if false then",
    test: "test/redis/Hints.test.ts"
  },
  {
    id: "redis-end-silent",
    guarantee: 12,
    breaks: "others hear of an end",
    file: "packages/redis/src/internal/scripts/recording.ts",
    find: "if ends then tellRun",
    replace: "if false then tellRun",
    test: "test/redis/Hints.test.ts"
  },
  {
    id: "redis-subscribes-twice",
    guarantee: 12,
    breaks: "all who listen share one subscription",
    file: "packages/redis/src/internal/hints.ts",
    find: "Effect.cached(Effect.forkIn(listen, scope))",
    replace: "Effect.succeed(Effect.forkIn(listen, scope))",
    test: "test/redis/Hints.test.ts"
  },
  {
    id: "redis-warns-often",
    guarantee: 12,
    breaks: "a subscription that is refused is told once",
    file: "packages/redis/src/internal/hints.ts",
    find: "if (isTold) return Effect.void",
    replace: "",
    test: "test/redis/Hints.test.ts"
  },
  {
    id: "redis-lists-all",
    guarantee: 12,
    breaks: "a listing by agent or status reads their runs alone",
    file: "packages/redis/src/internal/views.ts",
    find: "const isAll = agent === undefined && status === undefined && parked !== true",
    replace: "const isAll = true",
    test: "test/redis/Listing.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
