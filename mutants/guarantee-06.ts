import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "lease-kept",
    guarantee: 6,
    breaks: "a lease is released when the stream is left",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: ": release).pipe(",
    replace: ": Effect.void).pipe(",
    test: "test/core/Lease.test.ts",
    title: "is released after a failure, a defect, and an early end"
  },
  {
    id: "lease-not-timed",
    guarantee: 6,
    breaks: "a worker that stood still past its lease delivers nothing more",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "this.clock.monotonicTimeNanosUnsafe() >= this.leaseEnd",
    replace: "this.leaseEnd === 0n",
    test: "test/core/Lease.test.ts",
    title: "over while the process stood still: noticed before the next update is delivered"
  },
  {
    id: "refused-write-goes-on",
    guarantee: 6,
    breaks: "a worker whose write was refused has lost the run",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: 'error._tag === "LeaseLost" ? held.lose(errorOf(error))',
    replace: 'error._tag === "LeaseLost" ? errorOf(error)',
    test: "test/core/Lease.test.ts",
    title: "stolen while this worker believes in its own: the next write is refused, and ends it"
  },
  {
    id: "silence-hides-loss",
    guarantee: 6,
    breaks: "a lost lease is noticed while the network is silent",
    file: "packages/core/src/internal/follow/attachment.ts",
    find: "lost.on((error) => this.end(Effect.fail(error))),",
    replace: "",
    test: "test/core/Lease.test.ts",
    title: "lost while the network is silent: noticed without waiting for the model"
  },
  {
    id: "lease-without-end",
    guarantee: 6,
    breaks: "a lease ends with its time",
    file: "packages/core/src/RunKernel.ts",
    find: "now.nanos < row.leaseEnd",
    replace: "now.nanos >= 0n",
    test: "test/core/TokenStoreMemory.test.ts",
    title: "a lease ends with its time"
  },
  {
    id: "lease-shared",
    guarantee: 6,
    breaks: "a run that somebody holds is refused to others",
    file: "packages/core/src/RunKernel.ts",
    find: "options.steal !== true",
    replace: 'options.owner === ""',
    test: "test/core/TokenStoreMemory.test.ts",
    title: "a held run is refused, naming who holds it and until when"
  },
  {
    id: "fence-not-compared",
    guarantee: 6,
    breaks: "whoever lost a lease writes nothing",
    file: "packages/core/src/RunKernel.ts",
    find: "row.record.lease?.fence === lease.fence",
    replace: "row.record.lease?.owner === lease.owner",
    test: "test/core/TokenStoreMemory.test.ts",
    title: "who lost a lease writes nothing, though it is the same owner again"
  },
  {
    id: "fence-goes-back",
    guarantee: 6,
    breaks: "a fence never goes back, not even over a restart",
    file: "packages/core/src/internal/file/fileStore.ts",
    find: "let fence = known",
    replace: "let fence = Math.min(known, 0)",
    test: "test/core/TokenStoreFileRecovery.test.ts",
    title: "everything is there after a restart, leases are void, and fences rise"
  },
  {
    id: "ordinal-not-compared",
    guarantee: 6,
    breaks: "a commit that comes late changes nothing",
    file: "packages/core/src/RunKernel.ts",
    find: "position !== undefined && position.ordinal > record.ordinal",
    replace: "position !== undefined",
    test: "test/core/TokenStoreMemory.test.ts",
    title: "the same commit again, and an earlier one, succeed and change nothing"
  },
  {
    id: "lease-by-wall-clock",
    guarantee: 6,
    breaks: "leases use the monotonic clock",
    file: "packages/core/src/RunKernel.ts",
    find: "now.nanos < row.leaseEnd",
    replace: "now.millis < (row.record.lease?.expiresAt ?? 0)",
    test: "test/core/ClockJump.test.ts",
    title: "over the memory store"
  },
  {
    id: "store-away-at-once-fatal",
    guarantee: 6,
    breaks: "while the store is away, delivery goes on for as long as the lease",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "if (left <= 0n)",
    replace: "if (left <= ttlNanos)",
    test: "test/core/StoreTroubles.test.ts",
    title: "away for less than a lease"
  },
  {
    id: "redis-fence-not-compared",
    guarantee: 6,
    breaks: "whoever lost a lease writes nothing in Redis",
    file: "packages/redis/src/internal/scripts/recording.ts",
    find: "known[2] == ARGV[3] and",
    replace: "",
    test: "test/redis/Contract.test.ts",
    title: "who lost a lease writes nothing, though it is the same owner again"
  },
  {
    id: "redis-ordinal-not-compared",
    guarantee: 6,
    breaks: "a commit that comes late changes nothing in Redis",
    edits: [
      {
        file: "packages/redis/src/internal/scripts/recording.ts",
        find: "if ARGV[5] ~= '' and tonumber(ARGV[5]) > ordinal then come() end",
        replace: "if ARGV[5] ~= '' then come() end"
      },
      {
        file: "packages/redis/src/internal/scripts/recording.ts",
        find: "local further = ARGV[5] ~= '' and tonumber(ARGV[5]) > ordinal",
        replace: "local further = ARGV[5] ~= ''"
      }
    ],
    test: "test/redis/Contract.test.ts",
    title: "the same commit again, and an earlier one, succeed and change nothing"
  },
  {
    id: "redis-fence-forgotten",
    guarantee: 6,
    breaks: "a fence in Redis never goes back, not even after the server was emptied",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "local least = math.max(time[1] * 1000000 + time[2], number(last) + 1)",
    replace: "local least = number(last) + 1",
    test: "test/redis/RedisTokenStore.test.ts",
    title: "a fence never goes back, not even after the server was emptied"
  },
  {
    id: "redis-fence-by-clock-alone",
    guarantee: 6,
    breaks: "a fence in Redis never goes back, not even if the clock does",
    file: "packages/redis/src/internal/scripts/parts.ts",
    find: "local least = math.max(time[1] * 1000000 + time[2], number(last) + 1)",
    replace: "local least = time[1] * 1000000 + time[2]",
    test: "test/redis/Layout.test.ts",
    title: "the fences of a run that was removed and created again go on rising"
  },
  {
    id: "taken-over-without-fence",
    guarantee: 6,
    breaks: "whoever steals a run gets a fence above the old one",
    file: "packages/core/src/RunKernel.ts",
    find: "current !== null && own ? current.fence",
    replace: "current !== null ? current.fence",
    test: "test/core/TokenStoreMemory.test.ts",
    title: "who steals a held run holds it, and the old holder has lost it"
  },
  {
    id: "waiting-fails",
    guarantee: 6,
    breaks: "a stream that was asked to wait waits for a run that somebody holds",
    file: "packages/core/src/internal/advance/advance.ts",
    find: 'ifLeased === "wait"',
    replace: "ifLeased === undefined",
    test: "test/core/LeaseOptions.test.ts",
    title: "is waited for: the second goes on where the first left it"
  },
  {
    id: "starter-robbed",
    guarantee: 6,
    breaks: "a worker leaves a run to its starter until the starter is gone",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "const due = Duration.times(timeOf(policy), 2)",
    replace: "const due = Duration.times(timeOf(policy), 0)",
    test: "test/core/WorkersLeaving.test.ts",
    title: "leave a run to a starter that is slow"
  },
  {
    id: "handler-outlives-lease",
    guarantee: 6,
    breaks: "a handler whose lease is lost is stopped at once",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "Effect.raceFirst(tryOnce(run, held, handling, stopping), held.untilLost)",
    replace: "tryOnce(run, held, handling, stopping)",
    test: "test/core/WorkersEnds.test.ts",
    title: "stop at once, and commit nothing, when their lease is taken from them in the middle of handle"
  },
  {
    id: "E6",
    guarantee: 6,
    breaks: "a lease whose answer did not come is given back",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "return isKnown ? Effect.void : giveBack",
    replace: "return isKnown ? Effect.void : Effect.void",
    test: "test/core/HoldingTaken.test.ts",
    title: "E6"
  },
  {
    id: "E6-steals",
    guarantee: 6,
    breaks: "what is given back is not stolen from its holder",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "store.acquire(runId, { owner, ttl: timeOf(policy) })",
    replace: "store.acquire(runId, { owner, ttl: timeOf(policy), steal: true })",
    test: "test/core/HoldingTaken.test.ts",
    title: "E6: stays with who holds it"
  },
  {
    id: "E8",
    guarantee: 6,
    breaks: "a refused write stops who lost the run",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: 'error._tag === "LeaseLost" ? held.lose(errorOf(error))',
    replace: 'error._tag === "LeaseLost" ? errorOf(error)',
    test: "test/core/HoldingStolen.test.ts",
    title: "E8: stops within one cadence"
  },
  {
    id: "E8-end",
    guarantee: 6,
    breaks: "a stream whose final write says LeaseLost fails",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "return gone === undefined ? Effect.void : Effect.fail(gone)",
    replace: "return gone === undefined ? Effect.void : Effect.void",
    test: "test/core/HoldingStolen.test.ts",
    title: "E8: does not end"
  },
  {
    id: "E17-remove-unfenced",
    guarantee: 6,
    breaks: "who lost the lease of a run does not remove it",
    file: "packages/core/src/RunKernel.ts",
    find: "Result.map(held(row, lease, now), ({ record: run }) => options.force === true ||",
    replace: "Result.map(Result.succeed(row), ({ record: run }) => options.force === true ||",
    test: "test/core/Remove.test.ts",
    title: "E17: by a caller that lost its lease"
  },
  {
    id: "E17-lease-time",
    guarantee: 6,
    breaks: "a lease has an end, whatever time it was given",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "Duration.clamp(leaseTime, { minimum: shortest, maximum: longest })",
    replace: "leaseTime",
    test: "test/core/LeaseTimePolicy.test.ts",
    title: "E17: infinity"
  },
  {
    id: "E17-poll-leases",
    guarantee: 6,
    breaks: "a look does not take the run from who advances it",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "yield* learned(run, record, [ResponseEnd.make(winner, { ...snapshot, snapshot }, run)])",
    replace:
      "yield* Effect.andThen(Effect.scoped(acquire(run)), learned(run, record, [ResponseEnd.make(winner, { ...snapshot, snapshot }, run)]))",
    test: "test/core/PollsBesideResumes.test.ts",
    title: "E17: of 200 resumes none is told that a poll holds its run"
  }
] satisfies ReadonlyArray<Mutant>
