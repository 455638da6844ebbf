import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "call-asked-alone",
    guarantee: 8,
    breaks: "it is asked about all calls of a response at once",
    file: "packages/core/src/RunEngine.ts",
    find: "turn, calls: fresh }",
    replace: "turn, calls: fresh.slice(0, 1) }",
    test: "test/core/RunEngine.test.ts",
    title: "row 14"
  },
  {
    id: "call-asked-again",
    guarantee: 8,
    breaks: "it is asked once whether a call may run",
    file: "packages/core/src/RunEngine.ts",
    find: "call.starts === 0 && call.allowed === undefined && call.decision === undefined",
    replace: "call.starts === 0 && call.decision === undefined",
    test: "test/core/RunEngine.test.ts",
    title: "row 14"
  },
  {
    id: "call-undecided-asked",
    guarantee: 8,
    breaks: "a call that waits for approval is not asked about again",
    file: "packages/core/src/RunEngine.ts",
    find: "if (isUndecided(call) || call.deferred",
    replace: "if (call.deferred",
    test: "test/core/RunEngine.test.ts",
    title: "row 15: calls that were allowed or approved run"
  },
  {
    id: "call-held-up",
    guarantee: 8,
    breaks: "a call that waits for approval does not hold up the others",
    file: "packages/core/src/RunEngine.ts",
    find: "if (starts.length > 0) return",
    replace: "if (starts.length > 0 && waits === undefined) return",
    test: "test/core/RunEngine.test.ts",
    title: "row 15: calls that were allowed or approved run"
  },
  {
    id: "call-name-of-any-turn",
    guarantee: 8,
    breaks: "a call of another turn that has the same id is another call",
    file: "packages/core/src/RunEngine.ts",
    find: "=> `${turn}:${callId}`",
    replace: "=> (turn < 0 ? `${turn}` : callId)",
    test: "test/core/RunEngine.test.ts",
    title: "row 15: calls that were allowed or approved run"
  },
  {
    id: "calls-at-once",
    guarantee: 8,
    breaks: "no more calls run at once than the agent allows",
    file: "packages/core/src/RunEngine.ts",
    find: "atOnce - busy.length",
    replace: "atOnce",
    test: "test/core/RunEngine.test.ts",
    title: "row 15: no more calls run at once"
  },
  {
    id: "call-cut-runs-again",
    guarantee: 8,
    breaks: "a call that was cut runs again only if its tool says so",
    file: "packages/core/src/RunEngine.ts",
    find: 'const cut = isCut ? onCut(call) : "again"',
    replace: 'const cut: string = isCut ? "again" : "again"',
    test: "test/core/RunEngine.test.ts",
    title: "row 15: a call that was cut"
  },
  {
    id: "call-never-late",
    guarantee: 8,
    breaks: "an approval and a result are too late at their time",
    file: "packages/core/src/RunEngine.ts",
    find: "latest <= now",
    replace: "latest < now",
    test: "test/core/RunEngine.test.ts",
    title: "row 16: an approval or a result that is too late"
  },
  {
    id: "call-asked-for-ever",
    guarantee: 8,
    breaks: "an approval can be too late",
    file: "packages/core/src/RunEngine.ts",
    find: "isUndecided(call) ? call.asked?.until : call.deferred?.until",
    replace: "call.deferred?.until",
    test: "test/core/RunEngine.test.ts",
    title: "row 16: an approval or a result that is too late"
  },
  {
    id: "call-late-while-busy",
    guarantee: 8,
    breaks: "an approval is too late at its time, also while another call runs",
    file: "packages/core/src/RunEngine.ts",
    find: "return { ...busyStep, ...timed }",
    replace: "return busyStep",
    test: "test/core/RunEngine.test.ts",
    title: "row 16: an approval or a result that is too late"
  },
  {
    id: "call-latest-time",
    guarantee: 8,
    breaks: "a run that waits for several calls is looked at when the first of them is too late",
    file: "packages/core/src/RunEngine.ts",
    find: ": Math.min(a, b)",
    replace: ": Math.max(a, b)",
    test: "test/core/RunEngine.test.ts",
    title: "row 16: else the run waits"
  },
  {
    id: "call-ends-beside-others",
    guarantee: 8,
    breaks: "a result that ends the run waits for the calls that are under way",
    file: "packages/core/src/RunEngine.ts",
    find: 'return busy.length > 0 ? busyStep : end("failed", state.unresolved, { reason: "tool" })',
    replace: 'return end("failed", state.unresolved, { reason: "tool" })',
    test: "test/core/RunEngine.test.ts",
    title: "row 16: a result that ends the run"
  },
  {
    id: "call-defect-goes-on",
    guarantee: 8,
    breaks: "a defect of a handler ends the run",
    file: "packages/core/src/RunEngine.ts",
    find: "result?.ends !== undefined",
    replace: 'result?.ends === "failed"',
    test: "test/core/RunEngine.test.ts",
    title: "row 16: a result that ends the run"
  },
  {
    id: "call-of-the-provider-runs",
    guarantee: 8,
    breaks: "a call that the provider runs is done here once it is decided",
    file: "packages/core/src/RunState.ts",
    find: "(provider === true && (decision !== undefined || allowed !== undefined))",
    replace: "(provider === true && decision !== undefined && allowed !== undefined)",
    test: "test/core/RunEngine.test.ts",
    title: "row 16: a call that the provider runs"
  },
  {
    id: "limit-exceeded",
    guarantee: 8,
    breaks: "a turn is not opened when a limit is reached",
    file: "packages/core/src/RunEngine.ts",
    find: "Used.left(state, context, name) <= 0",
    replace: "Used.left(state, context, name) < 0",
    test: "test/core/RunEngine.test.ts",
    title: "row 17: a run whose next turn"
  },
  {
    id: "limit-of-cost",
    guarantee: 8,
    breaks: "the limit of cost counts",
    file: "packages/core/src/RunEngine.ts",
    find: '["turns", "tokens", "time", "cost"]',
    replace: '["turns", "tokens", "time"]',
    test: "test/core/RunEngine.test.ts",
    title: "row 17: tokens and costs"
  },
  {
    id: "limit-lowered",
    guarantee: 8,
    breaks: "a limit is raised, and never lowered",
    file: "packages/core/src/internal/record/used.ts",
    find: "Math.max(own, raised ?? own)",
    replace: "(raised ?? own)",
    test: "test/core/RunEngine.test.ts",
    title: "row 17: a run whose next turn"
  },
  {
    id: "limit-time-waits",
    guarantee: 8,
    breaks: "time in which a run waits for a result does not count",
    file: "packages/core/src/internal/record/used.ts",
    find: "deferred?.at ?? result?.at",
    replace: "result?.at",
    test: "test/core/RunEngine.test.ts",
    title: "row 17: time"
  },
  {
    id: "limit-time-twice",
    guarantee: 8,
    breaks: "time in which two calls run at once counts once",
    file: "packages/core/src/internal/record/used.ts",
    find: "Math.max(from, reached)",
    replace: "from",
    test: "test/core/RunEngine.test.ts",
    title: "row 17: time"
  },
  {
    id: "limit-calls-again",
    guarantee: 8,
    breaks: "a call that was cut counts once",
    file: "packages/core/src/RunEngine.ts",
    find: "...first.slice(0, Math.max(0, left))]",
    replace: "...first].slice(0, Math.max(0, left))",
    test: "test/core/RunEngine.test.ts",
    title: "row 17: calls are counted"
  },
  {
    id: "limit-calls-unnamed",
    guarantee: 8,
    breaks: "a run that waits for a limit says which",
    file: "packages/core/src/RunEngine.ts",
    find: 'for: "limit", turn, limit: "toolCalls", ...timed',
    replace: 'for: "limit", turn, ...timed',
    test: "test/core/RunEngine.test.ts",
    title: "row 17: calls are counted"
  }
] satisfies ReadonlyArray<Mutant>
