import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "cancelled-run-opened",
    guarantee: 9,
    breaks: "after a cancel no response is opened",
    file: "packages/core/src/internal/advance.ts",
    find: 'if (!signals.some((signal) => signal._tag === "Cancel")) return yield* held.write("cancelled", refused)',
    replace: "return;",
    test: "test/core/Ends.test.ts",
    title: "while a refused request waits to be sent again: it is not sent"
  },
  {
    id: "late-cancel-lost",
    guarantee: 9,
    breaks: "a cancel that comes while the request is under way is passed on",
    file: "packages/core/src/internal/advance.ts",
    find: "Effect.ignore(model.cancel(responseId))",
    replace: "Effect.ignore(model.retrieve(responseId))",
    test: "test/core/Ends.test.ts",
    title: "while the request is under way: passed on as soon as there is something to cancel"
  },
  {
    id: "leaving-cancels",
    guarantee: 9,
    breaks: "leaving a stream does not cancel its run",
    file: "packages/core/src/internal/follow.ts",
    find: "const replays = options.background",
    replace:
      'yield* Effect.addFinalizer(() => Effect.ignore(model.cancel(cursor.responseId() ?? ""))); const replays = options.background',
    test: "test/core/Ends.test.ts",
    title: "stop versus disconnect: leaving a stream is not cancelling"
  },
  {
    id: "cancel-not-followed",
    guarantee: 9,
    breaks: "the true end of a cancelled run is followed",
    file: "packages/core/src/internal/verbs.ts",
    find: "(yield* wait ? untilOver(run) : glance(run)).response",
    replace: "(yield* glance(run)).response",
    test: "test/core/Ends.test.ts",
    title: "cancel"
  },
  {
    id: "refused-cancel-fails",
    guarantee: 9,
    breaks: "a cancel that is answered with 400 because the run was over is told as the run ended",
    file: "packages/openai/src/OpenAiBackgroundModel.ts",
    find: "error?.status === 400 && alreadyOver.test",
    replace: "error?.status === 418 && alreadyOver.test",
    test: "test/openai/Ends.test.ts",
    title: "because the run was over: told as it ended"
  }
] satisfies ReadonlyArray<Mutant>
