import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "end-of-body-ends-stream",
    guarantee: 4,
    breaks: "a stream ends only at a terminal event",
    file: "packages/core/src/internal/follow.ts",
    find: "detach(Exit.fail(new Telemetry.Disconnected())), cut(undefined)",
    replace: "detach(Exit.fail(new Telemetry.Disconnected())), Cause.done()",
    test: "test/core/Attachment.test.ts",
    title: "that ends, breaks, or ends again is opened again where it was"
  },
  {
    id: "keepalives-are-progress",
    guarantee: 4,
    breaks: "only a higher sequence number is progress",
    file: "packages/core/src/internal/follow.ts",
    find: "!read.progressed || progressed",
    replace: "progressed",
    test: "test/core/Attachment.test.ts",
    title: "that brings only keepalives makes no progress: the schedule comes to its end"
  },
  {
    id: "idle-for-ever",
    guarantee: 4,
    breaks: "an idle connection is given up",
    file: "packages/core/src/internal/stallWatch.ts",
    find: "idle: elapsed(policy.idleTimeout, () => lastHeard)",
    replace: "idle: Effect.never",
    test: "test/core/Attachment.test.ts",
    title: "that is silent for longer than the policy allows is given up, and keepalives are signs of life"
  },
  {
    id: "retry-after-ignored",
    guarantee: 4,
    breaks: "the provider says how long to wait",
    file: "packages/core/src/internal/backoff.ts",
    find: "Effect.sleep(Duration.max(wait, atLeast))",
    replace: "Effect.sleep(wait)",
    test: "test/core/Attachment.test.ts",
    title: "waits as long as the provider asks, above a minute too"
  },
  {
    id: "slow-consumer-stalls",
    guarantee: 4,
    breaks: "a run can stall only while its consumer waits for it",
    file: "packages/core/src/internal/stallWatch.ts",
    find: "waiting && applies()",
    replace: "applies()",
    test: "test/core/Deadlines.test.ts",
    title: "is not stalled because its consumer is slow, and neither is its connection idle"
  },
  {
    id: "deadlines-by-wall-clock",
    guarantee: 4,
    breaks: "deadlines and idle timers use the monotonic clock",
    file: "packages/core/src/internal/stallWatch.ts",
    find: "Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)",
    replace: "clock.currentTimeMillisUnsafe()",
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
    file: "packages/core/src/internal/verbs/look.ts",
    find: "pace.wait(status, look.pollAfter)",
    replace: "pace.wait(status)",
    test: "test/openai/Retries.test.ts",
    title: "waits for its next look as long as openai-poll-after-ms says"
  }
] satisfies ReadonlyArray<Mutant>
