import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "S1-lock-not-looked-at",
    guarantee: 15,
    breaks: "nothing is reported durable whose lock is not this process's any more",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "return Effect.zipWith(lock.check,",
    replace: "return Effect.zipWith(Effect.void,",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "before a write"
  },
  {
    id: "S1-not-looked-at-after",
    guarantee: 15,
    breaks: "a log that was changed during a write is not reported durable",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "yield* assure(reach)",
    replace: "",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "changed during a write"
  },
  {
    id: "S1-not-looked-at-before",
    guarantee: 15,
    breaks: "nothing is written to a log that is somebody else's",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "if (!(yield* isFresh)) yield* asItWas",
    replace: "",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "a while ago"
  },
  {
    id: "S1-heartbeat-blind",
    guarantee: 15,
    breaks: "reads fail too once the place is somebody else's",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "lock.alongside(idle)",
    replace: "lock",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "between two writes"
  },
  {
    id: "S1-any-size",
    guarantee: 15,
    breaks: "a log that was cut or grown by others is noticed",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "size >= least && size <= most",
    replace: "size >= 0",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "before a write"
  },
  {
    id: "S1-rewrite-unchecked",
    guarantee: 15,
    breaks: "a new log takes no place that is somebody else's",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "yield* check",
    replace: "",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "goes on before it begins a new log"
  },
  {
    id: "S1-late-writes",
    guarantee: 15,
    breaks: "what a silent owner still writes reaches no log that was taken over",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "const { contested } = lock",
    replace: "const contested = false as boolean",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "goes on before a write"
  },
  {
    id: "S1-cut-unchecked",
    guarantee: 15,
    breaks: "nothing is cut from a log that is somebody else's",
    file: "packages/core/src/internal/file/appendLog.ts",
    find: "torn ? Effect.andThen(asItWas, cut) : Effect.void",
    replace: "cut",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "changed during a write"
  },
  {
    id: "S1-identity",
    guarantee: 15,
    breaks: "files are told apart by device and number",
    file: "packages/core/src/internal/file/fileIdentity.ts",
    find: "one.dev === other.dev && (",
    replace: "one.dev !== undefined || (",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "before a write"
  },
  {
    id: "S1-nonce",
    guarantee: 15,
    breaks: "a lock that was overwritten in place is noticed",
    file: "packages/core/src/internal/file/directoryLock.ts",
    find: "|| !(yield* holdsNonce(mine.file))",
    replace: "",
    test: "test/core/TokenStoreFileIdentity.test.ts",
    title: "between two writes"
  },
  {
    id: "S2-zombie",
    guarantee: 15,
    breaks: "a killed owner that nobody reaped is dead",
    file: "packages/core/src/internal/file/directoryLock.ts",
    find: "/^[ZX]/i",
    replace: "/^[X]/i",
    test: "test/core/TokenStoreFileProcesses.test.ts",
    title: "S2: a process that was killed"
  },
  {
    id: "S2-stopped",
    guarantee: 15,
    breaks: "an owner that was stopped is alive",
    file: "packages/core/src/internal/file/directoryLock.ts",
    find: "/^[ZX]/i",
    replace: "/^[ZXT]/i",
    test: "test/core/TokenStoreFileProcesses.test.ts",
    title: "S2: what became"
  },
  {
    id: "S2-name",
    guarantee: 15,
    breaks: "a program with a bracket in its name is looked at rightly",
    file: "packages/core/src/internal/file/directoryLock.ts",
    find: 'stat.lastIndexOf(")")',
    replace: 'stat.indexOf(")")',
    test: "test/core/TokenStoreFileProcesses.test.ts",
    title: "S2: what became"
  },
  {
    id: "E7-closed",
    guarantee: 15,
    breaks: "a file store is closed when its interrupted program is over",
    file: "packages/core/src/internal/file/fileStore.ts",
    find: "Effect.timeoutOption(Fiber.await(fiber), closeWithin)",
    replace: "Effect.interruptible(Effect.timeoutOption(Fiber.await(fiber), closeWithin))",
    test: "test/core/HoldingLeft.test.ts",
    title: "E7: a file store"
  }
] satisfies ReadonlyArray<Mutant>
