import type { Mutant } from "./Mutant.ts"

// Claims and models that fail are not held against a run.
export default [
  {
    id: "claim-counts-twice",
    guarantee: 14,
    breaks: "a claim whose answer was lost counts one attempt",
    file: "packages/core/src/RunKernel.ts",
    find: "record.attempts.includes(lease.fence) ? record.attempts : [...record.attempts, lease.fence]",
    replace: "[...record.attempts, lease.fence]",
    test: "test/core/TokenStoreMemory.test.ts"
  },
  {
    id: "lost-claim",
    guarantee: 14,
    breaks: "a claim whose answer was lost is asked for again under the same name",
    file: "packages/core/src/internal/worker/worker.ts",
    find: "timetable.of(name).owner ??= yield* ownerOf(policy)",
    replace: "timetable.of(name).owner = yield* ownerOf(policy)",
    test: "test/core/Claiming.test.ts",
    title: "answer was lost"
  },
  {
    id: "left-claim",
    guarantee: 14,
    breaks: "the runs of a claim that was interrupted are given back",
    file: "packages/core/src/internal/worker/worker.ts",
    find: "Effect.all([Effect.ignore(giveUp), FiberMap.awaitEmpty(taken)], { concurrency: 2 })",
    replace: "FiberMap.awaitEmpty(taken)",
    test: "test/core/Claiming.test.ts",
    title: "interrupted"
  },
  {
    id: "model-dies-streaming",
    guarantee: 14,
    breaks: "a model that dies while it streams is a provider that failed",
    file: "packages/core/src/internal/follow/attachment.ts",
    find: "return isDead(exit.cause)",
    replace: "return isDead(exit.cause) && this.ended !== undefined",
    test: "test/core/DyingModel.test.ts"
  },
  {
    id: "model-dies-looking",
    guarantee: 14,
    breaks: "a model that dies while it is looked at is a provider that failed",
    file: "packages/core/src/internal/ports/typedModel.ts",
    find: 'retrieve: (responseId) => typed("retrieve", () => model.retrieve(responseId)),',
    replace: "",
    test: "test/core/DyingModel.test.ts"
  },
  {
    id: "broken-run-spins",
    guarantee: 14,
    breaks: "a run that breaks its worker is work again only after a while",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "if (Exit.isFailure(exit) && !stopping.isOpen()) held.leaveNotBefore(later)",
    replace: "",
    test: "test/core/Claiming.test.ts",
    title: "another version"
  },
  {
    id: "parked-is-work",
    guarantee: 14,
    breaks: "a run that is parked when a worker leaves it is no work",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "const due = Duration.max(rest.due, this.pause)",
    replace: "const due = this.pause",
    test: "test/core/DyingModel.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
