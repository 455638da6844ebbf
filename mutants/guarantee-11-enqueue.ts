import type { Mutant } from "./Mutant.ts"

// Runs that wait in the store, and what is asked of all runs.
export default [
  {
    id: "enqueue-input-in-error",
    guarantee: 11,
    breaks: "an input is in no error",
    file: "packages/core/src/internal/run/openRun.ts",
    find: "is no prompt. Start",
    replace: "is no prompt: ${input}. Start",
    test: "test/core/Enqueue.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
