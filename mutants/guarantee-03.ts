import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "writes-too-often",
    guarantee: 3,
    breaks: "the position is written once per cadence",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: "this.metrics.acknowledged()\n    this.writer?.within(this.every)",
    replace: "this.metrics.acknowledged()\n    this.writer?.within(1)",
    test: "test/core/Lease.test.ts",
    title: "the cadence"
  },
  {
    id: "leaving-writes-nothing",
    guarantee: 3,
    breaks: "the position is written at once when the stream is left",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "if (held.gone() !== undefined) return Effect.void",
    replace: "return Effect.void",
    test: "test/core/Lease.test.ts",
    title: "writes at once when the stream is left, and when the last update is finished with"
  },
  {
    id: "last-write-unbounded",
    guarantee: 3,
    breaks: "the last write is bounded in time",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "duration: closeTimeout,",
    replace: 'duration: "1 hour",',
    test: "test/core/Lease.test.ts",
    title: "a last write that fails, or hangs, is counted and bounded, and is no defect"
  },
  {
    id: "unanswered-write-forgotten",
    guarantee: 3,
    breaks: "a write that failed, or whose answer did not come, is made again",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: "this.isMoved ||= withPosition",
    replace: "this.isMoved ||= false",
    test: "test/core/Telemetry.test.ts",
    title: "of writes: how long they took, which failed, and how far they were behind"
  },
  {
    id: "checksum-not-compared",
    guarantee: 3,
    breaks: "the file store notices a damaged line",
    file: "packages/core/src/internal/file/logFormat.ts",
    find: "Number.parseInt(checksum, 16) !== crc32(bytes, from + 9, to)",
    replace: "Number.parseInt(checksum, 16) < 0",
    test: "test/core/TokenStoreFileRecovery.test.ts",
    title: "damage before sound lines is told with its place, and nothing is changed"
  },
  {
    id: "answered-before-durable",
    guarantee: 3,
    breaks: "what the file store reports is durable",
    file: "packages/core/src/internal/file/fileStore.ts",
    find: "Effect.mapError(written, renamed(operation))",
    replace:
      "Effect.timeoutOrElse(Effect.mapError(written, renamed(operation)), { duration: 0, orElse: () => Effect.void })",
    test: "test/core/TokenStoreFileDisk.test.ts",
    title: "on a full disk operations fail, the state is the last durable one, and room makes it work again"
  },
  {
    id: "not-synced",
    guarantee: 3,
    breaks: "what the file store reports survives a power failure",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "yield* current.file.sync",
    replace: "",
    test: "test/core/TokenStoreFileDisk.test.ts",
    title: "a commit is one write and one sync, however many are made at once"
  },
  {
    id: "torn-write-left",
    guarantee: 3,
    breaks: "a write of the file store that failed leaves nothing behind for the next one",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "torn ? Effect.tap(current",
    replace: "torn && length === 0 ? Effect.tap(current",
    test: "test/core/TokenStoreFileDisk.test.ts",
    title: "a write that cannot be synced, nor taken back, is not there later"
  },
  {
    id: "lag-forgotten",
    guarantee: 3,
    breaks: "a position counts as behind until it is written, not until a write was tried",
    file: "packages/core/src/internal/telemetry/checkpointMetrics.ts",
    find: "if (Exit.isSuccess(exit)) this.underway = undefined",
    replace: "this.underway = undefined",
    test: "test/core/Telemetry.test.ts",
    title: "of writes: how long they took, which failed, and how far they were behind"
  },
  {
    id: "stopped-in-the-middle",
    guarantee: 3,
    breaks: "a worker that stops interrupts its handlers between two updates, so that nothing is repeated",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "stopping.isOpen() ? last : next",
    replace: "stopping.isOpen() && idle.isOpen() ? last : next",
    test: "test/core/WorkersLeaving.test.ts",
    title: "leave their runs to others at once when they stop, with nothing repeated and no attempt counted"
  },
  {
    id: "E7a",
    guarantee: 3,
    breaks: "the last write is repeated",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "while: (error) => error.isRetryable && held.gone() === undefined,",
    replace: "while: () => false,",
    test: "test/core/HoldingLeft.test.ts",
    title: "E7a"
  },
  {
    id: "E7a-release",
    guarantee: 3,
    breaks: "the release is repeated",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "Effect.retry({ while: (error) => error.isRetryable, schedule: Lease.persistently }),",
    replace: "",
    test: "test/core/HoldingLeft.test.ts",
    title: "E7a"
  },
  {
    id: "E17-refused-position",
    guarantee: 3,
    breaks: "the position of a run that is left is written beside a fact that the store refuses",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: "return this.isMoved ? Effect.ignore(this.send([])) : Effect.void",
    replace: "return Effect.void",
    test: "test/core/StoreRefusals.test.ts",
    title: "E17: the position of a consumer that ends early is written beside a fact that is refused"
  },
  {
    id: "E17-refused-fact",
    guarantee: 3,
    breaks: "a fact that the store refuses does not block later positions",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: 'if (error.reason._tag !== "StoreFailed" || error.isRetryable) return Effect.void',
    replace: "if (error !== undefined) return Effect.void",
    test: "test/core/StoreRefusals.test.ts",
    title: "E17: a fact that it refuses does not block positions"
  },
  {
    id: "position-keeps-old-field",
    guarantee: 3,
    breaks: "the file store reads the position that was written, without fields of the one before",
    file: "packages/core/src/internal/file/logRecord.ts",
    find: "if (after.position[key] === undefined) position[key] = null",
    replace: "",
    test: "test/core/TokenStoreFile.test.ts",
    title: "what was reported done is there after closing"
  }
] satisfies ReadonlyArray<Mutant>
