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
  }
] satisfies ReadonlyArray<Mutant>
