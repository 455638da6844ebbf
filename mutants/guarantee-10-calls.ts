import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "tool-defect-told-to-model",
    guarantee: 10,
    breaks: "a defect of a handler fails the run",
    file: "packages/core/src/internal/calls/runHandler.ts",
    find: 'Effect.succeed({ result: messageOf(cause), isFailure: true, ends: "defect" })',
    replace: "Effect.succeed({ result: messageOf(cause), isFailure: true })",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a defect in a handler is a failed run"
  },
  {
    id: "tool-failure-told-to-model",
    guarantee: 10,
    breaks: "a failure of a tool with the failure mode error fails the run",
    file: "packages/core/src/internal/tools/recorded.ts",
    find: '...(tool.failureMode === "error" ? { ends: "failed" as const } : {})',
    replace: "",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a typed failure of a tool whose failures end the run"
  },
  {
    id: "tool-limit-unnamed",
    guarantee: 10,
    breaks: "the last update of a run that waits for a limit says for which",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "...(todo.limit === undefined ? {} : { limit: todo.limit })",
    replace: "",
    test: "test/core/ToolsScenarios.test.ts",
    title: "reaches its limit of turns"
  },
  {
    id: "tool-limit-unnamed-by-run",
    guarantee: 10,
    breaks: "RunWaiting of a run that waits for a limit says for which",
    file: "packages/core/src/internal/watch/respond.ts",
    find: "{ waitingFor, ...(limit === undefined ? {} : { limit }) }",
    replace: "{ waitingFor }",
    test: "test/core/ToolsScenarios.test.ts",
    title: "reaches its limit of turns"
  },
  {
    id: "tool-usage-of-last-turn",
    guarantee: 10,
    breaks: "the usage of a run is that of all its turns",
    file: "packages/core/src/internal/watch/respond.ts",
    find: "rest.reduce(added, first)",
    replace: "(rest.at(-1) ?? first)",
    test: "test/core/ToolsLaw.test.ts",
    title: "polled from outside"
  },
  {
    id: "tool-turns-before-untold",
    guarantee: 10,
    breaks: "the response of a run has the calls and results of all its turns",
    file: "packages/core/src/internal/watch/respond.ts",
    find: "state.turns.slice(0, current).flatMap",
    replace: "state.turns.slice(0, 0).flatMap",
    test: "test/core/ToolsLaw.test.ts",
    title: "polled from outside"
  },
  {
    id: "tool-interrupted-itself",
    guarantee: 10,
    breaks: "a handler that interrupts itself fails the run, and does not start again and again",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "this.isInterrupting ? undefined : interruptedItself",
    replace: "this.isInterrupting || interruptedItself.isFailure ? undefined : interruptedItself",
    test: "test/core/ToolsFacts.test.ts",
    title: "is a defect if its handler interrupts itself"
  }
] satisfies ReadonlyArray<Mutant>
