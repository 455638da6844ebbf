import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "acknowledged-at-delivery",
    guarantee: 2,
    breaks: "an update is acknowledged when the next one is pulled, not before",
    file: "packages/core/src/internal/acknowledge.ts",
    find: "inHand = batch[next++]!",
    replace: "inHand = batch[next++]!; settle(held, finish, inHand)",
    test: "test/core/Checkpoint.test.ts",
    title: "the memory store"
  },
  {
    id: "failure-acknowledges",
    guarantee: 2,
    breaks: "an update whose consumer failed is not acknowledged",
    file: "packages/core/src/internal/acknowledge.ts",
    find: "Exit.isSuccess(exit) && settleInHand()",
    replace: "exit && settleInHand()",
    test: "test/core/Checkpoint.test.ts",
    title: "is exact when the body of a"
  },
  {
    id: "last-taken-not-acknowledged",
    guarantee: 2,
    breaks: "the last update is acknowledged when the scope closes with success",
    file: "packages/core/src/internal/acknowledge.ts",
    find: "Exit.isSuccess(exit) && settleInHand()",
    replace: "Exit.isFailure(exit) && inHand",
    test: "test/core/Checkpoint.test.ts",
    title: "is exact when a"
  },
  {
    id: "manual-runs-ahead",
    guarantee: 2,
    breaks: "with manual acknowledgement nothing is acknowledged that the consumer did not acknowledge",
    file: "packages/core/src/internal/acknowledge.ts",
    find: "for (const update of updates) hands.set(update, byHand)",
    replace:
      "for (const update of updates) hands.set(update, byHand); for (const update of updates) settle(held, finish, update)",
    test: "test/core/Manual.test.ts",
    title: "the memory store"
  },
  {
    id: "finished-before-handled",
    guarantee: 2,
    breaks: "a worker writes the end of a run only after its handler succeeded",
    file: "packages/core/src/internal/workerRun.ts",
    find: "onFinish: (how) => (end = how)",
    replace: "onFinish: (how) => held.finish((end = how))",
    test: "test/core/Runs.test.ts",
    title: "write the end of a run only after handle has succeeded"
  }
] satisfies ReadonlyArray<Mutant>
