import type { Mutant } from "./Mutant.ts"

// A claim takes no run that somebody holds.
export default [
  {
    id: "claims-held-runs",
    guarantee: 6,
    breaks: "a run that somebody holds is not claimed",
    file: "packages/core/src/RunKernel.ts",
    find: "const isFree = !isTaken && record.parked === null && record.due",
    replace: "const isFree = record.parked === null && record.due",
    test: "examples/07-own-store.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
