import type { Mutant } from "./Mutant.ts"

// What a store keeps of an input.
export default [
  {
    id: "input-lost-with-failure",
    guarantee: 7,
    breaks: "the input of a run that failed is kept for a retry",
    file: "packages/core/src/internal/kernel/grown.ts",
    find: '(fact.status === "completed" || fact.status === "incomplete")',
    replace: 'fact.status !== "failed"',
    test: "test/core/TokenStoreMemory.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
