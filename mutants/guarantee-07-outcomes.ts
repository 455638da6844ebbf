import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "X3",
    guarantee: 7,
    breaks: "who lost the run still records that its request was refused",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "return refuse(outcome.error).pipe(",
    replace: "return (held.gone() === undefined ? refuse(outcome.error) : Effect.void).pipe(",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X3: who lost the run still records that its request was refused"
  },
  {
    id: "X4",
    guarantee: 7,
    breaks: "an intent is withdrawn though the run was lost",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "Effect.onError(() => withdraw)",
    replace: "Effect.onError(() => held.gone() === undefined ? withdraw : Effect.void)",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X4: an intent whose answer was lost is withdrawn"
  },
  {
    id: "X5",
    guarantee: 7,
    breaks: "two workers never give two tries one name",
    file: "packages/core/src/internal/hold/heldRun.ts",
    find: "${this.held.lease.fence}.${++this.tries}",
    replace: "1.${++this.tries}",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X5: what is said of a try of one worker is not said of that of another"
  },
  {
    id: "X6",
    guarantee: 7,
    breaks: "an intent whose answer was lost is withdrawn",
    file: "packages/core/src/internal/advance/opening.ts",
    find: ".pipe(Effect.onError(() => withdraw))",
    replace: "",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X6: an intent whose answer was lost does not look like a stranger's"
  },
  {
    id: "X7a",
    guarantee: 7,
    breaks: "a refusal names its try",
    file: "packages/core/src/RunState.ts",
    find: "[...requested].filter((name) => !answered.has(name))",
    replace: "[...requested].filter(() => answered.size === 0)",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X7: a refusal names its try"
  },
  {
    id: "X16",
    guarantee: 7,
    breaks: "the first response that is recorded is the turn's",
    file: "packages/core/src/RunState.ts",
    find: "turn.winner ??= fact",
    replace: "turn.winner = fact",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X16: the first response that is recorded is the turn's"
  },
  {
    id: "X17",
    guarantee: 7,
    breaks: "a fact of a run that was removed is not one of another run of the same id",
    file: "packages/core/src/RunKernel.ts",
    find: "incarnation === record.incarnation ||",
    replace: "incarnation > 0 ||",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X17: a response of a run that was removed is not read by another of the same id"
  },
  {
    id: "X18",
    guarantee: 7,
    breaks: "a response of a run that was removed is cancelled and deleted by whoever bought it",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "Effect.andThen(abandon(run, fact), Effect.fail(",
    replace: "Effect.andThen(Effect.void, Effect.fail(",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X18: a response of a run that was removed is cancelled and deleted by whoever bought it"
  },
  {
    id: "X22",
    guarantee: 7,
    breaks: "a retry forgets nothing that was bought before it",
    file: "packages/core/src/RunState.ts",
    find: "accepted.push(fact)",
    replace: "if (fact.incarnation === incarnation) accepted.push(fact)",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X22: a retry keeps the journal, and cancels what was bought before it"
  },
  {
    id: "X23b",
    guarantee: 7,
    breaks: "an intent is not written over a response that others recorded",
    edits: [
      {
        file: "packages/core/src/RunKernel.ts",
        find: "guard && (added.length > 0 || isFurther) && record.journal.length > seen",
        replace: "guard && record.journal.length < 0"
      },
      {
        file: "packages/core/src/internal/advance/opening.ts",
        find: "|| state.turns[turn]?.winner !== undefined) {",
        replace: ") {"
      }
    ],
    test: "test/core/SchedulesRequests.test.ts",
    title: "X23: an intent is not written over a response that others recorded"
  },
  {
    id: "X25",
    guarantee: 7,
    breaks: "a response is adopted in one step",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: '{ _tag: "Accepted", by: "adopt", turn: 0, responseId, streamed: model.capabilities.resume }',
    replace: "",
    test: "test/core/SchedulesRequests.test.ts",
    title: "X25: a response is adopted in one step"
  },
  {
    id: "E2a",
    guarantee: 7,
    breaks: "the name of a response is recorded by whoever knows it, without a lease",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "return held.observe(fact).pipe(",
    replace: "return Effect.asVoid(held.decide([fact])).pipe(",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "E2a: comes after the run was stolen"
  },
  {
    id: "E2a-left",
    guarantee: 7,
    breaks: "who is interrupted waits for the answer to its request",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "Effect.timeoutOption(Fiber.await(fiber), run.policy.closeTimeout)",
    replace: "Effect.interruptible(Effect.timeoutOption(Fiber.await(fiber), run.policy.closeTimeout))",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "E2a: is waited for by who is interrupted"
  },
  {
    id: "E2a-told",
    guarantee: 7,
    breaks: "who lost its run while its request was under way tells what was bought",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "errorOf(run)(first.reason) : first",
    replace: "first : first",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "the error tells it"
  },
  {
    id: "E2b",
    guarantee: 7,
    breaks: "an error tells the response that was bought",
    file: "packages/core/src/internal/run/openRun.ts",
    find: "...(known.responseId === undefined ? {} : { responseId: known.responseId }),",
    replace: "",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "E2b"
  },
  {
    id: "E2b-log",
    guarantee: 7,
    breaks: "the log tells a response that could not be recorded when its run is left",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "Effect.onInterrupt(() => forgotten(run, responseId)),",
    replace: "",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "E2b: cannot be recorded by who is interrupted"
  },
  {
    id: "E2b-refused",
    guarantee: 7,
    breaks: "the log tells a response that the store refused for good",
    file: "packages/core/src/internal/advance/opening.ts",
    find: 'Effect.tapError((error) => (error._tag === "Gone" ? Effect.void : forgotten(run, responseId))),',
    replace: "",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "E2b: is refused by the store for good"
  },
  {
    id: "E2b-known",
    guarantee: 7,
    breaks: "an error about a run that is known tells its response",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "run.known.responseId = lastResponse(known)",
    replace: "",
    test: "test/core/OutcomesOfRequests.test.ts",
    title: "E2b: stands in the error"
  },
  {
    id: "E7b",
    guarantee: 7,
    breaks: "a refusal is recorded though the store is away for a while",
    file: "packages/core/src/internal/hold/observe.ts",
    find: "Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }),",
    replace: "",
    test: "test/core/OutcomesOfRefusals.test.ts",
    title: "E7b: for good"
  },
  {
    id: "E7b-intent",
    guarantee: 7,
    breaks: "an intent whose answer was lost is withdrawn",
    file: "packages/core/src/internal/advance/opening.ts",
    find: ".pipe(Effect.onError(() => withdraw))",
    replace: "",
    test: "test/core/OutcomesOfRefusals.test.ts",
    title: "E7b: an intent"
  }
] satisfies ReadonlyArray<Mutant>
