import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type AgentError, RunDiverged, RunExpired, RunNotFound } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { ModelSnapshot } from "../../BackgroundModel.ts"
import { isOver } from "../../Run.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import * as Backoff from "../primitives/backoff.ts"
import { acquire } from "../hold/heldRun.ts"
import * as Hint from "../hold/hint.ts"
import { Trouble } from "../telemetry/trouble.ts"
import { persistently } from "../hold/lease.ts"
import { foreseen } from "./foreseen.ts"
import { learn } from "./learn.ts"
import { errorOf, now, type OpenRun, readAgain, storeFailed } from "../run/openRun.ts"
import * as ResponseEnd from "../run/responseEnd.ts"
import { reasonOf } from "../run/runReason.ts"
import { within } from "../follow/attachment.ts"
import { look } from "../follow/look.ts"
import { holdsOutput } from "../follow/rows.ts"
import * as StallWatch from "../follow/stallWatch.ts"
import { respond } from "./respond.ts"
import { stop } from "./stop.ts"
import { stuck } from "../run/stuck.ts"
import * as Telemetry from "../telemetry/telemetry.ts"

/** The result of one look at a run. */
export interface Look {
  readonly response: AgentResponse
  readonly record: RunRecord
  readonly state: RunState.RunState
  /** The provider no longer has the response, so that its output is missing. */
  readonly isGone?: true
  /** The pause before the next look for which the provider asks. */
  readonly pollAfter?: Duration.Duration
}

/** Whether a response that has ended shows no output, although some was delivered. */
const showsLess = (record: RunRecord, turn: number, { items, status }: ModelSnapshot): boolean => {
  const { delivered, turn: at } = record.position
  return (
    (status === "completed" || status === "incomplete") &&
    at === turn &&
    items.every(({ lanes, unread }) => lanes.length === 0 && unread !== true) &&
    holdsOutput(delivered)
  )
}

/** Options of `lookAtRun`. */
interface GlanceOptions {
  /** When a look that is refused for now is repeated; `requestRetry` by default. */
  readonly schedule?: Schedule.Schedule<unknown>
  readonly attempt?: number
}

/** Looks at a run once, records what the provider shows, and returns the state of the run after that. */
export const glance = Effect.fnUntraced(function* (
  run: OpenRun,
  { attempt = 1, schedule = run.policy.requestRetry }: GlanceOptions = {}
): Effect.fn.Return<Look, AgentError> {
  const record = yield* readAgain(run)
  const state = RunState.fold(record)
  const winner = RunState.winners(state).at(-1)
  run.known.responseId = winner?.responseId
  if (winner === undefined) return yield* unopened(run, record, state)

  const { responseId } = winner
  const turn = state.turns[winner.turn]
  // While tool calls are under way, or wait, the journal has all that there is to say.
  if (state.ended === undefined && turn?.end?.calls.some(({ external }) => !external) === true) {
    const later = record.lease === null ? yield* learned(run, record, []) : state
    return { response: respond(run, record, later, { items: [] }), record, state: later }
  }
  const { sequenceNumber } = run.from ?? record.position
  const telemetry = yield* Telemetry.make({
    model: run.model,
    policy: run.policy,
    agent: run.agent.name,
    counts: () => turn?.end === undefined,
    attempt: attempt - 1
  })
  const trouble = new Trouble({ runId: run.runId, agent: run.agent.name, responseId })
  const seen = yield* telemetry
    .attached({ agent: run.agent.name, runId: run.runId, how: "poll", sequenceNumber }, responseId)
    .pipe(
      Effect.flatMap((span) => within(span)(look(run.model, responseId, { schedule, trouble }))),
      Effect.tap((shown) =>
        shown._tag === "Shown" && isOver(shown.snapshot.status)
          ? telemetry.ended({ status: shown.snapshot.status, snapshot: shown.snapshot })
          : Effect.void
      ),
      Effect.scoped,
      Effect.mapError(errorOf(run))
    )
  if (seen._tag === "Gone") return yield* gone(run, record, state)
  const { pollAfter, snapshot } = seen
  if (showsLess(record, winner.turn, snapshot)) {
    return yield* errorOf(run)(
      new RunDiverged({ description: "the response shows no output, although some was delivered" })
    )
  }
  const isUnseen = turn?.end === undefined || state.ended === undefined
  // A foreground response ends with the process that followed it, even if the provider does not say so yet.
  const isLeft = !record.background && record.lease === null && turn?.end === undefined && state.ended === undefined
  const later =
    isOver(snapshot.status) && isUnseen
      ? yield* learned(run, record, [ResponseEnd.make(winner, { ...snapshot, snapshot }, run)])
      : isLeft
        ? yield* learned(run, record, [ResponseEnd.make(winner, { status: "cancelled" }, run)])
        : state
  return {
    response: respond(run, record, later, snapshot),
    record,
    state: later,
    ...(pollAfter === undefined ? {} : { pollAfter })
  }
})

const learned = (run: OpenRun, record: RunRecord, seen: Parameters<typeof learn>[2]) =>
  learn(run, record, seen).pipe(
    Effect.mapError((error) =>
      error._tag === "Gone" ? errorOf(run)(new RunNotFound({ runId: run.runId })) : storeFailed(run)(error)
    )
  )

const unopened = Effect.fnUntraced(function* (
  run: OpenRun,
  record: RunRecord,
  state: RunState.RunState
): Effect.fn.Return<Look, AgentError> {
  const why = state.ended === undefined ? stuck(run, record, yield* now) : undefined
  if (why !== undefined) return yield* errorOf(run)(why)
  const later = state.ended === undefined && record.lease === null ? yield* learned(run, record, []) : state
  return { response: respond(run, record, later, { items: [] }), record, state: later }
})

/** The provider does not have the run's response. Only the holder of the run may record that it expired. */
const gone = Effect.fnUntraced(function* (
  run: OpenRun,
  record: RunRecord,
  state: RunState.RunState
): Effect.fn.Return<Look, AgentError> {
  const winner = RunState.winners(state).at(-1)
  if (state.ended !== undefined || winner === undefined) {
    return { response: respond(run, record, state, { items: [] }), record, state, isGone: true }
  }
  const later = yield* Effect.scoped(expire(run, winner)).pipe(
    Effect.catchReason("AgentError", "RunLeased", () => Effect.succeed(state))
  )
  return { response: respond(run, record, later, { items: [] }), record, state: later }
})

const expire = Effect.fnUntraced(function* (
  run: OpenRun,
  { responseId, turn }: { readonly responseId: string; readonly turn: number }
): Effect.fn.Return<RunState.RunState, AgentError, Scope.Scope> {
  const held = yield* acquire(run)
  if (held.state().ended === undefined) {
    const status = held.record.background ? "expired" : "cancelled"
    held.note({ _tag: "ResponseEnded", turn, responseId, status, calls: [] })
    yield* held.flush
  }
  return foreseen(run, { ...held.record, journal: held.journal() })
})

/**
 * Looks at a run on the schedule `pollEvery`, and after each hint, until the run has ended, waits for its caller, or has
 * stalled.
 */
export const untilOver = (run: OpenRun): Effect.Effect<Look, AgentError> => Effect.scoped(looking(run))

/** Whether workers do not take a run yet, because of `notBefore`. */
const isAhead = ({ record, state }: Look, time: number): boolean =>
  record.input !== undefined &&
  record.lease === null &&
  state.turns.length === 0 &&
  state.ended === undefined &&
  record.due !== null &&
  record.due > time

const looking = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<Look, AgentError, Scope.Scope> {
  const { policy } = run
  const schedule = policy.reconnect
  const hint = yield* Hint.hear(run.store, run.runId)
  const pace = new Backoff.Backoff(policy.pollEvery)
  let attempt = 1
  let seen = yield* glance(run, { schedule })
  const again = Effect.suspend(() =>
    glance(run, { schedule, attempt: ++attempt }).pipe(
      Effect.retry({
        while: ({ isRetryable, reason }) => reason._tag === "StoreFailed" && isRetryable,
        schedule: Schedule.upTo(persistently, { duration: policy.closeTimeout })
      })
    )
  )
  // A run does not stall before its `notBefore`.
  while (isAhead(seen, yield* now) && (yield* hint(pace.wait(undefined), true))) seen = yield* again
  const { window } = run.model.demands(run.agent.options)
  const watch = yield* StallWatch.make({
    policy,
    errorOf: errorOf(run),
    seen: () => ({ ...seen.response, responseId: Option.getOrUndefined(seen.response.responseId) }),
    acceptedAt: RunState.winners(seen.state).at(-1)?.at,
    window
  })
  watch.heard()
  const slowest = window === undefined ? Duration.zero : Backoff.paceOf(window)
  const poll = Effect.gen(function* () {
    while (!isOver(seen.response.status) && seen.response.status !== "waiting") {
      const { status } = seen.response
      const wait = pace.wait(status, Duration.max(seen.pollAfter ?? Duration.zero, slowest))
      if (!(yield* hint(wait, true))) {
        return yield* errorOf(run)(watch.reason("it was polled as often as RunPolicy.pollEvery allows"))
      }
      seen = yield* again
      if (seen.response.status !== status) watch.waits()
    }
    return seen
  })
  const cancel = stop(run).pipe(
    Effect.retry({ while: ({ isRetryable }) => isRetryable, schedule: persistently }),
    Effect.timeoutOption(policy.closeTimeout),
    Effect.ignore
  )
  return yield* Effect.raceFirst(poll, watch.stalled).pipe(
    Effect.tapError(({ reason }) =>
      reason._tag === "RunStalled" && policy.onStall === "cancel" ? cancel : Effect.void
    )
  )
})

/** Returns the response of a look. Fails as the run did, or if its output can no longer be read. */
export const honest = (run: OpenRun, seen: Look): Effect.Effect<AgentResponse, AgentError> => {
  const { responseId } = seen.response
  const reason =
    reasonOf(run.agent, seen.state) ??
    (seen.isGone === true && Option.isSome(responseId) ? new RunExpired({ responseId: responseId.value }) : undefined)
  return reason === undefined ? Effect.succeed(seen.response) : Effect.fail(errorOf(run)(reason))
}
