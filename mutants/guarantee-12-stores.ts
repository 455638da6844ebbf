import type { Mutant } from "./Mutant.ts"

// What token stores and workers promise: claims, hints, retention.
export default [
  {
    id: "run-created-as-difference",
    guarantee: 12,
    breaks: "a run that was created in the place of a forgotten one is whole after opening again",
    file: "packages/core/src/internal/file/fileStore.ts",
    find: "before === undefined || before.record.incarnation !== after.record.incarnation",
    replace: "before === undefined",
    test: "test/core/TokenStoreFile.test.ts"
  },
  {
    id: "forgotten-hide-work",
    guarantee: 12,
    breaks: "runs whose time is over hide no work",
    file: "packages/core/src/internal/store/fromDriver.ts",
    find: "if (over.length === 0) return rows",
    replace: "if (over.length >= 0) return rows",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "status-named-twice",
    guarantee: 12,
    breaks: "a listing has each run once",
    file: "packages/core/src/RunIndex.ts",
    find: "Array.from(new Set(status ?? statuses),",
    replace: "Array.from(status ?? statuses,",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "own-runs-hide-next",
    guarantee: 12,
    breaks: "a claim tells when the next run is due",
    file: "packages/core/src/RunIndex.ts",
    find: "const wanted = Math.max(1, limit - own.length)",
    replace: "const wanted = limit - own.length",
    test: "test/core/RunIndex.test.ts"
  },
  {
    id: "claims-parked-runs",
    guarantee: 12,
    breaks: "a parked run is not claimed",
    file: "packages/core/src/RunKernel.ts",
    find: "const isFree = !isTaken && record.parked === null && record.due",
    replace: "const isFree = !isTaken && record.due",
    test: "test/core/RunIndex.test.ts"
  },
  {
    id: "parked-freed-silently",
    guarantee: 12,
    breaks: "others hear of a parked run that is work again",
    file: "packages/core/src/internal/store/fromDriver.ts",
    find: "before.record.lease !== null || before.record.parked !== null ||",
    replace: "before.record.lease !== null ||",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "E5-kept-for-ever",
    guarantee: 12,
    breaks: "a run that is over is forgotten after its time",
    file: "packages/core/src/Retention.ts",
    find: "since + Duration.toMillis(isOver ? retention : abandonedAfter) <= now.millis",
    replace: "isOver && since + Duration.toMillis(retention) < 0",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "E5-abandoned-early",
    guarantee: 12,
    breaks: "a run that waits is kept as long as one that was left",
    file: "packages/core/src/Retention.ts",
    find: "isOver ? retention : abandonedAfter",
    replace: "retention",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "E5-loose-forgotten",
    guarantee: 12,
    breaks: "a run of which a response may run on is not forgotten as one that is over",
    file: "packages/core/src/Retention.ts",
    find: "ended !== undefined && loose.length === 0 &&",
    replace: "ended !== undefined && loose.length >= 0 &&",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "E18-round-of-all",
    guarantee: 12,
    breaks: "an idle worker asks one shard after the other",
    file: "packages/core/src/internal/worker/timetable.ts",
    find: "const shard = isRound ? oldest : soonest",
    replace: "const shard = soonest",
    test: "test/core/Claiming.test.ts",
    title: "E18"
  },
  {
    id: "E18-next-ignored",
    guarantee: 12,
    breaks: "a worker looks when the last look said that a run is due",
    file: "packages/core/src/internal/worker/worker.ts",
    find: "timetable.due(shard, claimed.taken.length === 0 && next !== undefined ? Math.max(next, soonest) : next)",
    replace: "",
    test: "test/core/Claiming.test.ts",
    title: "when a run is due"
  },
  {
    id: "hints-unheard",
    guarantee: 12,
    breaks: "a worker looks when a hint says that there is work",
    file: "packages/core/src/internal/worker/worker.ts",
    find: "timetable.hint(shard, Duration.toMillis(after))",
    replace: "",
    test: "test/core/Claiming.test.ts",
    title: "a hint"
  }
] satisfies ReadonlyArray<Mutant>
