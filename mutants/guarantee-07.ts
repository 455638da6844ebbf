import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "intent-not-recorded",
    guarantee: 7,
    breaks: "the intent is recorded before the request",
    file: "packages/core/src/internal/advance.ts",
    find: "Stream.unwrap(Effect.as(intend(held), run.model.create(request)))",
    replace: "run.model.create(request)",
    test: "test/core/Start.test.ts",
    title: "records the intent before the request, and the response's name before anything is delivered"
  },
  {
    id: "unconfirmed-sent-again",
    guarantee: 7,
    breaks: "a request that may have been accepted is not sent again by itself",
    file: "packages/core/src/internal/advance.ts",
    find: 'policy.unconfirmed === "fail"',
    replace: 'policy.unconfirmed !== "fail"',
    test: "test/core/Start.test.ts",
    title: "a request without an answer leaves the run Unconfirmed: it is not sent again by itself"
  },
  {
    id: "unanswered-create-retried",
    guarantee: 7,
    breaks: "a request without an answer is not retried",
    file: "packages/core/src/internal/follow.ts",
    find: "return fail(new Unconfirmed({ runId, error: loss.error }))",
    replace: "return refused(loss.error)",
    test: "test/core/Start.test.ts",
    title: "a request without an answer leaves the run Unconfirmed: it is not sent again by itself"
  },
  {
    id: "refusal-retried-for-ever",
    guarantee: 7,
    breaks: "a request that was refused for good is not sent again",
    file: "packages/core/src/internal/follow.ts",
    find: "if (error.isRetryable &&",
    replace: "if (",
    test: "test/core/Start.test.ts"
  },
  {
    id: "other-input-accepted",
    guarantee: 7,
    breaks: "another input under the same id is refused",
    file: "packages/core/src/internal/openRun.ts",
    find: "record.digest !== known",
    replace: 'record.digest === ""',
    test: "test/core/Start.test.ts"
  },
  {
    id: "bad-gateway-bought-nothing",
    guarantee: 7,
    breaks: "a server error leaves open whether the work was bought",
    file: "packages/openai/src/internal/create.ts",
    find: "(status < 500 && status !== 408) ||",
    replace: "status > 0 ||",
    test: "test/openai/Create.test.ts",
    title: "a create request that is answered with an error"
  },
  {
    id: "unnamed-end-is-an-end",
    guarantee: 7,
    breaks: "a body that ends before it names the response leaves open whether the work was bought",
    file: "packages/openai/src/internal/create.ts",
    find: "Pull.catchDone(() => endedEarly)",
    replace: "Pull.catchDone(() => (named ? endedEarly : Cause.done()))",
    test: "test/openai/Create.test.ts",
    title: "a create stream that is cut"
  },
  {
    id: "billing-retried",
    guarantee: 7,
    breaks: "a request that was refused for billing is never retried",
    file: "packages/openai/src/internal/reasons.ts",
    find: 'code.startsWith("billing_") ||',
    replace: "",
    test: "test/openai/Retries.test.ts",
    title: "answered with"
  },
  {
    id: "tokens-counted-again",
    guarantee: 7,
    breaks: "the tokens of a run are counted once",
    file: "packages/core/src/internal/advance.ts",
    find: "counts: RunRecord.ended(record) === undefined",
    replace: "counts: true",
    test: "test/core/Telemetry.test.ts",
    title: "tokens are counted once, whoever reads along or again"
  },
  {
    id: "name-given-up",
    guarantee: 7,
    breaks: "the name of a response is not lost because the store is away",
    file: "packages/core/src/internal/advance.ts",
    find: 'held.persist("queued", [{ _tag: "Accepted"',
    replace: 'held.write("queued", [{ _tag: "Accepted"',
    test: "test/core/Start.test.ts",
    title: "is waited for, and the name is not lost: streamed"
  }
] satisfies ReadonlyArray<Mutant>
