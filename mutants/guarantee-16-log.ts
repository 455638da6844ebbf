import type { Mutant } from "./Mutant.ts"

// The update log in memory and in files.
export default [
  {
    id: "log-append-unfenced",
    guarantee: 16,
    breaks: "after a higher epoch has opened a log, a lower one appends nothing",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "if (chunk.epoch < this.epoch) return Result.fail(this.fenced(this.epoch))",
    replace: "",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "a lower one appends nothing"
  },
  {
    id: "log-open-unfenced",
    guarantee: 16,
    breaks: "a lower epoch cannot open a log",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "if (epoch < this.epoch) return Result.fail(this.fenced(this.epoch))",
    replace: "",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "a lower epoch cannot open"
  },
  {
    id: "log-append-opens",
    guarantee: 16,
    breaks: "an append opens the log for its epoch",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "const epoch = Math.max(this.epoch, chunk.epoch)",
    replace: "const epoch = this.epoch",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "an append opens a log"
  },
  {
    id: "log-repeats-chunks",
    guarantee: 16,
    breaks: "a repeated append changes nothing",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "there !== undefined && isSame(there, chunk)",
    replace: "false",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "a repeated append"
  },
  {
    id: "log-repeats-ends",
    guarantee: 16,
    breaks: "a repeated chunk without updates is stored once",
    file: "packages/core/src/internal/log/runLog.ts",
    find: 'if (chunk.count === 0 && last?.count === 0 && isSame(last, chunk)) return Result.succeed("known")',
    replace: "",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "a repeated chunk without updates"
  },
  {
    id: "log-other-epochs-chunk",
    guarantee: 16,
    breaks: "a chunk where another epoch wrote is refused",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "if (there !== undefined && there.epoch !== chunk.epoch)",
    replace: "if (false)",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "where another epoch wrote"
  },
  {
    id: "log-other-bounds",
    guarantee: 16,
    breaks: "a chunk before the end with other bounds is a gap",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "one.count === other.count && ",
    replace: "",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "with other bounds"
  },
  {
    id: "log-closes-gaps",
    guarantee: 16,
    breaks: "a chunk after the end of the log is a gap",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "if (chunk.from === length)",
    replace: "if (chunk.from >= length)",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "after the end of the log is a gap"
  },
  {
    id: "log-truncates-newest",
    guarantee: 16,
    breaks: "truncation keeps the newest chunk with updates",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "start < newest && endOf",
    replace: "start < this.end && endOf",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "truncation keeps the newest chunk"
  },
  {
    id: "log-truncates-offset",
    guarantee: 16,
    breaks: "truncation keeps the chunk that contains the offset",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "endOf(this.chunks[start]!) <= before",
    replace: "this.chunks[start]!.from < before",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "keeps the one that contains it"
  },
  {
    id: "log-truncated-read",
    guarantee: 16,
    breaks: "reading a removed update fails",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "if (offset < this.first)",
    replace: "if (offset < 0)",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "reading a removed update"
  },
  {
    id: "log-dropped-chunks",
    guarantee: 16,
    breaks: "a chunk whose write failed is not in the log",
    file: "packages/core/src/internal/log/runLog.ts",
    find: "this.chunks.length === this.end ? this.chunks : this.chunks.slice(0, this.end)",
    replace: "this.chunks",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "cannot be synced nor removed"
  },
  {
    id: "log-memory-hints",
    guarantee: 16,
    breaks: "an append gives a hint",
    file: "packages/core/src/internal/log/memoryLog.ts",
    find: "changes.tell(runId) return grown(after)",
    replace: "return grown(after)",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "gives a hint to every listener"
  },
  {
    id: "log-kept-for-ever",
    guarantee: 16,
    breaks: "a log is removed after its retention",
    file: "packages/core/src/internal/log/forgetting.ts",
    find: "usedAt + retention <= now",
    replace: "false",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "then removed"
  },
  {
    id: "log-sweep-order",
    guarantee: 16,
    breaks: "logs are removed in the order in which they were last used",
    file: "packages/core/src/internal/log/forgetting.ts",
    find: "if (logs.get(key)?.usedAt !== log.usedAt) logs.delete(key)",
    replace: "",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "removes a few logs"
  },
  {
    id: "log-memory-sweep",
    guarantee: 16,
    breaks: "logs whose retention has ended do not pile up in memory",
    file: "packages/core/src/internal/log/memoryLog.ts",
    find: "for (const other of Forgetting.forgottenIn(logs, retention, now)) remove(other)",
    replace: "",
    test: "test/core/UpdateLogMemory.test.ts",
    title: "removes a few logs"
  },
  {
    id: "log-file-sweep",
    guarantee: 16,
    breaks: "logs whose retention has ended do not pile up in the file",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "[runId, ...Forgetting.forgottenIn(writer.durable, retention, now)]",
    replace: "[runId]",
    test: "test/core/UpdateLogFileErasing.test.ts",
    title: "removes a few logs"
  },
  {
    id: "log-file-forgotten-read",
    guarantee: 16,
    breaks: "a log in a file cannot be read after its retention",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "run === undefined || Forgetting.isForgotten(run, retention, now)",
    replace: "run === undefined",
    test: "test/core/UpdateLogFile.test.ts",
    title: "then removed"
  },
  {
    id: "log-file-begins-again",
    guarantee: 16,
    breaks: "a log in a file begins again after its retention",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "writer.queue(runId, removed(runId, run))",
    replace: "return",
    test: "test/core/UpdateLogFile.test.ts",
    title: "after its retention a log begins again"
  },
  {
    id: "log-file-open-keeps",
    guarantee: 16,
    breaks: "opening a log in a file keeps it for its retention",
    file: "packages/core/src/internal/log/filedRun.ts",
    find: "run.log === log && run.usedAt === now",
    replace: "run.log === log",
    test: "test/core/UpdateLogFile.test.ts",
    title: "then removed"
  },
  {
    id: "log-file-closed-time",
    guarantee: 16,
    breaks: "the retention goes on while a file is closed",
    file: "packages/core/src/internal/log/filedRun.ts",
    find: "opening: run?.opening, usedAt: line.at",
    replace: "opening: run?.opening, usedAt: Infinity",
    test: "test/core/UpdateLogFile.test.ts",
    title: "goes on while the log is closed"
  },
  {
    id: "log-file-early-success",
    guarantee: 16,
    breaks: "an append succeeds only after the sync",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "isWritten || !isDurable",
    replace: "false",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "readers see durable chunks only"
  },
  {
    id: "log-file-early-result",
    guarantee: 16,
    breaks: "a result that depends on a write waits for it",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "isWritten || !isDurable",
    replace: "isWritten",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "the results that depend on it"
  },
  {
    id: "log-file-early-read",
    guarantee: 16,
    breaks: "readers see durable chunks only",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "const run = writer.durable.get(runId) return run === undefined",
    replace: "const { run } = writer.current(runId)\n          return run === undefined",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "readers see durable chunks only"
  },
  {
    id: "log-file-group-commit",
    guarantee: 16,
    breaks: "concurrent appends share one write and one sync",
    file: "packages/core/src/internal/file/groupCommit.ts",
    find: "Effect.andThen(work.await, Effect.yieldNow)",
    replace: "work.await",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "one write and one sync"
  },
  {
    id: "log-file-failed-write",
    guarantee: 16,
    breaks: "a write that failed leaves nothing behind",
    file: "packages/core/src/internal/file/groupCommit.ts",
    find: "pending.clear()",
    replace: "",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "on a full disk"
  },
  {
    id: "log-file-hints",
    guarantee: 16,
    breaks: "an append to a file gives a hint",
    file: "packages/core/src/internal/log/logWriter.ts",
    find: "onChange(runId)",
    replace: "",
    test: "test/core/UpdateLogFile.test.ts",
    title: "gives a hint to every listener"
  },
  {
    id: "log-file-rewrite-epochs",
    guarantee: 16,
    breaks: "a rewrite keeps epochs that appended nothing",
    file: "packages/core/src/internal/log/filedRun.ts",
    find: "opening === undefined ? places : [opening, ...places]",
    replace: "places",
    test: "test/core/UpdateLogFileDisk.test.ts",
    title: "is rewritten, and has what is needed"
  },
  {
    id: "log-file-misplaced",
    guarantee: 16,
    breaks: "a chunk in the file follows the one before it",
    file: "packages/core/src/internal/log/filedRun.ts",
    find: "log.last === undefined || log.length === line.chunk.from",
    replace: "true",
    test: "test/core/UpdateLogFileRecovery.test.ts",
    title: "nor is one that is not a log"
  },
  {
    id: "log-file-truncation-kept",
    guarantee: 16,
    breaks: "a truncation is there after opening again",
    file: "packages/core/src/internal/log/filedRun.ts",
    find: "{ after: { ...run, log: run.log.truncated(line.before)[0] } }",
    replace: "{ after: run }",
    test: "test/core/UpdateLogFile.test.ts",
    title: "the last operation before closing"
  },
  {
    id: "log-file-erases",
    guarantee: 16,
    breaks: "the content of a removed log leaves the file within an hour",
    file: "packages/core/src/internal/log/logWriter.ts",
    find: "Effect.andThen(Effect.sync(erase)), Effect.forever",
    replace: "Effect.forever",
    test: "test/core/UpdateLogFileErasing.test.ts",
    title: "within an hour"
  },
  {
    id: "log-file-erases-closing",
    guarantee: 16,
    breaks: "the content of a removed log leaves the file when the log is closed",
    file: "packages/core/src/internal/log/logWriter.ts",
    find: "erase() return commits.close",
    replace: "return commits.close",
    test: "test/core/UpdateLogFileErasing.test.ts",
    title: "when the log is closed"
  },
  {
    id: "log-file-erases-later",
    guarantee: 16,
    breaks: "the next process erases what the last one could not",
    file: "packages/core/src/internal/log/fileRecovery.ts",
    find: "hasRemains = true",
    replace: "",
    test: "test/core/UpdateLogFileErasing.test.ts",
    title: "the next one rewrites the file"
  },
  {
    id: "log-file-needless-rewrites",
    guarantee: 16,
    breaks: "a file without removed logs is not rewritten every hour",
    file: "packages/core/src/internal/log/logWriter.ts",
    find: "if (!hasRemains) return",
    replace: "",
    test: "test/core/UpdateLogFileErasing.test.ts",
    title: "within an hour"
  },
  {
    id: "log-file-of-runs",
    guarantee: 16,
    breaks: "the directory of a token store is refused",
    file: "packages/core/src/internal/log/fileLog.ts",
    find: "if (hasRuns)",
    replace: "if (false)",
    test: "test/core/UpdateLogFileRecovery.test.ts",
    title: "so is that of a token store"
  }
] satisfies ReadonlyArray<Mutant>
