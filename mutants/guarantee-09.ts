import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "cancelled-run-opened",
    guarantee: 9,
    breaks: "after a cancel no response is opened",
    file: "packages/core/src/RunEngine.ts",
    find: 'if (state.cancelled) return end("cancelled", state.unresolved)',
    replace: "",
    test: "test/core/Ends.test.ts",
    title: "while a refused request waits to be sent again: it is not sent"
  },
  {
    id: "late-cancel-lost",
    guarantee: 9,
    breaks: "a cancel that comes while the request is under way is passed on",
    file: "packages/core/src/internal/hold/cancels.ts",
    find: "const fiber = this.fork(this.cancel(response))",
    replace: "const fiber = this.fork(Effect.void)",
    test: "test/core/Ends.test.ts",
    title: "while the request is under way: passed on as soon as there is something to cancel"
  },
  {
    id: "leaving-cancels",
    guarantee: 9,
    breaks: "leaving a stream does not cancel its run",
    file: "packages/core/src/internal/follow/makePull.ts",
    find: "const backoff = new Backoff.Backoff(policy.reconnect)",
    replace:
      'yield* Effect.addFinalizer(() => Effect.ignore(model.cancel(reader.responseId ?? ""))); const backoff = new Backoff.Backoff(policy.reconnect)',
    test: "test/core/Ends.test.ts",
    title: "stop versus disconnect: leaving a stream is not cancelling"
  },
  {
    id: "cancel-not-followed",
    guarantee: 9,
    breaks: "the true end of a cancelled run is followed",
    file: "packages/core/src/internal/verbs/cancel.ts",
    find: "yield* wait ? untilOver(run) : glance(run)",
    replace: "yield* glance(run)",
    test: "test/core/Ends.test.ts",
    title: "cancel"
  },
  {
    id: "refused-cancel-fails",
    guarantee: 9,
    breaks: "a cancel that is refused because the response was over is no failure",
    file: "packages/core/src/internal/run/cancelResponse.ts",
    find: "if (!isOver(snapshot.status)) return Effect.fail(error)",
    replace: "return Effect.fail(error)",
    test: "test/core/Refused.test.ts",
    title: "P1: that is refused of a run that is over"
  },
  {
    id: "X1",
    guarantee: 9,
    breaks: "a response that becomes known after the end of its run is cancelled",
    file: "packages/core/src/RunState.ts",
    find: "ended !== undefined || !winners.has(fact.responseId)",
    replace: "!winners.has(fact.responseId)",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X1: a response that becomes known after its cancelled run has ended"
  },
  {
    id: "X7b",
    guarantee: 9,
    breaks: "a cancel names its response",
    file: "packages/core/src/RunState.ts",
    find: "winner !== undefined && cancelsSent.has(winner.responseId)",
    replace: "cancelsSent.size > 0",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X7: a cancel names its response"
  },
  {
    id: "X8",
    guarantee: 9,
    breaks: "who follows a silent run learns of a cancel by renewing the lease",
    file: "packages/core/src/internal/hold/lease.ts",
    find: "if (journal.merge(seen, facts)) options.onFacts()",
    replace: "",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X8: who follows a silent run learns of a cancel from its next renewal"
  },
  {
    id: "X9",
    guarantee: 9,
    breaks: "a run that is left with facts that its holder has not seen is work at once",
    file: "packages/core/src/RunKernel.ts",
    find: "const isUnseen = record.journal.length > seen",
    replace: "const isUnseen = record.journal.length < 0",
    test: "test/core/SchedulesFacts.test.ts",
    title: "X9:"
  },
  {
    id: "X10",
    guarantee: 9,
    breaks: "a fact makes a run work that waits for a person",
    file: "packages/core/src/RunKernel.ts",
    find: "grown(row, [added], { due: now.millis, parked: null }, now)",
    replace: "grown(row, [added], {}, now)",
    test: "test/core/SchedulesFacts.test.ts",
    title: "X10: a fact makes a run work that waits for a person"
  },
  {
    id: "X14",
    guarantee: 9,
    breaks: "a run is work after its end while a response of it may run",
    file: "packages/core/src/RunEngine.ts",
    find: "if (loose !== undefined) return",
    replace: "if (loose !== undefined && state.ended === undefined) return",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X14: a response that becomes known after the end of its run is cancelled by a worker"
  },
  {
    id: "X19",
    guarantee: 9,
    breaks: "a run that may have bought something does not end as cancelled",
    file: "packages/core/src/RunEngine.ts",
    find: 'end("failed", state.unresolved, { reason: "unconfirmed" })',
    replace: 'end("cancelled", state.unresolved)',
    test: "test/core/SchedulesEnds.test.ts",
    title: "X19: a run that may have bought something does not end as cancelled"
  },
  {
    id: "X20",
    guarantee: 9,
    breaks: "an end names each request whose outcome nobody knows",
    file: "packages/core/src/RunEngine.ts",
    find: "end(of.end.status, state.unresolved,",
    replace: "end(of.end.status, [],",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X20: an end names each request whose outcome nobody knows"
  },
  {
    id: "X21",
    guarantee: 9,
    breaks: "a cancel that the answer to an intent tells of stops the request",
    file: "packages/core/src/internal/advance/opening.ts",
    find: "if (state.cancelled || state.ended",
    replace: "if (state.ended",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X21: a cancel that comes while an intent is written a second time stops the request"
  },
  {
    id: "X23a",
    guarantee: 9,
    breaks: "a checkpoint tells of a cancel that others recorded",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: "if (held.journal.merge(seen, answer.facts)) this.options.onFacts()",
    replace: "held.journal.merge(seen, answer.facts)",
    test: "test/core/SchedulesEnds.test.ts",
    title: "X23: a checkpoint tells of what others recorded"
  },
  {
    id: "X24",
    guarantee: 9,
    breaks: "a cancelled run ends when its response does",
    file: "packages/core/src/RunEngine.ts",
    find: "if (of.end === undefined) {",
    replace: 'if (of.end === undefined) { if (state.cancelled) return end("cancelled", state.unresolved)',
    test: "test/core/SchedulesEnds.test.ts",
    title: "X24: a cancel is sent to the response of a worker that died"
  },
  {
    id: "late-cancel-counts",
    guarantee: 9,
    breaks: "a cancel of an earlier incarnation does not stop the next",
    file: "packages/core/src/RunState.ts",
    find: "cancelled ||= fact.incarnation === incarnation",
    replace: "cancelled = true",
    test: "test/core/RunState.test.ts",
    title: "changes nothing but what is loose and unresolved"
  },
  {
    id: "E3a",
    guarantee: 9,
    breaks: "a cancel is sent until the provider took it",
    file: "packages/core/src/internal/run/cancelResponse.ts",
    find: "Effect.retry(schedule === undefined ? untilTaken : Backoff.patiently(schedule)),",
    replace: "",
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3a: is refused with 503"
  },
  {
    id: "E3a-gone",
    guarantee: 9,
    breaks: "one 404 does not mean that a cancel was taken",
    file: "packages/core/src/internal/run/cancelResponse.ts",
    find: `ResponseGone: () => unlessOver(failure("the provider answered the cancel with 'not found', but the response is still running")),`,
    replace: "ResponseGone: () => Effect.succeed([sent]),",
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3a: is refused with 404"
  },
  {
    id: "E3a-silence",
    guarantee: 9,
    breaks: "a cancel that is not answered is sent again",
    file: "packages/core/src/internal/run/cancelResponse.ts",
    find: "duration: run.policy.idleTimeout,",
    replace: "duration: Duration.infinity,",
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3a: is refused with silence"
  },
  {
    id: "E3b",
    guarantee: 9,
    breaks: "a recorded cancel is sent by whoever goes on with the run",
    edits: [
      { file: "packages/core/src/internal/advance/advancing.ts", find: "held.sendCancels()", replace: "" },
      { file: "packages/core/src/internal/worker/workerRun.ts", find: "held.sendCancels()", replace: "" }
    ],
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3b"
  },
  {
    id: "E3c",
    guarantee: 9,
    breaks: "a cancel is recorded before it is sent",
    file: "packages/core/src/internal/watch/stop.ts",
    find: "if (journal.state().ended === undefined) {",
    replace:
      'journal.merge(journal.seen, [{ _tag: "CancelRequested", incarnation: journal.state().incarnation, by, at: 0 }]); if (journal.state().ended !== undefined) {',
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3c"
  },
  {
    id: "E3a-persist",
    guarantee: 9,
    breaks: "the holder of a run sends a cancel for as long as the provider refuses it",
    file: "packages/core/src/internal/hold/cancels.ts",
    find: "sendCancel(run, response, { by: held.lease.owner })",
    replace: "sendCancel(run, response, { by: held.lease.owner, schedule: run.policy.requestRetry })",
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3a: is refused with 503 for minutes"
  },
  {
    id: "E3d",
    guarantee: 9,
    breaks: "a cancel under way has the time that is left when its run is left",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "Effect.andThen(Effect.timeoutOption(cancels.ended(), Duration.times(closeTimeout, 0.5))),",
    replace: "",
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3d: of a run that stalled is refused with 503: it is sent again"
  },
  {
    id: "E3d-away",
    guarantee: 9,
    breaks: "the cancel of a run that stalled is recorded though the store is away for a while",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "Effect.retry({ while: ({ isRetryable }) => isRetryable, schedule: persistently }),",
    replace: "",
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3d: of a run that stalled while the store is away"
  },
  {
    id: "E3e",
    guarantee: 9,
    breaks: "a run that may have bought something does not end as cancelled",
    file: "packages/core/src/RunEngine.ts",
    find: 'if (state.cancelled) return end("failed", state.unresolved, { reason: "unconfirmed" })',
    replace: 'if (state.cancelled) return end("cancelled", state.unresolved)',
    test: "test/core/OutcomesOfCancels.test.ts",
    title: "E3e"
  },
  {
    id: "E13",
    guarantee: 9,
    breaks: "a foreground run is stopped by the process that follows it, and its provider is not asked to cancel it",
    file: "packages/core/src/internal/watch/stop.ts",
    find: "if (isWinner && !record.background) continue",
    replace: "void isWinner",
    test: "test/core/StopForeground.test.ts",
    title: "E13: its holder is silent"
  },
  {
    id: "E13-busy",
    guarantee: 9,
    breaks: "a foreground run is stopped though its consumer is busy with an update",
    file: "packages/core/src/internal/follow/makePull.ts",
    find: "const off = stopped.on(() => void stop(follower.stop()))",
    replace: "const off = stopped.on(() => {})",
    test: "test/core/StopForeground.test.ts",
    title: "E13: while its consumer is busy with an update"
  },
  {
    id: "interruption-leaves",
    guarantee: 9,
    breaks: "with onInterrupt: cancel an interruption of a stream cancels its run",
    file: "packages/core/src/internal/advance/advance.ts",
    find: "Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? requestCancel(run, held)",
    replace: "Exit.isSuccess(exit) && exit.value === 0 ? requestCancel(run, held)",
    test: "test/core/OnInterrupt.test.ts",
    title: "cancel: an interruption of"
  },
  {
    id: "end-of-consumer-cancels",
    guarantee: 9,
    breaks: "with onInterrupt: cancel nothing but an interruption cancels the run",
    file: "packages/core/src/internal/advance/advance.ts",
    find: "Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? requestCancel(run, held)",
    replace: "exit !== undefined ? requestCancel(run, held)",
    test: "test/core/OnInterrupt.test.ts",
    title: "does not cancel the run"
  },
  {
    id: "P1-gone",
    guarantee: 9,
    breaks: "a cancel of what is not there is told from one that is refused",
    file: "packages/openai/src/OpenAiBackgroundModel.ts",
    find: 'Effect.mapError(Http.json(exchange), goneOr(responseId, "cancel"))',
    replace: "Effect.mapError(Http.json(exchange), () => new ResponseGone({ responseId }))",
    test: "test/openai/Operations.test.ts"
  },
  {
    id: "cancel-beside-calls",
    guarantee: 9,
    breaks: "a cancelled run ends once its calls have been interrupted",
    file: "packages/core/src/RunEngine.ts",
    find: 'return isBusy ? { _tag: "Wait", for: "tools", turn } : end("cancelled", state.unresolved)',
    replace: 'return isBusy ? end("cancelled", state.unresolved) : end("cancelled", state.unresolved)',
    test: "test/core/RunEngine.test.ts",
    title: "row 13"
  },
  {
    id: "tool-cancel-waits-for-handlers",
    guarantee: 9,
    breaks: "a cancel interrupts the handlers of the run",
    file: "packages/core/src/internal/calls/acting.ts",
    find: "if (held.state().cancelled) return runner.interrupt",
    replace: "",
    test: "test/core/ToolsScenarios.test.ts",
    title: "cancel while a handler runs"
  },
  {
    id: "tool-answer-while-leaving",
    guarantee: 9,
    breaks: "an answer that comes while the holder leaves makes the run due",
    file: "packages/core/src/internal/hold/leaving.ts",
    find: "{ seen: journal.seen, attempt:",
    replace: "{ seen: Number.MAX_SAFE_INTEGER, attempt:",
    test: "test/core/ToolsSchedules.test.ts",
    title: "X9: an approval that comes while the holder leaves"
  }
] satisfies ReadonlyArray<Mutant>
