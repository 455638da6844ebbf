import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate, Delivery } from "../../AgentUpdate.ts"
import * as RunState from "../../RunState.ts"
import { advanceHeld } from "./advanceHeld.ts"
import type { AdvanceOptions } from "./advanceOptions.ts"
import type { LeaseOptions, StreamOptions } from "../../RunInput.ts"
import * as Acknowledge from "../hold/acknowledge.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import * as Held from "../hold/heldRun.ts"
import { requestCancel } from "../hold/requestCancel.ts"
import { checkVersion, errorOf, type OpenRun } from "../run/openRun.ts"
import { reasonOf } from "../run/runReason.ts"
import { watch } from "../watch/watch.ts"

/** Takes the run's lease for the scope. */
export const hold = (
  run: OpenRun,
  { ifLeased }: LeaseOptions = {}
): Effect.Effect<HeldRun, AgentError, Scope.Scope> => {
  const held = Held.acquire(run, { steal: ifLeased === "steal" })
  return ifLeased === "wait"
    ? Effect.retry(held, { schedule: run.policy.leaseRetry, while: ({ reason }) => reason._tag === "RunLeased" })
    : held
}

/** Advances a run as a stream, and writes the position that its consumer has acknowledged. */
export const advance = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions & StreamOptions & AdvanceOptions = {}
): Effect.fn.Return<Stream.Stream<AgentUpdate, AgentError>, AgentError, Scope.Scope> {
  const reread = yield* rereading(run)
  if (reread !== undefined) return reread
  const held = yield* hold(run, options)
  if (options.onHeld !== undefined) yield* options.onHeld(held)
  yield* cancelIfInterrupted(run, held, options)
  const { isLast, pull } = yield* advanceHeld(run, held, options)
  return Stream.fromPull(Effect.succeed(pull)).pipe(Acknowledge.onPull(held, Acknowledge.upTo(isLast)))
})

/** The same, for a consumer that acknowledges each update by hand. */
export const advanceManually = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions & StreamOptions & AdvanceOptions = {}
): Effect.fn.Return<Stream.Stream<Delivery, AgentError>, AgentError, Scope.Scope> {
  const reread = yield* rereading(run)
  if (reread !== undefined) return Stream.map(reread, Acknowledge.acknowledged)
  const held = yield* hold(run, options)
  if (options.onHeld !== undefined) yield* options.onHeld(held)
  yield* cancelIfInterrupted(run, held, options)
  const { isLast, pull } = yield* advanceHeld(run, held, options)
  return Acknowledge.manually({
    held,
    finish: Acknowledge.upTo(isLast),
    again: hold(run),
    most: Math.max(1, run.policy.maxUnacknowledged),
    updates: Stream.fromPull(Effect.succeed(pull))
  })
})

/** A run whose last update was acknowledged can be read again from an early token, without a lease. */
const rereading = Effect.fnUntraced(function* (run: OpenRun) {
  yield* checkVersion(run)
  const state = RunState.fold(run.record)
  if (state.ended === undefined || !state.delivered) return undefined
  if (run.from !== undefined) return yield* watch(run)
  const reason = reasonOf(run.agent, state)
  return reason === undefined ? Stream.empty : Stream.fail(errorOf(run)(reason))
})

const cancelIfInterrupted = (run: OpenRun, held: HeldRun, { onInterrupt }: StreamOptions) =>
  onInterrupt === "cancel"
    ? Effect.addFinalizer((exit) =>
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? requestCancel(run, held) : Effect.void
      )
    : Effect.void
