import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate, Delivery } from "../../AgentUpdate.ts"
import { hold } from "../advance/advance.ts"
import { advanceHeld } from "../advance/advanceHeld.ts"
import type { Advance } from "../advance/advanceOptions.ts"
import type { StreamOptions } from "../../RunInput.ts"
import * as Backoff from "../primitives/backoff.ts"
import * as Acknowledge from "../hold/acknowledge.ts"
import { acquire, type HeldRun } from "../hold/heldRun.ts"
import { timeOf } from "../hold/lease.ts"
import * as Instruments from "../telemetry/instruments.ts"
import { checkVersion, type OpenRun, unableOf } from "../run/openRun.ts"
import type { Lease, Taken } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { WorkerRun } from "../../WorkerRun.ts"

/** The options of a worker that concern one run. */
export interface Handling<E> extends Pick<StreamOptions, "acknowledge"> {
  readonly handle: (run: WorkerRun<AgentUpdate | Delivery, Agent>) => Effect.Effect<unknown, E>
  readonly maxAttempts: number
  readonly retry: Schedule.Schedule<unknown>
}

/** The outcome of one attempt. */
type Outcome =
  | { readonly _tag: "Finished" }
  | { readonly _tag: "Left" }
  | {
      readonly _tag: "Failed"
      readonly reason: string
      readonly forGood: boolean
      /** With what `handle` failed, if it did: for the log. */
      readonly causes: ReadonlyArray<Cause.Cause<unknown>>
    }

const longestReason = 500

/** Gives a claimed run to `handle`. If the run cannot go on for now, it is due again after the time of a lease. */
export const bring = Effect.fnUntraced(function* <E>(
  run: OpenRun,
  claimed: { readonly taken: Taken; readonly before: bigint },
  handling: Handling<E>,
  stopping: Latch.Latch,
  onOwed: (lease: Lease) => void
): Effect.fn.Return<void, AgentError, Scope.Scope> {
  const held = yield* acquire(run, { claimed, onOwed })
  const later = timeOf(run.policy)
  // Runs before the run is released: without a pause, the same failure would come again at once.
  yield* Effect.addFinalizer((exit) =>
    Effect.sync(() => {
      if (Exit.isFailure(exit) && !stopping.isOpen()) held.leaveNotBefore(later)
    })
  )
  yield* checkVersion(run)
  const annotated = Effect.annotateLogs({ runId: run.runId, agent: run.agent.name })
  const park = (reason: string, ...causes: ReadonlyArray<Cause.Cause<unknown>>) => {
    held.leaveAs({ due: Duration.infinity, parked: reason.slice(0, longestReason), attempt: "keep" })
    return annotated(
      Effect.logWarning(
        "baton: a run is parked; use Runs.retry after the cause is removed, or Runs.discard",
        reason,
        ...causes
      )
    )
  }
  held.sendCancels()
  const step = held.next()
  if (step._tag === "Over") {
    // A loose response may be left, whose cancel is being sent.
    yield* Effect.raceAllFirst([held.cancelled, held.untilLost, stopping.await])
    return
  }
  if (step._tag === "Wait") {
    if (step.for === "unconfirmed" || step.for === "input") {
      yield* annotated(Effect.logWarning("baton: a run is parked; this worker cannot open it", step.for))
    }
    return
  }
  const unable = step._tag === "Open" ? unableOf(run.model, held.record.background) : undefined
  if (unable !== undefined) return yield* park(unable.message)
  const before = held.record.attempts.length - 1
  if (before >= handling.maxAttempts) {
    return yield* park(
      `Its worker died ${before} times at the same position. Remove the cause and use Runs.retry, or use Runs.discard.`
    )
  }

  const start = held.position()
  const outcome = yield* Effect.raceFirst(tryOnce(run, held, handling, stopping), held.untilLost)
  const attributes = { "gen_ai.agent.name": run.agent.name, outcome: outcome._tag.toLowerCase() }
  yield* Metric.update(Instruments.attempts(attributes), 1)
  if (outcome._tag === "Left") {
    if (!stopping.isOpen()) held.leaveNotBefore(later)
    return
  }
  if (outcome._tag === "Finished") {
    held.note({ _tag: "Delivered" })
    return yield* held.flush
  }
  // An attempt that moved the position counts as the first one at the new position.
  const attempts = held.position() === start ? before + 1 : 1
  if (outcome.forGood || attempts >= handling.maxAttempts) {
    return yield* park(outcome.reason, ...outcome.causes)
  }
  held.leaveAs({ attempt: "keep" })
  held.leaveNotBefore(yield* delayOf(handling.retry, attempts))
  yield* annotated(
    Effect.logWarning("baton: the handle of a run failed, and is tried again later", outcome.reason, ...outcome.causes)
  ).pipe(Effect.annotateLogs({ attempts }))
})

/** The pause after this many attempts. */
const delayOf = Effect.fnUntraced(function* (schedule: Schedule.Schedule<unknown>, attempts: number) {
  const pause = new Backoff.Backoff(schedule)
  let delay: Duration.Duration | undefined
  for (let i = 0; i < attempts; i++) delay = (yield* pause.delay(undefined)) ?? delay
  return delay ?? Duration.seconds(1)
})

const tryOnce = Effect.fnUntraced(function* <E>(
  run: OpenRun,
  held: HeldRun,
  { acknowledge, handle }: Handling<E>,
  stopping: Latch.Latch
): Effect.fn.Return<Outcome, AgentError, Scope.Scope> {
  const idle = Latch.makeUnsafe()
  let broke: AgentError | undefined
  const advance = yield* advanceHeld(run, held, { promised: true })
  const source = Stream.fromPull(Effect.succeed(advance.pull)).pipe(
    Stream.tapError((error) => Effect.sync(() => (broke = error)))
  )
  const updates: Stream.Stream<AgentUpdate | Delivery, AgentError> =
    acknowledge === "manual"
      ? Acknowledge.manually({
          held,
          finish: Acknowledge.beforeLast,
          again: hold(run),
          most: Math.max(1, run.policy.maxUnacknowledged),
          updates: source
        }).pipe(untilStopped(idle, stopping))
      : source.pipe(Acknowledge.onPull(held, Acknowledge.beforeLast), untilStopped(idle, stopping))
  const stopped = Effect.as(Effect.andThen(stopping.await, idle.await), undefined)
  const attempt = held.record.attempts.length
  const exit = yield* Effect.raceFirst(
    Effect.exit(handle({ agent: run.agent, runId: run.runId, attempt, updates })),
    stopped
  )
  if (exit === undefined) return { _tag: "Left" }
  if (exit._tag === "Success") return yield* seenThrough(advance, broke, stopping)
  const { cause } = exit
  if (broke === undefined || !cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error === broke)) {
    return { _tag: "Failed", reason: told(cause), causes: [cause], forGood: false }
  }
  return advance.endedAs() === undefined ? broken(broke) : { _tag: "Finished" }
})

/** What `handle` failed with, in a line: the store keeps it, so that it holds no stack. */
const told = (cause: Cause.Cause<unknown>): string =>
  Cause.prettyErrors(cause)
    .map(({ message, name }) => (message === "" ? name : `${name}: ${message}`))
    .join("; ") || "its handle failed with an empty cause"

/** If `handle` succeeds before the run has ended, the run is followed to its end. */
const seenThrough = (
  advance: Advance,
  broke: AgentError | undefined,
  stopping: Latch.Latch
): Effect.Effect<Outcome, AgentError> => {
  if (advance.endedAs() !== undefined) return Effect.succeed({ _tag: "Finished" })
  // A `handle` that recovers from a failure of `updates` has not seen the end of the run.
  if (broke !== undefined) return Effect.succeed(broken(broke))
  const drained = Stream.runDrain(Stream.fromPull(Effect.succeed(advance.pull))).pipe(
    Effect.matchEffect({
      onFailure: (error): Effect.Effect<Outcome> =>
        Effect.succeed(advance.endedAs() === undefined ? broken(error) : { _tag: "Finished" }),
      onSuccess: (): Effect.Effect<Outcome> =>
        Effect.succeed(advance.endedAs() === undefined ? { _tag: "Left" } : { _tag: "Finished" })
    })
  )
  return Effect.raceFirst(drained, Effect.as(stopping.await, { _tag: "Left" } as Outcome))
}

/** The outcome if the updates of a run failed before its end. */
const broken = (error: AgentError): Outcome => {
  switch (error.reason._tag) {
    case "RunStalled":
      return { _tag: "Failed", reason: error.message, causes: [], forGood: false }
    case "LogFull":
    case "RunDiverged":
      return { _tag: "Failed", reason: error.message, causes: [], forGood: true }
    case "RunNotOpened":
      // The record says that the store keeps the input, but the store no longer has it.
      return { _tag: "Failed", reason: error.message, causes: [], forGood: true }
    case "StoreFailed":
      // An input that cannot be read now cannot be read later.
      return error.reason.error.kind === "corrupt"
        ? { _tag: "Failed", reason: error.message, causes: [], forGood: true }
        : { _tag: "Left" }
    // A fault of the store, of the provider or of another worker does not count against the run.
    default:
      return { _tag: "Left" }
  }
}

/**
 * Ends the delivery between two updates. A consumer that pulls after the worker has begun to stop thereby acknowledges the
 * last update, and gets no other. `idle` is open while the consumer waits for an update, and may be interrupted.
 */
const untilStopped =
  (idle: Latch.Latch, stopping: Latch.Latch) =>
  <A>(updates: Stream.Stream<A, AgentError>): Stream.Stream<A, AgentError> =>
    Stream.transformPull(updates, (pull) => {
      // The start of the pull acknowledges the last update. That must happen before anything can interrupt the pull.
      const last = Effect.flatMap(Effect.forkChild(pull, { startImmediately: true }), (fiber) => {
        const exit = fiber.pollUnsafe()
        if (exit !== undefined && Exit.isFailure(exit)) return exit
        return Effect.andThen(idle.open, Effect.andThen(Fiber.join(fiber), Effect.never))
      })
      const next = Effect.suspend(() => {
        idle.openUnsafe()
        return Effect.flatMap(pull, (some) => (stopping.isOpen() ? Effect.never : Effect.succeed(some)))
      })
      return Effect.succeed(
        Effect.suspend(() => (stopping.isOpen() ? last : next)).pipe(
          Effect.ensuring(Effect.sync(() => idle.closeUnsafe()))
        )
      )
    })
