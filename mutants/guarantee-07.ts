import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "intent-not-recorded",
    guarantee: 7,
    breaks: "the intent is recorded before the request",
    file: "packages/core/src/internal/advance/opening.ts",
    find: 'yield* held.decide([{ _tag: "Requested", turn, try: name }]).pipe(Effect.onError(() => withdraw))',
    replace: '"written" as string',
    test: "test/core/Start.test.ts",
    title: "records the intent before the request, and the response's name before anything is delivered"
  },
  {
    id: "unconfirmed-sent-again",
    guarantee: 7,
    breaks: "a request that may have been accepted is not sent again by itself",
    file: "packages/core/src/RunEngine.ts",
    find: 'context.onUnconfirmed === "fail"',
    replace: 'context.onUnconfirmed !== "fail"',
    test: "test/core/Start.test.ts",
    title: "a request without an answer leaves the run Unconfirmed: it is not sent again by itself"
  },
  {
    id: "unanswered-create-retried",
    guarantee: 7,
    breaks: "a request without an answer is not retried",
    file: "packages/core/src/internal/follow/request.ts",
    find: '? { _tag: "Unknown", error: error.error }',
    replace: '? { _tag: "Refused", error: error.error }',
    test: "test/core/Start.test.ts",
    title: "a request without an answer leaves the run Unconfirmed: it is not sent again by itself"
  },
  {
    id: "refusal-retried-for-ever",
    guarantee: 7,
    breaks: "a request that was refused for good is not sent again",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "final: !error.isRetryable",
    replace: "final: false",
    test: "test/core/Start.test.ts",
    title: "as failed, with the provider's reason, at once"
  },
  {
    id: "other-input-accepted",
    guarantee: 7,
    breaks: "another input under the same id is refused",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "known.digest !== digest",
    replace: 'known.digest === ""',
    test: "test/core/Start.test.ts",
    title: "another input or session under the same id is refused, and buys nothing"
  },
  {
    id: "bad-gateway-bought-nothing",
    guarantee: 7,
    breaks: "a server error leaves open whether the work was bought",
    file: "packages/openai/src/internal/create.ts",
    find: "(status < 500 && status !== 408 && status !== 303) ||",
    replace: "status > 0 ||",
    test: "test/openai/Create.test.ts",
    title: "a create request that is answered with an error"
  },
  {
    id: "unnamed-end-is-an-end",
    guarantee: 7,
    breaks: "a body that ends before it names the response leaves open whether the work was bought",
    file: "packages/openai/src/internal/create.ts",
    find: "Cause.isDone(reason.error) ? endedEarly(reading)",
    replace: "Cause.isDone(reason.error) ? ({} as never)",
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
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "counts: (responseId) => held.state().turns.every(({ end }) => end?.responseId !== responseId)",
    replace: "counts: () => true",
    test: "test/core/Telemetry.test.ts",
    title: "tokens are counted once, whoever reads along or again"
  },
  {
    id: "name-given-up",
    guarantee: 7,
    breaks: "the name of a response is not lost because the store is away",
    file: "packages/core/src/internal/hold/observe.ts",
    find: "Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }),",
    replace: "",
    test: "test/core/Start.test.ts",
    title: "is waited for, and the name is not lost: stream"
  },
  {
    id: "facts-counted-twice",
    guarantee: 7,
    breaks: "a fact that is written twice counts once",
    file: "packages/core/src/RunState.ts",
    find: "isAgain(fact)) continue",
    replace: "isAgain(fact)) {}",
    test: "test/core/RunState.test.ts",
    title: "is the same after a fact whose key is in the journal"
  },
  {
    id: "late-facts-count",
    guarantee: 7,
    breaks: "a fact of an earlier incarnation changes nothing of a turn that was opened again",
    file: "packages/core/src/RunState.ts",
    find: "if (fact.incarnation !== owner(fact.turn)) return undefined",
    replace: "if (fact.incarnation > owner(fact.turn)) return undefined",
    test: "test/core/RunState.test.ts",
    title: "changes nothing but what is loose and unresolved"
  },
  {
    id: "silent-tries-for-ever",
    guarantee: 7,
    breaks: "a turn takes a bounded number of requests, also if nobody answers",
    file: "packages/core/src/RunEngine.ts",
    find: "refusal?.final === true || tries >= maxTries",
    replace: "refusal?.final === true || (refusal !== undefined && tries >= maxTries)",
    test: "test/core/RunEngine.test.ts",
    title: "row 7"
  },
  {
    id: "E17-remove-try",
    guarantee: 7,
    breaks: "a run whose response the provider does not delete can be forgotten",
    file: "packages/core/src/internal/verbs/remove.ts",
    find: 'yield* provider === "require" ? removed',
    replace: 'yield* provider !== "keep" ? removed',
    test: "test/core/Remove.test.ts",
    title: "E17: if the provider does not delete a response"
  },
  {
    id: "retry-buys-twice",
    guarantee: 7,
    breaks: "a run that may have been bought is opened again only by who says that it may be bought twice",
    file: "packages/core/src/internal/verbs/retry.ts",
    find: "if (isUnconfirmed && options.mayBuyTwice !== true) return yield* fail(new Unconfirmed({}))",
    replace: "",
    test: "test/core/Retry.test.ts",
    title: "opens a run that is unconfirmed only if told that it may buy twice"
  },
  {
    id: "retry-other-input",
    guarantee: 7,
    breaks: "a run is opened again with the input that it was started with",
    file: "packages/core/src/internal/verbs/retry.ts",
    find: "if (record.digest !== undefined && record.digest !== task.digest) {",
    replace: "if (task.digest === undefined) {",
    test: "test/core/Retry.test.ts",
    title: "refuses another input"
  },
  {
    id: "adopt-taken",
    guarantee: 7,
    breaks: "a response is not taken over under the id of another run",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "if (known.agent !== agent.name || !RunState.responseIds(known).includes(responseId)) {",
    replace: "if (record.agent === '') {",
    test: "test/core/Retry.test.ts",
    title: "under an id that another run has is refused"
  },
  {
    id: "E9-event",
    guarantee: 7,
    breaks: "a refusal in the first event of a stream is one",
    file: "packages/openai/src/internal/create.ts",
    find: "isRefusal(said) ? error : unconfirmed(error)",
    replace: "unconfirmed(error)",
    test: "test/openai/Refusals.test.ts"
  },
  {
    id: "E9-broken",
    guarantee: 7,
    breaks: "a refusal counts also if the connection breaks after it",
    file: "packages/openai/src/internal/create.ts",
    find: "Effect.fail(refusal ??",
    replace: "Effect.fail(",
    test: "test/openai/Refusals.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
