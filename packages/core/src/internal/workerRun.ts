import { Cause, Effect, Exit, Fiber, Latch, Metric, type Schedule, type Scope, Stream } from "effect"
import type { StreamOptions } from "../Agent.ts"
import type { AgentError } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import * as RunRecord from "../RunRecord.ts"
import type { WorkerRun } from "../Runs.ts"
import { advanceHeld, endOf, hold } from "./advance.ts"
import * as Backoff from "./backoff.ts"
import type { HeldRun } from "./heldRun.ts"
import * as Instruments from "./instruments.ts"
import { checkVersion, type OpenRun } from "./openRun.ts"
import { untilOver } from "./verbs.ts"

/** What a worker does with a run, and how often it tries. */
export interface Handling<E> extends Pick<StreamOptions, "acknowledge"> {
  readonly handle: (run: WorkerRun) => Effect.Effect<unknown, E>
  readonly attempts: number
  readonly retry: Schedule.Schedule<unknown>
}

/** What became of one attempt. */
type Outcome =
  | { readonly _tag: "Finished"; readonly end: RunRecord.Ended }
  | { readonly _tag: "Left" }
  | { readonly _tag: "Failed"; readonly reason: string; readonly forGood: boolean }

const longestReason = 500

/**
 * Takes a run, and lets its consumer have it until the run is finished or set aside: true. False where it was left as it
 * is, because this worker stops or cannot go on with it.
 */
export const bring = Effect.fnUntraced(function* <E>(
  run: OpenRun,
  handling: Handling<E>,
  stopping: Latch.Latch
): Effect.fn.Return<boolean, AgentError, Scope.Scope> {
  yield* checkVersion(run)
  const held = yield* hold(run)
  if (RunRecord.stage(held.record) !== "unfinished") return true
  const opened = RunRecord.opening(held.record, 0)._tag === "Accepted"
  return yield* opened ? Effect.raceFirst(tryOften(run, held, handling, stopping), held.lost) : abandon(held)
})

const setAside = (held: HeldRun, reason: string) => {
  held.work({ setAside: reason.slice(0, longestReason) })
  return Effect.andThen(
    held.flush,
    Effect.logWarning("baton: a run is set aside", reason).pipe(Effect.annotateLogs({ runId: held.record.runId }))
  )
}

/** Whoever started the run is gone, and nobody else has its input. */
const abandon = (held: HeldRun) =>
  Effect.as(
    RunRecord.cancelRequested(held.record)
      ? Effect.andThen(
          Effect.sync(() => held.finish(endOf({ status: "cancelled" }))),
          held.flush
        )
      : setAside(
          held,
          RunRecord.opening(held.record, 0)._tag === "Requested"
            ? "The request that opens it was sent but never answered: start it again with its input, or discard it."
            : "It was recorded, but never opened at the provider: start it again with its input, or discard it."
        ),
    true
  )

const tryOften = Effect.fnUntraced(function* <E>(
  run: OpenRun,
  held: HeldRun,
  handling: Handling<E>,
  stopping: Latch.Latch
) {
  const pause = yield* Backoff.make(handling.retry)
  let reason = `Its worker died ${held.attempts()} times before its consumer came any further.`
  while (held.attempts() < handling.attempts) {
    const before = held.attempts()
    // Written first, so that an attempt that takes its process along is counted.
    held.work({ attempts: before + 1 })
    yield* held.flush
    const outcome = yield* tryOnce(run, held, handling, stopping)
    const attributes = { "gen_ai.agent.name": run.agent.name, outcome: outcome._tag.toLowerCase() }
    yield* Metric.update(Instruments.attempts(attributes), 1)
    switch (outcome._tag) {
      case "Finished":
        held.finish(outcome.end)
        yield* held.flush
        return true
      case "Left":
        held.work({ attempts: Math.min(before, held.attempts()) })
        return false
    }
    reason = outcome.reason
    held.work({ attempts: Math.max(1, held.attempts()) })
    yield* Effect.logInfo("baton: a run failed its consumer", reason).pipe(
      Effect.annotateLogs({ runId: run.runId, attempts: held.attempts() })
    )
    if (outcome.forGood || held.attempts() >= handling.attempts) break
    const again = yield* Effect.raceFirst(pause.wait(reason), Effect.as(stopping.await, "stopping"))
    if (again === "stopping") return false
    if (!again) break
  }
  yield* setAside(held, reason)
  return true
})

const tryOnce = Effect.fnUntraced(function* <E>(
  run: OpenRun,
  held: HeldRun,
  { acknowledge, handle }: Handling<E>,
  stopping: Latch.Latch
): Effect.fn.Return<Outcome, AgentError> {
  const idle = Latch.makeUnsafe()
  let end: RunRecord.Ended | undefined
  let broke: AgentError | undefined
  const updates = Stream.unwrap(
    advanceHeld(run, held, { ...(acknowledge === undefined ? {} : { acknowledge }), onFinish: (how) => (end = how) })
  ).pipe(
    Stream.tapError((error) => Effect.sync(() => (broke = error))),
    untilStopped(idle, stopping)
  )
  const stopped = Effect.as(Effect.andThen(stopping.await, idle.await), undefined)
  const exit = yield* Effect.raceFirst(
    Effect.exit(handle({ agent: run.agent, runId: run.runId, attempt: held.attempts(), updates })),
    stopped
  )
  if (exit === undefined) return { _tag: "Left" }
  if (exit._tag === "Success") {
    // A consumer that is done before the run is, is done with it.
    const over = end ?? (yield* Effect.raceFirst(theEndOf(run), Effect.as(stopping.await, undefined)))
    return over === undefined ? { _tag: "Left" } : { _tag: "Finished", end: over }
  }
  const { cause } = exit
  if (broke === undefined || !cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error === broke)) {
    return { _tag: "Failed", reason: Cause.pretty(cause), forGood: false }
  }
  return end === undefined ? broken(broke) : { _tag: "Finished", end }
})

const theEndOf = (run: OpenRun) =>
  Effect.map(untilOver(run), ({ error, response: { status } }) =>
    endOf({ status, ...(error === undefined ? {} : { error }) })
  )

/** What it means that a run's updates failed before its end, and its consumer let that pass. */
const broken = (error: AgentError): Outcome => {
  switch (error.reason._tag) {
    case "RunStalled":
      return { _tag: "Failed", reason: error.message, forGood: false }
    case "RunDiverged":
      return { _tag: "Failed", reason: error.message, forGood: true }
    // The store, the provider, or another worker: not for the run to answer for.
    default:
      return { _tag: "Left" }
  }
}

/**
 * Ends the delivery between two updates: who asks for the next when the worker stops is done with the last, and gets no
 * more. `idle` is open while the consumer has nothing in its hands, and may be interrupted.
 */
const untilStopped =
  (idle: Latch.Latch, stopping: Latch.Latch) =>
  (updates: Stream.Stream<AgentUpdate, AgentError>): Stream.Stream<AgentUpdate, AgentError> =>
    Stream.transformPull(updates, (pull) => {
      // The last update is acknowledged as the pull begins, which has to be before anything can interrupt it.
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
