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
  }
] satisfies ReadonlyArray<Mutant>
