import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "redis-script-not-sent-again",
    guarantee: 14,
    breaks: "a script that the Redis server forgot is sent again",
    file: "packages/redis/src/internal/redisFailure.ts",
    find: "/\\bNOSCRIPT\\b/",
    replace: "/\\bNEVER\\b/",
    test: "test/redis/Layout.test.ts",
    title: "a script that the server forgot is sent again"
  },
  {
    id: "never-set-aside",
    guarantee: 14,
    breaks: "a run that fails its handler too often is parked",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "outcome.forGood || attempts >= handling.maxAttempts",
    replace: "outcome.forGood",
    test: "test/core/Workers.test.ts",
    title: "try a run again that failed handle, from its last position, and park it in the end"
  },
  {
    id: "stop-counts",
    guarantee: 14,
    breaks: "a worker that stops counts no attempt against its runs",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: 'attempt: "back",',
    replace: 'attempt: "keep",',
    test: "test/core/WorkersLeaving.test.ts",
    title: "count no attempt against a run that says nothing while they come and go"
  },
  {
    id: "refusal-counted",
    guarantee: 14,
    breaks: "what the provider or the store refuses is not counted against a run",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: 'default: return { _tag: "Left" }',
    replace: 'default: return { _tag: "Failed", reason: error.message, forGood: false }',
    test: "test/core/WorkersEnds.test.ts",
    title: "leave alone what the provider refuses them, without counting it"
  },
  {
    id: "progress-not-counted",
    guarantee: 14,
    breaks: "a run that makes progress has its attempts counted from zero again",
    file: "packages/core/src/RunKernel.ts",
    find: "attempts: own.length === record.attempts.length ? record.attempts : own",
    replace: "attempts: record.attempts",
    test: "test/core/Workers.test.ts",
    title: "count attempts in one place only: who comes further begins again"
  },
  {
    id: "set-aside-taken",
    guarantee: 14,
    breaks: "workers leave alone what is parked",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "due: Duration.infinity, parked:",
    replace: "due: Duration.zero, parked:",
    test: "test/core/Workers.test.ts",
    title: "try a run again that failed handle, from its last position, and park it in the end"
  },
  {
    id: "X15",
    guarantee: 14,
    breaks: "a run that is over is work until its consumer is done with it",
    file: "packages/core/src/RunEngine.ts",
    find: "context.handled && !state.delivered ?",
    replace: "context.handled && state.delivered ?",
    test: "test/core/SchedulesFacts.test.ts",
    title: "X15: a run that is over, but not delivered, is finished by the next worker"
  },
  {
    id: "E4a",
    guarantee: 14,
    breaks: "what the provider does not answer is not counted against a run",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: 'default: return { _tag: "Left" }',
    replace: 'default: return { _tag: "Failed", reason: error.message, forGood: false }',
    test: "test/core/WorkersAttempts.test.ts",
    title: "E4a: none counts"
  },
  {
    id: "E4b",
    guarantee: 14,
    breaks: "a worker that stops in the middle of handle gives its attempt back",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: 'attempt: "back", ...rest,',
    replace: 'attempt: "keep", ...rest,',
    test: "test/core/WorkersAttempts.test.ts",
    title: "E4b: none counts"
  },
  {
    id: "E4c",
    guarantee: 14,
    breaks: "a claim whose answer never came gives its attempts back",
    file: "packages/core/src/internal/worker/worker.ts",
    find: 'store.release(lease, { seen: record.journal.length, due: Duration.zero, attempt: "back" })',
    replace: 'store.release(lease, { seen: record.journal.length, due: Duration.zero, attempt: "keep" })',
    test: "test/core/Claiming.test.ts",
    title: "interrupted"
  },
  {
    id: "store-dies",
    guarantee: 14,
    breaks: "a store that dies is one that is away: its operations are asked for again, and it is named",
    file: "packages/core/src/internal/primitives/died.ts",
    find: "Cause.hasDies(cause) &&",
    replace: "Cause.hasInterruptsOnly(cause) &&",
    test: "test/core/DyingStore.test.ts"
  },
  {
    id: "store-throws",
    guarantee: 14,
    breaks: "a store that throws when it is called is one that is away",
    file: "packages/core/src/internal/primitives/died.ts",
    find: "Effect.suspend(call)",
    replace: "call()",
    test: "test/core/DyingStore.test.ts",
    title: "a store that throws"
  },
  {
    id: "interrupted-store-fails",
    guarantee: 14,
    breaks: "an interruption of a store's operation stays one, also if the store dies of it",
    file: "packages/core/src/internal/primitives/died.ts",
    find: "&& !Cause.hasInterrupts(cause)",
    replace: "",
    test: "test/core/DyingStore.test.ts",
    title: "a store that is interrupted"
  },
  {
    id: "background-work-dies",
    guarantee: 14,
    breaks: "what is done for a run again and again is done again if it died",
    file: "packages/core/src/internal/hold/repeated.ts",
    find: "return this.wait",
    replace: "return undefined",
    test: "test/core/DyingStore.test.ts",
    title: "a logger that dies"
  }
] satisfies ReadonlyArray<Mutant>
