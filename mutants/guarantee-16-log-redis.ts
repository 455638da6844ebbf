import type { Mutant } from "./Mutant.ts"

// The update log in Redis.
export default [
  {
    id: "redis-reads-unread",
    guarantee: 16,
    breaks: "whoever asks during a read gets what the next one shows",
    file: "packages/redis/src/internal/shareReads.ts",
    find: "return Effect.asVoid(Effect.forkDetach(Deferred.into(run(key, read), waiting)))",
    replace: "return Effect.asVoid(Deferred.succeed(waiting, undefined as never))",
    test: "test/redis/ShareReads.test.ts"
  },
  {
    id: "redis-log-open-unfenced",
    guarantee: 16,
    breaks: "a lower epoch cannot open a log in Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if own < epoch then return { 'fenced', text(epoch) } end epoch = own",
    replace: "epoch = own",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > opening > a lower epoch"
  },
  {
    id: "redis-log-append-unfenced",
    guarantee: 16,
    breaks: "after a higher epoch has opened a log in Redis, a lower one appends nothing",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if own < epoch then return { 'fenced', text(epoch) } end if count == 0",
    replace: "if count == 0",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > opening > after a higher epoch"
  },
  {
    id: "redis-log-append-opens",
    guarantee: 16,
    breaks: "an append by a higher epoch stores the epoch beside the chunks, whose loss does not lose it",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "epoch = own mark() keep(log, ARGV[6])",
    replace: "keep(log, ARGV[6])",
    test: "test/redis/UpdateLog.test.ts",
    title: "a chunk is an entry"
  },
  {
    id: "redis-log-repeats-chunks",
    guarantee: 16,
    breaks: "a repeated append changes nothing in Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if is(there) then return { 'known', text(length), bytes() } end",
    replace: "",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > appending > a repeated append"
  },
  {
    id: "redis-log-repeats-ends",
    guarantee: 16,
    breaks: "a repeated chunk without updates is stored once in Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if count == 0 and last and last.count == 0 and is(last) then return { 'known', text(length), bytes() } end",
    replace: "",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > ends > a repeated chunk"
  },
  {
    id: "redis-log-other-epochs-chunk",
    guarantee: 16,
    breaks: "a chunk where another epoch wrote is refused by Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if there.epoch ~= own then return { 'fenced', text(there.epoch) } end",
    replace: "",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > appending > a chunk before the end where"
  },
  {
    id: "redis-log-other-bounds",
    guarantee: 16,
    breaks: "a chunk before the end with other bounds is a gap in Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "there.from == from and there.count == count and",
    replace: "there.from == from and",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > appending > a chunk before the end with"
  },
  {
    id: "redis-log-closes-gaps",
    guarantee: 16,
    breaks: "a chunk after the end of a log in Redis is a gap",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if from ~= length then",
    replace: "if from < length then",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > appending > a chunk after the end"
  },
  {
    id: "redis-log-full",
    guarantee: 16,
    breaks: "an append to a full server changes nothing",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "local nth = count == 0",
    replace: "keep(head, ARGV[6])\nlocal nth = count == 0",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "is full"
  },
  {
    id: "redis-log-truncates-newest",
    guarantee: 16,
    breaks: "truncation in Redis keeps the newest chunk with updates",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "math.min(number(ARGV[1]) + 1, length)",
    replace: "number(ARGV[1]) + 1",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > truncating > truncation keeps"
  },
  {
    id: "redis-log-truncated-read",
    guarantee: 16,
    breaks: "reading a removed update fails in Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if from < first then return { 'truncated', text(first) } end",
    replace: "",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > truncating > reading a removed update"
  },
  {
    id: "redis-log-truncated-size",
    guarantee: 16,
    breaks: "the size of a log in Redis counts only its chunks",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "dropped = first.total - first.bytes mark('KEEPTTL')",
    replace: "",
    test: "test/redis/UpdateLogContract.test.ts",
    title: "update log: Redis > truncating > truncation removes"
  },
  {
    id: "redis-log-truncation-keeps",
    guarantee: 16,
    breaks: "a truncation does not extend the retention in Redis",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "mark('KEEPTTL')",
    replace: "mark()",
    test: "test/redis/UpdateLog.test.ts",
    title: "a log is kept for 2 hours"
  },
  {
    id: "redis-log-retention",
    guarantee: 16,
    breaks: "the retention of a log in Redis counts from the last append",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "keep(log, ARGV[6])",
    replace: "",
    test: "test/redis/UpdateLog.test.ts",
    title: "a log is kept for 2 hours"
  },
  {
    id: "redis-log-retention-opened",
    guarantee: 16,
    breaks: "the retention of a log in Redis counts from the last opening",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "keep(log, ARGV[2])",
    replace: "",
    test: "test/redis/UpdateLog.test.ts",
    title: "a log is kept for 2 hours"
  },
  {
    id: "redis-log-hints",
    guarantee: 16,
    breaks: "an append gives a hint to other processes",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "tell(ARGV[7], ARGV[8], ARGV[9])",
    replace: "",
    test: "test/redis/UpdateLog.test.ts",
    title: "two processes get hints"
  },
  {
    id: "redis-log-lost-head",
    guarantee: 16,
    breaks: "a log that lost its head refuses epochs below that of its newest chunk",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "math.max(epoch or 0, last and last.epoch or 0)",
    replace: "epoch or 0",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "without its head"
  },
  {
    id: "redis-log-lost-head-size",
    guarantee: 16,
    breaks: "a log that lost its head has the same size",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "dropped = first.total - first.bytes end local length",
    replace: "dropped = 0\nend\nlocal length",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "without its head"
  },
  {
    id: "redis-log-newer",
    guarantee: 16,
    breaks: "a log of a later version is not changed",
    file: "packages/redis/src/internal/log/logScripts.ts",
    find: "if version and version ~= '1' then return { 'newer' } end",
    replace: "",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "a log of a later version"
  },
  {
    id: "redis-log-missing-chunk",
    guarantee: 16,
    breaks: "a missing chunk is not left out silently",
    file: "packages/redis/src/internal/log/storedChunk.ts",
    find: "if (!isHere) return undefined",
    replace: "",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "a log with a missing chunk"
  },
  {
    id: "redis-log-layout",
    guarantee: 16,
    breaks: "a process with another number of shards is refused",
    file: "packages/redis/src/internal/log/redisLog.ts",
    find: 'agreed = answer === "done"',
    replace: "agreed = true",
    test: "test/redis/UpdateLog.test.ts",
    title: "another number of shards"
  },
  {
    id: "redis-log-unanswered-hint",
    guarantee: 16,
    breaks: "an append without an answer gives a hint",
    file: "packages/redis/src/internal/log/redisLog.ts",
    find: "Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => hints.tell(id))",
    replace: "Effect.void",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "does not answer in time"
  },
  {
    id: "redis-log-messages",
    guarantee: 16,
    breaks: "a message about a log in Redis speaks of logs",
    file: "packages/redis/src/internal/log/redisLog.ts",
    find: 'CallScript.make(connection, operation, lua, "log")',
    replace: "CallScript.make(connection, operation, lua)",
    test: "test/redis/UpdateLogLoss.test.ts",
    title: "is full"
  },
  {
    id: "redis-log-evicting",
    guarantee: 16,
    breaks: "a layer warns of a server that may delete logs",
    file: "packages/redis/src/RedisUpdateLog.ts",
    find: 'ServerCheck.warnIfEvicting(redis.send, "log")',
    replace: "Effect.void",
    test: "test/redis/UpdateLogHints.test.ts",
    title: "may delete logs"
  },
  {
    id: "redis-log-subscribes-again",
    guarantee: 16,
    breaks: "a layer whose subscription failed tries again",
    file: "packages/redis/src/internal/log/logHints.ts",
    find: "Effect.andThen(Effect.sleep(again)), Effect.forever",
    replace: "Effect.asVoid",
    test: "test/redis/UpdateLogHints.test.ts",
    title: "without the permission to subscribe"
  }
] satisfies ReadonlyArray<Mutant>
