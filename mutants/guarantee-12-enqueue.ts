import type { Mutant } from "./Mutant.ts"

// Runs that wait in the store, and what is asked of all runs.
export default [
  {
    id: "labels-unset",
    guarantee: 12,
    breaks: "labels come back",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "...(labels === undefined ? {} : { labels })",
    replace: "",
    test: "test/core/Labels.test.ts"
  },
  {
    id: "labels-unset-adopt",
    guarantee: 12,
    breaks: "labels of an adopted run come back",
    file: "packages/core/src/internal/verbs/newRun.ts",
    find: "...labels, ...toolsOf(agent), ...loggedBy(run) }, { facts",
    replace: "...toolsOf(agent), ...loggedBy(run) }, { facts",
    test: "test/core/Labels.test.ts"
  },
  {
    id: "labels-unchecked",
    guarantee: 12,
    breaks: "labels that are too many or too long are refused",
    file: "packages/core/src/internal/run/task.ts",
    find: "Schema.decodeUnknownResult(Labels)(labels)",
    replace: "Result.succeed(labels)",
    test: "test/core/Labels.test.ts"
  },
  {
    id: "wait-deaf",
    guarantee: 12,
    breaks: "who waits for a run looks when a hint comes",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "yield* hint(Effect.sleep(net), undefined)",
    replace: "yield* Effect.sleep(net)",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wait-without-net",
    guarantee: 12,
    breaks: "who waits for a run looks now and then without hints",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "yield* hint(Effect.sleep(net), undefined)",
    replace: "yield* hint(Effect.never, undefined)",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wait-gives-up",
    guarantee: 12,
    breaks: "who waits for a run waits out a store that is away",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "while: ({ isRetryable }) => isRetryable",
    replace: "while: () => false",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wait-for-ever",
    guarantee: 12,
    breaks: "who waits for a run that is gone is told",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "while: ({ isRetryable }) => isRetryable",
    replace: "while: () => true",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wait-silent",
    guarantee: 12,
    breaks: "the log says that the store is away",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "isRetryable\n      ? trouble",
    replace: "false\n      ? trouble",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wait-noisy",
    guarantee: 12,
    breaks: "the log says once that the store is away",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "  const trouble = new Trouble({ runId: id })\n  const look = Effect.tapError(readFrom(store, id), ({ isRetryable, message }) =>\n    isRetryable\n      ? trouble.",
    replace:
      "  const trouble = new Trouble({ runId: id })\n  const look = Effect.tapError(readFrom(store, id), ({ isRetryable, message }) =>\n    isRetryable\n      ? new Trouble({ runId: id }).",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wait-any-record",
    guarantee: 12,
    breaks: "who waits for something else than the end of a run gets it",
    file: "packages/core/src/internal/runs/wait.ts",
    find: "if (until(record))",
    replace: "if (hasEnded(record))",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "wake-silent",
    guarantee: 12,
    breaks: "a webhook wakes who waits",
    file: "packages/core/src/internal/runs/find.ts",
    find: "yield* Effect.mapError(store.wake(runId), failed(runId, agent))",
    replace: "",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "result-deaf",
    guarantee: 12,
    breaks: "who waits for a result looks when a hint comes",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "yield* hint(wait, true)",
    replace: "yield* wait",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "hint-lost-while-busy",
    guarantee: 12,
    breaks: "a hint that comes during a look counts for the next wait",
    file: "packages/core/src/internal/hold/hint.ts",
    find: "Effect.raceFirst(wait, Effect.as(come.await, early))",
    replace:
      "Effect.andThen(Effect.sync(() => come.closeUnsafe()), Effect.raceFirst(wait, Effect.as(come.await, early)))",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "hint-stays",
    guarantee: 12,
    breaks: "a hint counts once",
    file: "packages/core/src/internal/hold/hint.ts",
    find: ".pipe(Effect.ensuring(Effect.sync(() => come.closeUnsafe())))",
    replace: "",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "watch-deaf",
    guarantee: 12,
    breaks: "who watches a run looks when a hint comes",
    file: "packages/core/src/internal/watch/attached.ts",
    find: "yield* hint(pace.wait(undefined), true)",
    replace: "yield* pace.wait(undefined)",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "hint-listens-on",
    guarantee: 12,
    breaks: "who does not wait any more listens no more",
    file: "packages/core/src/internal/hold/hint.ts",
    find: "(off) => Effect.sync(off)",
    replace: "() => Effect.void",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "cancel-before-retry",
    guarantee: 12,
    breaks: "a cancel of many runs stops what was retried",
    file: "packages/core/src/internal/runs/cancel.ts",
    find: "const { incarnation } = RunState.fold(record)",
    replace: "const { incarnation } = record",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "cancel-stumbles",
    guarantee: 12,
    breaks: "a run that was removed meanwhile keeps no other from being cancelled",
    file: "packages/core/src/internal/runs/cancel.ts",
    find: 'Effect.catchTag("Gone", () => Effect.succeed(0)),',
    replace: 'Effect.catchTag("Gone", Effect.die),',
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "cancel-counts-wrong",
    guarantee: 12,
    breaks: "only the runs of the filter are cancelled",
    file: "packages/core/src/internal/runs/cancel.ts",
    find: "list({ ...filter, status",
    replace: "list({ status",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "cancel-reads-ended",
    guarantee: 12,
    breaks: "a cancel of many runs reads none that have ended",
    file: "packages/core/src/internal/runs/cancel.ts",
    find: "{ ...filter, status: status.filter((at) => !isOver(at)) }",
    replace: "{ ...filter, status }",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "held-hint-lost",
    guarantee: 12,
    breaks: "a hint that comes while a held run is looked at counts for the next wait",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "Effect.tap(this.news.await, this.news.close)",
    replace: "Effect.andThen(this.news.close, this.news.await)",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "held-hint-stays",
    guarantee: 12,
    breaks: "a hint is one look of a held run",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "Effect.tap(this.news.await, this.news.close)",
    replace: "this.news.await",
    test: "test/core/RunsVerbs.test.ts"
  },
  {
    id: "list-one-page",
    guarantee: 12,
    breaks: "a listing goes on after the first page",
    file: "packages/core/src/internal/runs/find.ts",
    find: "Option.fromUndefinedOr(page.cursor)",
    replace: "Option.none<string>()",
    test: "test/core/RunsVerbs.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
