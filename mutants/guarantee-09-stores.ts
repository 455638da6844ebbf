import type { Mutant } from "./Mutant.ts"

// Hints of a stop.
export default [
  {
    id: "X8-hint",
    guarantee: 9,
    breaks: "the holder of a run learns of a cancel by a hint",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "renewal.within(0)",
    replace: "",
    test: "test/core/StopForeground.test.ts",
    title: "X8:"
  }
] satisfies ReadonlyArray<Mutant>
