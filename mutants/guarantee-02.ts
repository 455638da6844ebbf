import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "acknowledged-at-delivery",
    guarantee: 2,
    breaks: "an update is acknowledged when the next one is pulled, not before",
    file: "packages/core/src/internal/hold/acknowledge.ts",
    find: "inHand = batch[index++]!",
    replace: "inHand = batch[index++]!; finishWith(held, isLast, inHand)",
    test: "test/core/Checkpoint.test.ts",
    title: "the memory store"
  },
  {
    id: "failure-acknowledges",
    guarantee: 2,
    breaks: "an update whose consumer failed is not acknowledged",
    file: "packages/core/src/internal/hold/acknowledge.ts",
    find: "Exit.isSuccess(exit) && acknowledge()",
    replace: "exit && acknowledge()",
    test: "test/core/Checkpoint.test.ts",
    title: "is exact when the body of a"
  },
  {
    id: "last-taken-not-acknowledged",
    guarantee: 2,
    breaks: "the last update is acknowledged when the scope closes with success",
    file: "packages/core/src/internal/hold/acknowledge.ts",
    find: "Exit.isSuccess(exit) && acknowledge()",
    replace: "Exit.isFailure(exit) && inHand",
    test: "test/core/Checkpoint.test.ts",
    title: "is exact when a"
  },
  {
    id: "manual-runs-ahead",
    guarantee: 2,
    breaks: "with manual acknowledgement nothing is acknowledged that the consumer did not acknowledge",
    file: "packages/core/src/internal/hold/acknowledge.ts",
    find: "out.push(entry)",
    replace: "out.push(entry); finishWith(held, isLast, update)",
    test: "test/core/Manual.test.ts",
    title: "acknowledging by hand over the memory store"
  },
  {
    id: "finished-before-handled",
    guarantee: 2,
    breaks: "a worker writes that a run is finished only after its handler succeeded",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "Acknowledge.onPull(held, Acknowledge.beforeLast)",
    replace: "Acknowledge.onPull(held, Acknowledge.upTo(advance.isLast))",
    test: "test/core/Workers.test.ts",
    title: "write that a run is finished only after handle has succeeded"
  },
  {
    id: "last-acknowledged-before-handled",
    guarantee: 2,
    breaks: "the last update of a logged run comes again if a handle failed at its end",
    file: "packages/core/src/internal/hold/acknowledge.ts",
    find: "if (!isOver(update.status)) moveTo(held, update)",
    replace: "moveTo(held, update)",
    test: "test/core/Logged.test.ts",
    title: "gives a handle that failed at its end the last update again"
  }
] satisfies ReadonlyArray<Mutant>
