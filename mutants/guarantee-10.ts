import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "failed-run-looks-empty",
    guarantee: 10,
    breaks: "a failed run never looks like an empty success",
    file: "packages/core/src/internal/follow.ts",
    find: 'status === "failed" && error !== undefined',
    replace: 'status === "queued" && error !== undefined',
    test: "test/core/Ends.test.ts"
  },
  {
    id: "expired-run-looks-empty",
    guarantee: 10,
    breaks: "an expired run fails its stream",
    file: "packages/core/src/internal/follow.ts",
    find: 'status === "expired"',
    replace: 'status === "queued"',
    test: "test/core/Ends.test.ts",
    title: "a response that the provider no longer has fails the run after a last update"
  },
  {
    id: "resumed-failure-is-empty",
    guarantee: 10,
    breaks: "a failed run that is resumed fails in the same way",
    file: "packages/core/src/internal/advance.ts",
    find: "reason === undefined ? Stream.empty",
    replace: "reason !== undefined ? Stream.empty",
    test: "test/core/Ends.test.ts",
    title: "streamed, resumed, run, watched"
  },
  {
    id: "request-id-lost",
    guarantee: 10,
    breaks: "errors keep the provider's request id",
    file: "packages/openai/src/internal/failures.ts",
    find: 'headers.get("x-request-id")',
    replace: 'headers.get("x-request")',
    test: "test/openai/Retries.test.ts",
    title: "answered with"
  },
  {
    id: "cut-is-no-error",
    guarantee: 10,
    breaks: "a span ends as its attachment ended",
    file: "packages/core/src/internal/follow.ts",
    find: "Exit.fail(new Telemetry.Disconnected())",
    replace: "Exit.void",
    test: "test/core/Telemetry.test.ts",
    title: "one for each attachment, linked by the run's id, with attempt and position"
  },
  {
    id: "span-left-open",
    guarantee: 10,
    breaks: "leaving a stream leaves no span open",
    file: "packages/core/src/internal/telemetry.ts",
    find: "Effect.makeSpanScoped(",
    replace: "Effect.makeSpan(",
    test: "test/core/Telemetry.test.ts",
    title: "leaving leaves no span open, and is no error"
  },
  {
    id: "X2",
    guarantee: 10,
    breaks: "an end is decided by all that is in the journal",
    file: "packages/core/src/RunKernel.ts",
    find: "guard && (added.length > 0 || isFurther) && record.journal.length > seen",
    replace: "guard && record.journal.length < 0",
    test: "test/core/Schedules.test.ts",
    title: "X2: an end is decided by all that is in the journal"
  },
  {
    id: "X7c",
    guarantee: 10,
    breaks: "an end names its response",
    file: "packages/core/src/RunState.ts",
    find: "ends.get(winner.responseId)",
    replace: "[...ends.values()][0]",
    test: "test/core/Schedules.test.ts",
    title: "X7: an end names its response"
  },
  {
    id: "refusal-by-order",
    guarantee: 10,
    breaks: "how a refused run ends does not depend on which refusal was recorded first",
    file: "packages/core/src/RunState.ts",
    find: "turn.refusal = weightier(turn.refusal, fact)",
    replace: "turn.refusal = fact",
    test: "test/core/RunState.test.ts",
    title: "is the same in any order that leaves Accepted and Retried in theirs"
  },
  {
    id: "end-over-running",
    guarantee: 10,
    breaks: "no order of facts ends a run while a response of it runs",
    file: "packages/core/src/RunEngine.ts",
    find: "return turn === -1 ? step :",
    replace: "return turn < 9 ? step :",
    test: "test/core/RunEngine.test.ts",
    title: "never ends a run while a response of it may run"
  },
  {
    id: "E7a-seen",
    guarantee: 10,
    breaks: "an end that was seen is recorded though the store is away for a while",
    file: "packages/core/src/internal/learn.ts",
    find: ".pipe(Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }))",
    replace: "",
    test: "test/core/Holding.test.ts",
    title: "E7a: by who looked"
  }
] satisfies ReadonlyArray<Mutant>
