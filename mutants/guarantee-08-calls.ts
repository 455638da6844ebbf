import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "tool-deferral-not-recorded",
    guarantee: 8,
    breaks: "a call whose result was deferred is not run again",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: 'yield* record({ _tag: "ToolDeferred"',
    replace: 'yield* Effect.succeed({ _tag: "ToolDeferred"',
    test: "test/core/ToolsSchedules.test.ts",
    title: "X11: a call whose handler answers later"
  },
  {
    id: "tool-result-under-lease",
    guarantee: 8,
    breaks: "a process that lost its lease records the result of its handler",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "held.observe({ ...held.own(fact), incarnation }).pipe(",
    replace: "held.decide([fact]).pipe(",
    test: "test/core/ToolsSchedules.test.ts",
    title: "X12: of two results of one call"
  },
  {
    id: "tool-left-at-once",
    guarantee: 8,
    breaks: "a handler gets closeTimeout to end if its stream is left",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "Effect.interruptible(Effect.raceFirst(this.ended, lost))",
    replace: "Effect.void",
    test: "test/core/ToolsScenarios.test.ts",
    title: "cut during a tool: the handler gets closeTimeout"
  },
  {
    id: "tool-key-of-attempt",
    guarantee: 8,
    breaks: "all attempts of a call have one idempotency key",
    file: "packages/core/src/internal/calls/runHandler.ts",
    find: "idempotencyKey: approvalId(runId, turn, callId)",
    replace: "idempotencyKey: `${approvalId(runId, turn, callId)}:${attempt}`",
    test: "test/core/ToolsScenarios.test.ts",
    title: "cut during a tool that takes longer"
  },
  {
    id: "tool-on-cut-ignored",
    guarantee: 8,
    breaks: "onCut says what becomes of a call whose process died",
    file: "packages/core/src/internal/run/deciding.ts",
    find: 'optionsOf(agent, name).onCut ?? "again"',
    replace: '(optionsOf(agent, name).onCut === undefined ? "again" : "again")',
    test: "test/core/ToolsMore.test.ts",
    title: "wait: what happens to a call whose process died"
  },
  {
    id: "tool-too-large-kept",
    guarantee: 8,
    breaks: "a result that is larger than the policy allows is not recorded",
    file: "packages/core/src/internal/tools/recorded.ts",
    find: "return bytes <= most",
    replace: "return bytes !== most",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a result that is too large"
  },
  {
    id: "tool-without-time-limit",
    guarantee: 8,
    breaks: "a handler that takes longer than the time limit of its tool is interrupted",
    file: "packages/core/src/internal/calls/runHandler.ts",
    find: "limit === undefined ? kept",
    replace: "limit !== null ? kept",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a tool that takes longer than its time limit"
  },
  {
    id: "tool-handlers-shared",
    guarantee: 8,
    breaks: "the handlers of an agent are its own",
    file: "packages/core/src/internal/tools/handlers.ts",
    find: "`@effect-baton/core/Agent/Handlers/${agent}`",
    replace: '(agent === "" ? agent : `@effect-baton/core/Agent/Handlers`)',
    test: "test/core/ToolsMore.test.ts",
    title: "of two agents with a tool of one name"
  },
  {
    id: "tool-arguments-in-span",
    guarantee: 8,
    breaks: "the arguments of a call are not in its span",
    file: "packages/core/src/internal/calls/runHandler.ts",
    find: "Tracer.ParentSpan, withoutParameters(span)",
    replace: "Tracer.ParentSpan, span",
    test: "test/core/ToolsMore.test.ts",
    title: "leave no argument and no result in a trace"
  },
  {
    id: "tool-missing-not-parked",
    guarantee: 8,
    breaks: "a run whose handler is missing is parked",
    file: "packages/core/src/internal/calls/acting.ts",
    find: "held.leaveAs({ due: Duration.infinity, parked: error.reason.message })",
    replace: "held.leaveAs({ due: Duration.infinity })",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a handler that is missing parks the run"
  },
  {
    id: "tool-unknown-unanswered",
    guarantee: 8,
    breaks: "the next request answers each call of the response, also that of a tool that the agent does not have",
    file: "packages/core/src/internal/advance/turnRequest.ts",
    find: "content: calls.map((call) => answerOf(run, call))",
    replace: "content: calls.filter(({ external }) => !external).map((call) => answerOf(run, call))",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a call of a tool that the agent does not have"
  },
  {
    id: "tool-turns-before-lost",
    guarantee: 8,
    breaks: "where the provider keeps no response, each turn sends all turns before it",
    file: "packages/core/src/internal/run/responseEnd.ts",
    find: "...(carry === undefined ? {} : { carry }),",
    replace: "",
    test: "test/core/ToolsMore.test.ts",
    title: "where the provider keeps no response"
  },
  {
    id: "tool-second-result-accepted",
    guarantee: 8,
    breaks: "a second result of a call that differs from the first is refused",
    file: "packages/core/src/internal/verbs/answering.ts",
    find: "a.isFailure === b.isFailure && Equal.equals(a.result, b.result)",
    replace: "a.isFailure === b.isFailure",
    test: "test/core/ToolsMore.test.ts",
    title: "are checked: what does not fit"
  },
  {
    id: "tool-result-of-another",
    guarantee: 8,
    breaks: "a result is encoded by the tool that was called",
    file: "packages/core/src/internal/verbs/answering.ts",
    find: "toolOf(agent, call.name) !== toolOf(agent, ref.tool)",
    replace: "toolOf(agent, ref.tool) === undefined",
    test: "test/core/ToolsMore.test.ts",
    title: "are checked: what does not fit"
  },
  {
    id: "tool-contrary-accepted",
    guarantee: 8,
    breaks: "the contrary of a decision is refused",
    file: "packages/core/src/internal/verbs/answering.ts",
    find: "decision !== undefined && decision._tag !== tag",
    replace: "decision === undefined",
    test: "test/core/ToolsScenarios.test.ts",
    title: "two approvals of one call"
  },
  {
    id: "tool-approval-without-time",
    guarantee: 8,
    breaks: "an approval can be too late",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "...(Number.isFinite(until) ? { until } : {})",
    replace: "",
    test: "test/core/ToolsScenarios.test.ts",
    title: "an approval past its time is a rejection"
  },
  {
    id: "tool-later-without-time",
    guarantee: 8,
    breaks: "a result that was deferred can be too late",
    file: "packages/core/src/internal/calls/toolRunner.ts",
    find: "yield* expiryOf(yield* Deferred.await(later))",
    replace: "yield* Effect.as(Deferred.await(later), {})",
    test: "test/core/ToolsScenarios.test.ts",
    title: "a result that comes later, in time or too late"
  },
  {
    id: "tool-provider-always-approved",
    guarantee: 8,
    breaks: "the provider gets the answer of the person",
    file: "packages/core/src/internal/advance/turnRequest.ts",
    find: 'approved: decision?._tag !== "Rejected"',
    replace: "approved: true",
    test: "test/openai/ToolsLoop.test.ts",
    title: "waits for approval, and the provider gets the answer: false"
  },
  {
    id: "tool-provider-not-asked",
    guarantee: 8,
    breaks: "a call of which the provider asks whether it may run waits for a person",
    file: "packages/core/src/internal/calls/asking.ts",
    find: "call.provider === true || tool === undefined || found === undefined ? true",
    replace: "call.provider === true || tool === undefined || found === undefined ? call.provider !== true",
    test: "test/openai/ToolsLoop.test.ts",
    title: "waits for approval, and the provider gets the answer: false"
  }
] satisfies ReadonlyArray<Mutant>
