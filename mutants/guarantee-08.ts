import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "X11",
    guarantee: 8,
    breaks: "a call that was deferred does not run again",
    file: "packages/core/src/RunEngine.ts",
    find: "if (isUndecided(call) || call.deferred !== undefined || cut",
    replace: "if (isUndecided(call) || cut",
    test: "test/core/SchedulesFacts.test.ts",
    title: "X11: a call that was deferred is not run again by the next worker"
  },
  {
    id: "X12",
    guarantee: 8,
    breaks: "the first result of a call counts",
    file: "packages/core/src/internal/kernel/grown.ts",
    find: "const keys = new Set(journal.map(keyOf))",
    replace: "const keys = new Set<string>()",
    test: "test/core/SchedulesFacts.test.ts",
    title: "X12: the first result of a call counts"
  },
  {
    id: "X13",
    guarantee: 8,
    breaks: "the first decision about a call counts",
    file: "packages/core/src/internal/record/factKey.ts",
    find: "decision ${fact.turn} ${fact.callId}",
    replace: "${fact._tag} ${fact.turn} ${fact.callId}",
    test: "test/core/SchedulesFacts.test.ts",
    title: "X13: the first decision about a call counts"
  },
  {
    id: "call-before-start",
    guarantee: 8,
    breaks: "a handler gets a call once its start is recorded",
    file: "packages/core/src/internal/calls/acting.ts",
    find: 'if ((yield* held.decide(facts)) === "moved") return',
    replace: "yield* held.decide(facts)",
    test: "test/core/Model.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
