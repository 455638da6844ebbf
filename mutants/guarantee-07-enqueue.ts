import type { Mutant } from "./Mutant.ts"

// Runs that wait in the store, and what is asked of all runs.
export default [
  {
    id: "enqueue-not-handled",
    guarantee: 7,
    breaks: "a run that waits in the store is promised to a worker's consumer",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "handled: true,",
    replace: "",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-at-once",
    guarantee: 7,
    breaks: "a run is opened at its time, and not before",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "      due,\n",
    replace: "      due: Duration.zero,\n",
    test: "test/core/EnqueuedWork.test.ts",
    title: "workers leave it alone until its time"
  },
  {
    id: "enqueue-no-limit",
    guarantee: 7,
    breaks: "an input that is too large is refused, and nothing is recorded",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "bytes > policy.maxInput",
    replace: "bytes < 0",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-counts-characters",
    guarantee: 7,
    breaks: "the size of an input is that of its bytes",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "bytesOf(text)",
    replace: "text.length",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-keeps-always",
    guarantee: 7,
    breaks: "an input is kept only as long as was said",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: 'options.keepInput ?? "ended"',
    replace: '"ended" as const',
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-foreground",
    guarantee: 7,
    breaks: "a run that waits in the store runs in the background",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "agent.background ?? true",
    replace: "agent.background ?? false",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-other-task",
    guarantee: 7,
    breaks: "another input under the same id is refused",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "known.digest !== digest",
    replace: 'known.digest === ""',
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-nobody-opens",
    guarantee: 7,
    breaks: "who enqueues is told that nobody will open the run",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "created ? undefined : stuck(run, record, time)",
    replace: "undefined",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "enqueue-bad-time",
    guarantee: 7,
    breaks: "a time that is none is refused",
    file: "packages/core/src/internal/verbs/enqueue.ts",
    find: "Number.isNaN(at)",
    replace: "at === undefined",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "worker-tries-in-vain",
    guarantee: 7,
    breaks: "a worker whose model cannot run it parks a run, and says why",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "if (unable !== undefined)",
    replace: "if (false)",
    test: "test/core/EnqueuedWork.test.ts",
    title: "a worker whose model cannot run it"
  },
  {
    id: "resume-model-unchecked",
    guarantee: 7,
    breaks: "a run is not continued by a model that cannot run it",
    file: "packages/core/src/internal/verbs/stream.ts",
    find: "Effect.tap(OpenRun.checkModel),",
    replace: "",
    test: "test/core/EnqueuedWork.test.ts",
    title: "a worker whose model cannot run it"
  },
  {
    id: "create-model-unchecked",
    guarantee: 7,
    breaks: "a run is not begun by a model that cannot run it",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "  yield* checkModel(run)\n",
    replace: "",
    test: "test/core/EnqueuedWork.test.ts",
    title: "a worker whose model cannot run it"
  },
  {
    id: "unopened-is-stuck",
    guarantee: 7,
    breaks: "a run whose input is kept can be opened by anybody",
    file: "packages/core/src/internal/run/deciding.ts",
    find: "hasInput: request !== undefined || input !== undefined",
    replace: "hasInput: request !== undefined",
    test: "test/core/Enqueue.test.ts"
  },
  {
    id: "ahead-stalls",
    guarantee: 7,
    breaks: "a run that waits for its time has not stalled",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "record.input !== undefined &&",
    replace: "record.input === null &&",
    test: "test/core/EnqueuedWork.test.ts",
    title: "result waits for its time"
  },
  {
    id: "ahead-never-stalls",
    guarantee: 7,
    breaks: "a run whose time has come may stall",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "record.due > time",
    replace: "record.due > 0",
    test: "test/core/EnqueuedWork.test.ts",
    title: "result waits for its time"
  },
  {
    id: "retry-wants-input",
    guarantee: 7,
    breaks: "a run whose input is kept is retried without it",
    file: "packages/core/src/internal/verbs/retry.ts",
    find: "(yield* held.firstRequest()) === undefined",
    replace: "given.request === undefined",
    test: "test/core/Enqueue.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
