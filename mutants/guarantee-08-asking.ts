import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "tool-start-after-handler",
    guarantee: 8,
    breaks: "a handler starts after the start of its call is recorded",
    edits: [
      {
        file: "packages/core/src/internal/calls/acting.ts",
        find: 'if ((yield* held.decide(facts)) === "moved") return',
        replace: 'yield* runner.start(found, turn, starts); if ((yield* held.decide(facts)) === "moved") return'
      },
      {
        file: "packages/core/src/internal/calls/acting.ts",
        find: "yield* runner.start(found, turn, still)",
        replace: "yield* Effect.succeed(still)"
      }
    ],
    test: "test/core/ToolsFacts.test.ts",
    title: "comes after the record of it"
  },
  {
    id: "tool-result-told-unrecorded",
    guarantee: 8,
    breaks: "a result is told after it is recorded",
    file: "packages/core/src/internal/hold/heldRun.ts",
    find: "return Effect.map(Observe.record(this.run, fact, seen), (facts) => { if (journal.merge(seen, facts)) this.moves() })",
    replace:
      "if (journal.merge(seen, [{ ...fact, at: 0 } as Fact])) this.moves(); return Effect.asVoid(Observe.record(this.run, fact, seen))",
    test: "test/core/ToolsFacts.test.ts",
    title: "comes after the record of it"
  },
  {
    id: "tool-starts-with-result",
    guarantee: 8,
    breaks: "a call with a result does not run again",
    file: "packages/core/src/internal/calls/acting.ts",
    find: "now === undefined || isDone(now) || now.deferred !== undefined",
    replace: "now === undefined || now.deferred !== undefined",
    test: "test/core/ToolsFacts.test.ts",
    title: "does not begin if a result came"
  },
  {
    id: "tool-starts-deferred",
    guarantee: 8,
    breaks: "a call whose result was deferred is not run again",
    file: "packages/core/src/internal/calls/acting.ts",
    find: "isDone(now) || now.deferred !== undefined",
    replace: "isDone(now)",
    test: "test/core/ToolsFacts.test.ts",
    title: "X11: does not begin if a deferral came"
  },
  {
    id: "tool-runs-after-loss",
    guarantee: 8,
    breaks: "a process that learns that it lost its lease interrupts its handlers",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "this.held.lost.whenFired(() => this.interrupt)",
    replace: "this.held.lost.whenFired(() => Effect.void)",
    test: "test/core/ToolsFacts.test.ts",
    title: "the consumer has a result in hand"
  },
  {
    id: "tool-leaves-slowly-after-loss",
    guarantee: 8,
    breaks: "a process that learns that it lost its lease gives its handlers no more time",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "Effect.raceFirst(this.ended, lost)",
    replace: "this.ended",
    test: "test/core/ToolsFacts.test.ts",
    title: "the consumer takes updates"
  },
  {
    id: "tool-runs-after-deferral",
    guarantee: 8,
    breaks: "a handler that answers later is interrupted once that is recorded",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "yield* Fiber.interrupt(handler)",
    replace: "",
    test: "test/core/ToolsFacts.test.ts",
    title: "ends if its process lost the run"
  },
  {
    id: "tool-again-after-refusal",
    guarantee: 8,
    breaks: "a call whose result the store refused is not run again by its process",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "if (this.failure === undefined) held.underWay.delete(name)",
    replace: "held.underWay.delete(name)",
    test: "test/core/ToolsFacts.test.ts",
    title: "is not done again if the store refuses its result"
  },
  {
    id: "tool-all-at-once",
    guarantee: 8,
    breaks: "no more handlers run at once than the agent allows",
    file: "packages/core/src/internal/run/deciding.ts",
    find: "...(agent.toolConcurrency === undefined ? {} : { atOnce: agent.toolConcurrency }),",
    replace: "",
    test: "test/core/ToolsFacts.test.ts",
    title: "is done by as many handlers at once"
  },
  {
    id: "tool-policy-fails-open",
    guarantee: 8,
    breaks: "a call waits for approval if the policy fails",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "Effect.suspend(() => policy(request)), ToolPolicy.ask()",
    replace: "Effect.suspend(() => policy(request)), byItself",
    test: "test/core/ToolsAsked.test.ts",
    title: "asks a person, also about a tool that needs no approval"
  },
  {
    id: "tool-needs-fails-open",
    guarantee: 8,
    breaks: "a call waits for approval if its tool cannot say whether it needs it",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "orElse(provided(asked, found.context), true)",
    replace: "orElse(provided(asked, found.context), false)",
    test: "test/core/ToolsAsked.test.ts",
    title: "waits for a person"
  },
  {
    id: "tool-needs-undecoded",
    guarantee: 8,
    breaks: "a tool is asked about decoded parameters",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "const answer = needs(given.value,",
    replace: "const answer = needs(params as never,",
    test: "test/core/ToolsAsked.test.ts",
    title: "gets the decoded parameters"
  },
  {
    id: "tool-unfit-parameters-asked",
    guarantee: 8,
    breaks: "nobody is asked about parameters that do not decode",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "if (Option.isNone(given)) return Effect.succeed(false)",
    replace: "if (Option.isNone(given)) return Effect.succeed(true)",
    test: "test/core/ToolsAsked.test.ts",
    title: "is not asked about parameters that do not decode"
  },
  {
    id: "tool-policy-asked-again",
    guarantee: 8,
    breaks: "the policy is asked once, also if its answer could not be recorded at first",
    file: "packages/core/src/internal/calls/acting.ts",
    find: "if (known !== undefined) return Effect.succeed(known)",
    replace: "",
    test: "test/core/ToolsAsked.test.ts",
    title: "is asked once, also if a fact of others comes"
  },
  {
    id: "tool-policy-without-time",
    guarantee: 8,
    breaks: "the policy says how long a call waits for approval",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "decision.time ?? optionsOf(run.agent, name).approvalTime",
    replace: "optionsOf(run.agent, name).approvalTime ?? decision.time",
    test: "test/core/ToolsAsked.test.ts",
    title: "says how long a call waits for approval"
  },
  {
    id: "tool-result-before-start",
    guarantee: 8,
    breaks: "a call that was not started takes no result",
    file: "packages/core/src/internal/verbs/answering.ts",
    find: 'call.starts === 0 && call.decision?._tag !== "Rejected"',
    replace: "call.starts < 0",
    test: "test/core/ToolsAsked.test.ts",
    title: "takes no result"
  },
  {
    id: "tool-result-after-rejection",
    guarantee: 8,
    breaks: "a call that was rejected takes no result",
    file: "packages/core/src/internal/verbs/answering.ts",
    find: 'if (call.decision?._tag === "Rejected") return yield* already(run, callId, call.decision)',
    replace: "",
    test: "test/core/ToolsAsked.test.ts",
    title: "takes no result"
  }
] satisfies ReadonlyArray<Mutant>
