import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "lock-not-checked",
    guarantee: 15,
    breaks: "only one live process writes to a directory of the file store",
    file: "packages/core/src/internal/fileStore.ts",
    find: "return lock.check.pipe(",
    replace: "return Effect.void.pipe(",
    test: "test/core/TokenStoreFileLock.test.ts",
    title: "who was overtaken writes nothing any more"
  },
  {
    id: "E7-closed",
    guarantee: 15,
    breaks: "a file store is closed when its interrupted program is over",
    file: "packages/core/src/internal/fileStore.ts",
    find: "Effect.timeoutOption(Fiber.await(fiber), closeWithin)",
    replace: "Effect.interruptible(Effect.timeoutOption(Fiber.await(fiber), closeWithin))",
    test: "test/core/Holding.test.ts",
    title: "E7: a file store"
  }
] satisfies ReadonlyArray<Mutant>
