import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "end-of-body-ends-stream",
    guarantee: 4,
    breaks: "a stream ends only at a terminal event",
    file: "packages/core/src/internal/follow/attachment.ts",
    find: 'if (Cause.isDone(error)) return { _tag: "Broken", error: undefined }',
    replace: 'if (Cause.isDone(error)) return { _tag: "Stopped" }',
    test: "test/core/Attachment.test.ts",
    title: "that ends, breaks, or ends again is opened again where it was"
  },
  {
    id: "keepalives-are-progress",
    guarantee: 4,
    breaks: "only a higher sequence number is progress",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "let progressed = false",
    replace: "let progressed = true",
    test: "test/core/Attachment.test.ts",
    title: "that brings only keepalives, of a run that no look shows alive: the schedule comes to its end"
  },
  {
    id: "idle-for-ever",
    guarantee: 4,
    breaks: "an idle connection is given up",
    file: "packages/core/src/internal/follow/stallWatch.ts",
    find: "let at = idle ? this.lastHeard + this.idleTimeout : Number.POSITIVE_INFINITY",
    replace: "let at = idle ? Number.POSITIVE_INFINITY : Number.POSITIVE_INFINITY",
    test: "test/core/Attachment.test.ts",
    title: "that is silent for longer than the policy allows is given up, and keepalives are signs of life"
  },
  {
    id: "retry-after-ignored",
    guarantee: 4,
    breaks: "the provider says how long to wait",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: "Effect.sleep(Duration.max(wait, error?.retryAfter ?? Duration.zero))",
    replace: "Effect.sleep(wait)",
    test: "test/core/Attachment.test.ts",
    title: "waits as long as the provider asks, above a minute too"
  },
  {
    id: "slow-consumer-stalls",
    guarantee: 4,
    breaks: "a run can stall only while its consumer waits for it",
    file: "packages/core/src/internal/follow/stallWatch.ts",
    find: "this.since = this.lastHeard = this.watch.now()",
    replace: "this.lastHeard = this.watch.now()",
    test: "test/core/Deadlines.test.ts",
    title: "is not stalled because its consumer is slow, and neither is its connection idle"
  },
  {
    id: "deadlines-by-wall-clock",
    guarantee: 4,
    breaks: "deadlines and idle timers use the monotonic clock",
    file: "packages/core/src/internal/primitives/deadlines.ts",
    find: "monotonicMillis(this.clock)",
    replace: "this.clock.currentTimeMillisUnsafe()",
    test: "test/core/ClockJump.test.ts",
    title: "a queued run stalls after as long as the policy says"
  },
  {
    id: "retry-after-date-ignored",
    guarantee: 4,
    breaks: "Retry-After is honoured if it is an HTTP date",
    file: "packages/openai/src/internal/reasons.ts",
    find: "const date = Date.parse(value)",
    replace: "const date = Number.NaN",
    test: "test/openai/Retries.test.ts",
    title: "that is refused for now waits as long as"
  },
  {
    id: "poll-after-ignored",
    guarantee: 4,
    breaks: "openai-poll-after-ms is honoured",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "Duration.max(seen.pollAfter ?? Duration.zero, slowest)",
    replace: "slowest",
    test: "test/openai/Retries.test.ts",
    title: "waits for its next look as long as openai-poll-after-ms says"
  },
  {
    id: "P4-demands",
    guarantee: 4,
    breaks: "a completion window demands a request without a stream",
    file: "packages/openai/src/internal/request.ts",
    find: "return hours === undefined ?",
    replace: "return hours !== undefined ?",
    test: "test/openai/Operations.test.ts"
  },
  {
    id: "S4",
    guarantee: 4,
    breaks: "a body that closes its connection is read ahead",
    file: "packages/openai/src/internal/body.ts",
    find: "staysOpen(response.headers) ? reader : readAhead(reader)",
    replace: "reader",
    test: "test/openai/SlowConsumer.test.ts"
  },
  {
    id: "E11",
    guarantee: 4,
    breaks: "a replay that is refused for good is settled by a look",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: ': this.verify(error._tag === "ResponseGone" && isFirst ? attach : poll, undefined)',
    replace: ": this.following.fail(error)",
    test: "test/core/Replays.test.ts",
    title: "E11: with 405: the run is polled"
  },
  {
    id: "E11-again",
    guarantee: 4,
    breaks: "a replay that is refused for now, and refused again, is settled by a look",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: "(isFirst ? Effect.succeed(next) : this.verify(poll, undefined))",
    replace: "Effect.succeed(next)",
    test: "test/core/Replays.test.ts",
    title: "E11: with 500: the run is polled"
  },
  {
    id: "E12",
    guarantee: 4,
    breaks: "a look that shows a run alive is progress",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: "this.isAlive = true",
    replace: "",
    test: "test/core/Attachment.test.ts",
    title: "E12: that closes without an event thirty times"
  },
  {
    id: "E12-pause",
    guarantee: 4,
    breaks: "a run that is alive and says nothing is not asked after more and more often",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: "this.shortest = this.lastDelay",
    replace: "",
    test: "test/core/Attachment.test.ts",
    title: "E12: that closes without an event thirty times"
  },
  {
    id: "E17-doubted",
    guarantee: 4,
    breaks: "an end that is doubted is heard again at once, though its connection stays open",
    file: "packages/core/src/internal/follow/follower.ts",
    find: "const told = doubted ? Effect.andThen(this.detach(Exit.void), delivered) : delivered",
    replace: "const told = delivered",
    test: "test/core/Replays.test.ts",
    title: "E17: after a keepalive, and stays open"
  },
  {
    id: "P4-streamed",
    guarantee: 4,
    breaks: "a run whose options demand it is opened without a stream",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "const { streamed } = run.model.demands(request.options)",
    replace: "const streamed = true",
    test: "test/core/Deadlines.test.ts",
    title: "P4: stream opens it unstreamed"
  },
  {
    id: "P4-queued",
    guarantee: 4,
    breaks: "a run may be queued for as long as its window and the policy allow",
    file: "packages/core/src/internal/follow/stallWatch.ts",
    find: "this.maxQueued = limit(policy.maxQueued)",
    replace: "this.maxQueued = Duration.toMillis(policy.maxQueued)",
    test: "test/core/Deadlines.test.ts",
    title: "P4:"
  },
  {
    id: "look-retry-after-ignored",
    guarantee: 4,
    breaks: "a look that is refused for now waits as long as the provider says",
    edits: [
      {
        file: "packages/core/src/internal/follow/look.ts",
        find: "if (!(yield* backoff.wait(error, error.retryAfter))) return yield* error",
        replace: "if (!(yield* backoff.wait(error))) return yield* error"
      },
      {
        file: "packages/core/src/internal/follow/pace.ts",
        find: "Duration.toMillis(error.retryAfter ?? Duration.zero)",
        replace: "0"
      }
    ],
    test: "test/core/Refused.test.ts",
    title: "is taken again as late as the provider says"
  },
  {
    id: "E10-result",
    guarantee: 4,
    breaks: "who waits for a result survives an outage as long as a stream does",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "const schedule = policy.reconnect",
    replace: "const schedule = policy.requestRetry",
    test: "test/core/Outage.test.ts",
    title: "E10: while every connection is reset for 60 s"
  },
  {
    id: "E10-poll",
    guarantee: 4,
    breaks: "a stream that polls survives an outage as long as one that is replayed",
    file: "packages/core/src/internal/follow/poll.ts",
    find: "schedule: policy.reconnect",
    replace: "schedule: policy.requestRetry",
    test: "test/core/Outage.test.ts",
    title: "E10: while every connection is reset for 60 s"
  },
  {
    id: "E10-pace",
    guarantee: 4,
    breaks: "all looks at one provider share one pace",
    file: "packages/core/src/internal/follow/look.ts",
    find: "paced(model, model.retrieve(responseId))",
    replace: "model.retrieve(responseId)",
    test: "test/core/Outage.test.ts",
    title: "share one pace"
  },
  {
    id: "E10-spread",
    guarantee: 4,
    breaks: "looks that a provider refuses for now come one after another then",
    file: "packages/core/src/internal/follow/pace.ts",
    find: "this.interval = Math.min(longest, Math.max(first, this.interval * 2))",
    replace: "this.interval = 0",
    test: "test/core/Outage.test.ts",
    title: "share one pace"
  },
  {
    id: "E10-cancel",
    guarantee: 4,
    breaks: "who cancels a run and waits for its end survives an outage as long as a stream does",
    file: "packages/core/src/internal/verbs/cancel.ts",
    find: "yield* stop(run, wait ? run.policy.reconnect : run.policy.requestRetry)",
    replace: "yield* stop(run, run.policy.requestRetry)",
    test: "test/core/Refused.test.ts",
    title: "E10: while the provider is away for a minute"
  },
  {
    id: "timers-before-the-socket",
    guarantee: 4,
    breaks: "a limit is over only if it is found over twice",
    file: "packages/core/src/internal/follow/stallWatch.ts",
    find: "if (!this.doubted) {",
    replace: "if (false) {",
    test: "test/openai/Waiting.test.ts",
    title: "before its socket was read"
  },
  {
    id: "wake-up-throws",
    guarantee: 4,
    breaks: "what one run's wake-up throws keeps no other run from waking up",
    file: "packages/core/src/internal/primitives/deadlines.ts",
    find: "return tell })",
    replace: "return Effect.void })",
    test: "test/core/WatchedTimes.test.ts"
  },
  {
    id: "wake-up-throws-unheard",
    guarantee: 4,
    breaks: "what a wake-up throws is logged",
    file: "packages/core/src/internal/primitives/deadlines.ts",
    find: "thrown.push(defect)",
    replace: "",
    test: "test/core/WatchedTimes.test.ts"
  },
  {
    id: "redis-late-process",
    guarantee: 4,
    breaks: "a process that was late does not give up what Redis has answered",
    edits: [
      { file: "packages/redis/src/internal/connection.ts", find: "yield* Effect.yieldNow", replace: "" },
      {
        file: "packages/redis/src/internal/connection.ts",
        find: "if (!this.isExcused(operation, late)) continue",
        replace: "continue"
      }
    ],
    test: "test/redis/Limits.test.ts"
  },
  {
    id: "redis-unbounded",
    guarantee: 4,
    breaks: "no more commands are under way at once than Redis answers in time",
    file: "packages/redis/src/internal/connection.ts",
    find: "const most = 1000",
    replace: "const most = 2000",
    test: "test/redis/Limits.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
