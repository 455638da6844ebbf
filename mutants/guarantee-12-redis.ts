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
  }
] satisfies ReadonlyArray<Mutant>
