import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "failed-run-looks-empty",
    guarantee: 10,
    breaks: "a failed run never looks like an empty success",
    file: "packages/core/src/internal/run/runReason.ts",
    find: "new RunFailed({ error: end.error })",
    replace: "undefined",
    test: "test/core/Ends.test.ts",
    title: "streamed, resumed, run, watched"
  },
  {
    id: "expired-run-looks-empty",
    guarantee: 10,
    breaks: "an expired run fails its stream",
    file: "packages/core/src/internal/run/runReason.ts",
    find: 'return new RunExpired({ responseId: RunState.winners(state).at(-1)?.responseId ?? "" })',
    replace: "return undefined",
    test: "test/core/Ends.test.ts",
    title: "a response that the provider no longer has fails the run, without an update"
  },
  {
    id: "resumed-failure-is-empty",
    guarantee: 10,
    breaks: "a failed run that is resumed fails in the same way",
    file: "packages/core/src/internal/advance/advance.ts",
    find: "reason === undefined ? Stream.empty",
    replace: "reason !== undefined ? Stream.empty",
    test: "test/core/Ends.test.ts",
    title: "streamed, resumed, run, watched"
  },
  {
    id: "request-id-lost",
    guarantee: 10,
    breaks: "errors keep the provider's request id",
    file: "packages/openai/src/internal/failures.ts",
    find: 'headers.get("x-request-id")',
    replace: 'headers.get("x-request")',
    test: "test/openai/Retries.test.ts",
    title: "answered with"
  },
  {
    id: "cut-is-no-error",
    guarantee: 10,
    breaks: "a span ends as its attachment ended",
    file: "packages/core/src/internal/follow/attachment.ts",
    find: "return Exit.fail(loss.error ?? new Telemetry.Disconnected())",
    replace: "return Exit.void",
    test: "test/core/Telemetry.test.ts",
    title: "one for each attachment, linked by the run's id, with attempt and position"
  },
  {
    id: "span-left-open",
    guarantee: 10,
    breaks: "leaving a stream leaves no span open",
    file: "packages/core/src/internal/telemetry/telemetry.ts",
    find: "Effect.makeSpanScoped(",
    replace: "Effect.makeSpan(",
    test: "test/core/Telemetry.test.ts",
    title: "leaving leaves no span open, and is no error"
  },
  {
    id: "X2",
    guarantee: 10,
    breaks: "an end is decided by all that is in the journal",
    file: "packages/core/src/RunKernel.ts",
    find: "guard && (added.length > 0 || isFurther) && record.journal.length > seen",
    replace: "guard && record.journal.length < 0",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X2: an end is decided by all that is in the journal"
  },
  {
    id: "X7c",
    guarantee: 10,
    breaks: "an end names its response",
    file: "packages/core/src/RunState.ts",
    find: "ends.get(winner.responseId)",
    replace: "[...ends.values()][0]",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X7: an end names its response"
  },
  {
    id: "refusal-by-order",
    guarantee: 10,
    breaks: "how a refused run ends does not depend on which refusal was recorded first",
    file: "packages/core/src/RunState.ts",
    find: "turn.refusal = weightier(turn.refusal, fact)",
    replace: "turn.refusal = fact",
    test: "test/core/RunState.test.ts",
    title: "is the same in any order that leaves Accepted and Retried in theirs"
  },
  {
    id: "end-over-running",
    guarantee: 10,
    breaks: "no order of facts ends a run while a response of it runs",
    file: "packages/core/src/RunEngine.ts",
    find: "return turn === -1 ? step :",
    replace: "return turn < 9 ? step :",
    test: "test/core/RunEngineLaws.test.ts",
    title: "never ends a run while a response of it may run"
  },
  {
    id: "E7a-seen",
    guarantee: 10,
    breaks: "an end that was seen is recorded though the store is away for a while",
    file: "packages/core/src/internal/watch/learn.ts",
    find: "Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }),",
    replace: "",
    test: "test/core/HoldingLeft.test.ts",
    title: "E7a: by who looked"
  },
  {
    id: "E14",
    guarantee: 10,
    breaks: "the session of a run that did not come to a good end is the one before",
    file: "packages/core/src/internal/watch/respond.ts",
    find: 'state.turns.findLast(({ end }) => end?.status === "completed" || end?.status === "incomplete")',
    replace: "state.turns.findLast(({ winner }) => winner !== undefined)",
    test: "test/core/SessionLeftBehind.test.ts",
    title: "E14: the session of a run that failed"
  },
  {
    id: "E17-never-opened",
    guarantee: 10,
    breaks: "a viewer waits while somebody may be about to open the run",
    file: "packages/core/src/internal/run/stuck.ts",
    find: "if (record.lease !== null || (record.due !== null && record.due > time)) return undefined",
    replace: "if (record.lease !== null || record.due === time) return undefined",
    test: "test/core/OneState.test.ts",
    title: "E17: watch waits while somebody may be about to open it"
  },
  {
    id: "E17-waits-for-ever",
    guarantee: 10,
    breaks: "a viewer of a run that nobody opens is told so",
    file: "packages/core/src/internal/run/stuck.ts",
    find: 'if (step._tag !== "Wait") return undefined',
    replace: 'if (step._tag !== "Follow") return undefined',
    test: "test/core/OneState.test.ts",
    title: "E17: watch waits while somebody may be about to open it"
  },
  {
    id: "E17-forgotten",
    guarantee: 10,
    breaks: "an output that cannot be read any more is not taken for an empty one",
    file: "packages/core/src/internal/run/responseEnd.ts",
    find: 'return ending.status === "expired" && (known === "completed" || known === "incomplete")',
    replace: 'return ending.status === "queued" && known === "completed"',
    test: "test/core/OneState.test.ts",
    title: "does not take what cannot be read any more for an empty output"
  },
  {
    id: "E17-handle",
    guarantee: 10,
    breaks: "a handle that lets a failure of its updates pass has not seen the end of the run",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "if (broke !== undefined) return Effect.succeed(broken(broke))",
    replace: 'if (broke !== undefined) return Effect.succeed({ _tag: "Finished" })',
    test: "test/core/WorkersAttempts.test.ts",
    title: "E17: a handle that lets a failure of its updates pass"
  },
  {
    id: "E19",
    guarantee: 10,
    breaks: "every verb says the same of a run that ended before a response was opened",
    file: "packages/core/src/RunState.ts",
    find: "if (state.ended !== undefined) return state.ended.status",
    replace: "",
    test: "test/core/OneState.test.ts",
    title: "E19: as refused"
  },
  {
    id: "N2",
    guarantee: 10,
    breaks: "a foreground run that ended with its process says so",
    file: "packages/core/src/internal/run/runReason.ts",
    find: 'if (end.reason === "interrupted") return new RunInterrupted()',
    replace: 'if (end.reason === "interrupted") return new RunCancelled()',
    test: "test/core/StartedAndLeft.test.ts",
    title: "N2: resume says"
  },
  {
    id: "N3",
    guarantee: 10,
    breaks: "a start that is refused for good fails at once",
    file: "packages/core/src/RunEngine.ts",
    find: "if (refusal?.final === true || tries >= maxTries) {",
    replace: "if (tries >= maxTries) {",
    test: "test/core/Start.test.ts",
    title: "N3: AuthenticationError ends a run that run began"
  },
  {
    id: "N4",
    guarantee: 10,
    breaks: "who sees the end of a run records it",
    file: "packages/core/src/internal/watch/attached.ts",
    find: 'if (ended.status !== "expired" && ended.calls !== undefined) {',
    replace: 'if (ended.status === "queued") {',
    test: "test/core/StartedAndLeft.test.ts",
    title: "N4: whoever sees its end records it, with usage and finish reason: watch"
  },
  {
    id: "N5",
    guarantee: 10,
    breaks: "an error names its run and its agent",
    file: "packages/core/src/AgentError.ts",
    find: "return `Run '${runId}'${agent === undefined ? \"\" : ` of agent '${agent}'`}${response}: ${reason.message}`",
    replace: "return reason.message",
    test: "test/core/SayingErrors.test.ts",
    title: "names run and agent, and says what to do"
  },
  {
    id: "N5-vanished",
    guarantee: 10,
    breaks: "a provider that vanishes is told in the log",
    edits: [
      {
        file: "packages/core/src/internal/follow/reconnect.ts",
        find: "this.fruitless++ return trouble.began(",
        replace: "this.fruitless++; return ((...said: Array<string>) => Effect.asVoid(Effect.succeed(said)))("
      },
      {
        file: "packages/core/src/internal/follow/look.ts",
        find: 'yield* trouble.began("the response of a run cannot be retrieved; this is tried again", error.message)',
        replace: ""
      }
    ],
    test: "test/core/SayingLog.test.ts",
    title: "N5: a provider that vanishes: one line soon, and one when it is back: streamed, by its holder"
  },
  {
    id: "N5-over",
    guarantee: 10,
    breaks: "trouble that is over is told in the log",
    file: "packages/core/src/internal/telemetry/trouble.ts",
    find: "return this.told(Effect.logInfo(`baton: recovered: ${what}`))",
    replace: "return this.told(Effect.logTrace(what))",
    test: "test/core/SayingLog.test.ts",
    title: "N5: a first request that is refused for now"
  },
  {
    id: "N5-handle",
    guarantee: 10,
    breaks: "a handle that fails is told as a warning",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: 'Effect.logWarning("baton: the handle of a run failed',
    replace: 'Effect.logInfo("baton: the handle of a run failed',
    test: "test/core/SayingLog.test.ts",
    title: "N5: a handle that fails is told as a warning"
  },
  {
    id: "failed-extends-session",
    guarantee: 10,
    breaks: "a run that failed does not extend its conversation",
    file: "packages/core/src/internal/run/turnEnd.ts",
    find: "...(isGood(meaning.status) ?",
    replace: "...(true ?",
    test: "test/core/LastUpdate.test.ts"
  },
  {
    id: "parked-with-stack",
    guarantee: 10,
    breaks: "why a run is parked is told in a line, without a stack",
    file: "packages/core/src/internal/worker/workerRun.ts",
    find: "reason: told(cause)",
    replace: "reason: Cause.pretty(cause)",
    test: "test/core/ParkedReason.test.ts"
  },
  {
    id: "retried-not-said",
    guarantee: 10,
    breaks: "the first update of a run that was opened again says so",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "this.isTold = !isRetried(held.journal(), this.position)",
    replace: "this.isTold = true",
    test: "test/core/Retry.test.ts",
    title: "opens a run again that failed"
  },
  {
    id: "C14-error",
    guarantee: 10,
    breaks: "what an error of the provider says is free of secrets",
    file: "packages/openai/src/internal/snapshot.ts",
    find: 'text === "" ? undefined : redact(text)',
    replace: 'text === "" ? undefined : text',
    test: "test/openai/Refusals.test.ts"
  },
  {
    id: "C14-redirect",
    guarantee: 10,
    breaks: "a key is not sent to where a redirect points",
    file: "packages/openai/src/OpenAiClient.ts",
    find: 'redirect: "manual" as const',
    replace: 'redirect: "follow" as const',
    test: "test/openai/Redirect.test.ts"
  },
  {
    id: "E1-other-404",
    guarantee: 10,
    breaks: "a 404 that does not speak of the response is not its end",
    file: "packages/openai/src/OpenAiBackgroundModel.ts",
    find: "(speaksOf(error.message, responseId) ||",
    replace: '(error.code !== "404" ||',
    test: "test/openai/Operations.test.ts"
  },
  {
    id: "P2-decoded",
    guarantee: 10,
    breaks: "an event says whether its response runs in the background",
    file: "packages/openai/src/internal/events.ts",
    find: '...(typeof background === "boolean" ? { background } : undefined)',
    replace: "",
    test: "test/openai/EventTypes.test.ts"
  },
  {
    id: "C2-failed",
    guarantee: 10,
    breaks: "a run that failed is told as failed, and not as RunDiverged",
    file: "packages/core/src/internal/follow/whole.ts",
    find: 'const isWhole = status === "completed" || status === "incomplete"',
    replace: "const isWhole = true",
    test: "test/openai/Wholes.test.ts",
    title: "if a finished text is another"
  },
  {
    id: "E1",
    guarantee: 10,
    breaks: "one answer of the provider that it does not have a response is not believed",
    file: "packages/core/src/internal/follow/look.ts",
    find: "const confirmations = 4",
    replace: "const confirmations = 0",
    test: "test/core/Gone.test.ts",
    title: "E1: for two looks of"
  },
  {
    id: "E1-replay",
    guarantee: 10,
    breaks: "a replay that is answered as if the response were not there is asked for again",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: 'error._tag === "ResponseGone" && isFirst ? attach : poll',
    replace: "poll",
    test: "test/core/Gone.test.ts",
    title: "E1: for a replay"
  },
  {
    id: "E1-update",
    guarantee: 10,
    breaks: "nothing is delivered by a response that is gone",
    file: "packages/core/src/internal/follow/follower.ts",
    find: "reader.expire() return this.deliver([], () => Effect.void)",
    replace:
      'reader.expire(); return this.deliver(reader.fill({ responseId: "", status: "expired", items: [] }), () => Effect.void)',
    test: "test/core/Gone.test.ts",
    title: "and goes on saying so, is believed"
  },
  {
    id: "P2",
    guarantee: 10,
    breaks: "a run whose provider drops background fails at once",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "return run.record.background && opened.background === false ?",
    replace: 'return opened.responseId === "" ?',
    test: "test/core/Unsupported.test.ts",
    title: "P2: stream fails at once"
  },
  {
    id: "E8-failed",
    guarantee: 10,
    breaks: "an end that fails a stream is recorded before it is told",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "return Effect.andThen(lastWrite(run, held), told)",
    replace: "return reason === undefined ? Effect.andThen(lastWrite(run, held), told) : told",
    test: "test/core/EndedAlike.test.ts",
    title: "is recorded before it is told"
  },
  {
    id: "waiting-until-late",
    guarantee: 10,
    breaks: "a run that is due only because an approval can be too late is listed as waiting",
    file: "packages/core/src/RunState.ts",
    find: "record.due === null || waitsForCalls(turns)",
    replace: "record.due === null",
    test: "test/core/RunState.test.ts",
    title: "is waiting if the run is due only because"
  }
] satisfies ReadonlyArray<Mutant>
