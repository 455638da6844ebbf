import type { Mutant } from "./Mutant.ts"

// Runs that wait in the store, and what is asked of all runs.
export default [
  {
    id: "enqueue-version-unchecked",
    guarantee: 13,
    breaks: "another version of the agent sends no request",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "  yield* checkVersion(run)\n",
    replace: "",
    test: "test/core/EnqueuedWork.test.ts",
    title: "another version of the agent does not open it"
  }
] satisfies ReadonlyArray<Mutant>
