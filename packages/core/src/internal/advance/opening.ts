import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as AiError from "effect/ai/AiError"
import { type AgentError, BackgroundUnsupported, RunNotFound, StoreFailed, Unconfirmed } from "../../AgentError.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { Accepted, Refused } from "../../Followed.ts"
import type { FactOf } from "../../RunRecord.ts"
import { sendCancel } from "../run/cancelResponse.ts"
import * as Backoff from "../primitives/backoff.ts"
import type { Pulled } from "../follow/follower.ts"
import { makePull } from "../follow/makePull.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import { persistently } from "../hold/lease.ts"
import { Trouble } from "../telemetry/trouble.ts"
import { errorOf, type OpenRun } from "../run/openRun.ts"
import type { Telemetry } from "../telemetry/telemetry.ts"

// To open a turn's response, the intent is recorded, then the request is sent, then its outcome is recorded. Once the
// request is sent, only its own end stops this: a process that leaves or loses the run still waits for the answer for
// `closeTimeout`, because otherwise nobody could find a response that was bought.

/** A response that this process opened, and a pull of its updates that lasts as long as its scope. */
interface Opened extends Accepted {
  readonly pull: Pulled
}

/** The outcome of a request. */
type Outcome = Opened | Refused | { readonly _tag: "Unknown"; readonly error?: AiError.AiError }

/** The result for the turn. `Moved`: another response is its winner, or the run changed before the request was sent. */
export type Result =
  | { readonly _tag: "Opened"; readonly opened: Opened }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError }
  | { readonly _tag: "Moved" }

/** Options of `open`. */
export interface OpeningOptions {
  readonly request: ModelRequest
  readonly streamed: boolean
  /** The position before the turn. */
  readonly from: ContinuationToken
  readonly telemetry: Telemetry
}

/** Opens the response of a turn. Fails with `Unconfirmed` if the request's outcome is not known. */
export const open = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun,
  turn: number,
  options: OpeningOptions
): Effect.fn.Return<Result, AgentError, Scope.Scope> {
  const name = held.nextTry()
  const incarnation = held.state().incarnation
  const refuse = (error?: AiError.AiError) =>
    held.observe({
      ...held.own({
        _tag: "Refused",
        turn,
        try: name,
        ...(error === undefined ? {} : { error, final: !error.isRetryable })
      }),
      incarnation
    })
  // Bounded by time: nothing was bought, and without this fact the next worker can only ask a person.
  const withdraw = refuse().pipe(Effect.interruptible, Effect.timeoutOption(run.policy.closeTimeout), Effect.ignore)

  // A commit that failed, or whose result was lost, may have been applied.
  const outcome = yield* held.decide([{ _tag: "Requested", turn, try: name }]).pipe(Effect.onError(() => withdraw))
  if (outcome === "moved") return { _tag: "Moved" }
  const state = held.state()
  if (state.cancelled || state.ended !== undefined || state.turns[turn]?.winner !== undefined) {
    yield* withdraw
    return { _tag: "Moved" }
  }
  // If this worker stood still since the commit, another may hold the run by now, and may have sent a request.
  const gone = held.gone()
  if (gone !== undefined) {
    yield* withdraw
    return yield* gone
  }

  held.underWay.add(name)
  // Errors must name the response of this turn, not one of an earlier turn.
  run.known.responseId = undefined
  const work = exchange(run, held, options).pipe(
    Effect.flatMap((answer) => recorded(run, held, turn, incarnation, name, answer, refuse)),
    Effect.ensuring(Effect.sync(() => void held.underWay.delete(name)))
  )
  const fiber = yield* Effect.forkDetach(work)
  const answered = Effect.suspend(() =>
    fiber.pollUnsafe() === undefined
      ? Effect.andThen(Effect.timeoutOption(Fiber.await(fiber), run.policy.closeTimeout), Fiber.interrupt(fiber))
      : Effect.void
  )
  const first = yield* Effect.ensuring(endOf(fiber, held), answered)
  // By now the error can name the response that was bought, if the answer came in time.
  return yield* first._tag === "AgentError" ? errorOf(run)(first.reason) : first
})

/** Waits until the fiber has ended, or the lease is lost. */
const endOf = <A, E>(fiber: Fiber.Fiber<A, E>, held: HeldRun): Effect.Effect<Exit.Exit<A, E> | AgentError> =>
  Effect.callback((resume) => {
    const off = held.lost.on((error) => resume(Effect.succeed(error)))
    fiber.addObserver((exit) => {
      off()
      resume(Effect.succeed(exit))
    })
    return Effect.sync(off)
  })

/** Sends the request, and waits until the provider has named the response. */
const exchange = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun,
  { from, request, streamed, telemetry }: OpeningOptions
): Effect.fn.Return<Outcome, never, Scope.Scope> {
  const pull = yield* makePull(run, { request, streamed }, from, {
    lost: held.lost,
    stopped: held.stopped,
    woken: held.woken,
    telemetry
  })
  return yield* pull.pipe(
    Effect.map(([answer]): Outcome => {
      if (answer._tag === "Refused") return answer
      if (answer._tag !== "Accepted") return { _tag: "Unknown" }
      run.known.responseId = answer.responseId
      return { ...answer, pull }
    }),
    Effect.catch((error) =>
      Effect.succeed<Outcome>(
        error._tag === "AgentError" && error.reason._tag === "Unconfirmed"
          ? { _tag: "Unknown", ...(error.reason.error === undefined ? {} : { error: error.reason.error }) }
          : { _tag: "Unknown" }
      )
    )
  )
})

/** Logs the id of a response that could not be recorded: the log is now its only trace. */
const forgotten = (run: OpenRun, responseId: string) =>
  Effect.annotateLogs(
    Effect.logError(
      "baton: the id of a response that was bought could not be recorded; look for the response at the provider",
      responseId
    ),
    { runId: run.runId, agent: run.agent.name, responseId }
  )

/** Records the outcome of the request, and returns the result for the turn. */
const recorded = (
  run: OpenRun,
  held: HeldRun,
  turn: number,
  incarnation: number,
  name: string,
  outcome: Outcome,
  refuse: (error: AiError.AiError) => ReturnType<HeldRun["observe"]>
): Effect.Effect<Result, AgentError> => {
  const fail = errorOf(run)
  switch (outcome._tag) {
    case "Unknown":
      return Effect.fail(fail(new Unconfirmed(outcome.error === undefined ? {} : { error: outcome.error })))
    case "Refused":
      return refuse(outcome.error).pipe(
        Effect.as({ _tag: "Refused", error: outcome.error } as const),
        Effect.catchTags({
          Gone: () => Effect.fail(fail(new RunNotFound({ runId: run.runId }))),
          TokenStoreError: (error) => Effect.fail(fail(new StoreFailed({ error })))
        })
      )
    case "Accepted": {
      const { responseId, streamed } = outcome
      const fact = {
        ...held.own({ _tag: "Accepted", turn, try: name, responseId, streamed }),
        incarnation
      } as FactOf<"Accepted">
      return held.observe(fact).pipe(
        Effect.tapError((error) => (error._tag === "Gone" ? Effect.void : forgotten(run, responseId))),
        Effect.onInterrupt(() => forgotten(run, responseId)),
        Effect.matchEffect({
          onSuccess: () => won(run, held, turn, outcome),
          onFailure: (error) =>
            error._tag === "Gone"
              ? Effect.andThen(abandon(run, fact), Effect.fail(fail(new RunNotFound({ runId: run.runId }))))
              : Effect.fail(fail(new StoreFailed({ error })))
        })
      )
    }
  }
}

const won = (run: OpenRun, held: HeldRun, turn: number, opened: Opened): Effect.Effect<Result, AgentError> => {
  const { responseId } = opened
  if (held.state().turns[turn]?.winner?.responseId === responseId && held.state().ended === undefined) {
    return run.record.background && opened.background === false
      ? unsupported(run, held, turn, opened)
      : Effect.succeed({ _tag: "Opened", opened })
  }
  // Another response is the turn's winner, or the run has ended: this response must be cancelled.
  held.sendCancels()
  return Effect.succeed({ _tag: "Moved" })
}

/** The provider ignored the request for a background response: this one ends with its connection. */
const unsupported = Effect.fnUntraced(function* (run: OpenRun, held: HeldRun, turn: number, opened: Opened) {
  const { responseId } = opened
  held.note({ _tag: "ResponseEnded", turn, responseId, status: "cancelled", calls: [] })
  yield* Effect.ignore(held.flush)
  const provider = `${run.model.provider} ${run.model.model}`
  return yield* Effect.fail(errorOf(run)(new BackgroundUnsupported({ provider })))
})

/** The run was removed while its request was under way: only this process can cancel and delete the response. */
const abandon = (run: OpenRun, fact: FactOf<"Accepted">) =>
  Effect.gen(function* () {
    yield* Effect.logWarning(
      "baton: a run was removed while its request was under way; its response is cancelled and deleted"
    )
    yield* Effect.ignore(sendCancel(run, fact, { by: fact.by }))
    yield* Effect.ignore(
      Effect.retry(run.model.remove(fact.responseId), { while: (error) => error.isRetryable, schedule: persistently })
    )
  }).pipe(
    Effect.onInterrupt(() => forgotten(run, fact.responseId)),
    Effect.annotateLogs({ runId: run.runId, agent: run.agent.name, responseId: fact.responseId })
  )

/** Waits by `RunPolicy.requestRetry` after a refusal that is retryable; fails with the refusal once the schedule ends. */
export interface Patience {
  readonly wait: (error: AiError.AiError) => Effect.Effect<void, AgentError>
  /** A request was accepted. */
  readonly accepted: Effect.Effect<void>
}

/** Makes a `Patience` for the requests of one run. */
export const patience = Effect.fnUntraced(function* (run: OpenRun, held: HeldRun): Effect.fn.Return<Patience> {
  const pace = new Backoff.Backoff(run.policy.requestRetry)
  const trouble = new Trouble({ runId: run.runId, agent: run.agent.name })
  return {
    accepted: trouble.ended(),
    wait: Effect.fnUntraced(function* (error) {
      yield* trouble.began("the request that opens a run was refused, and is sent again later", error.message)
      // A new fact may leave nothing to open.
      const isPatient = yield* Effect.raceAllFirst([
        pace.wait(error, error.retryAfter),
        held.untilLost,
        Effect.as(held.moved, true)
      ])
      if (!isPatient) return yield* errorOf(run)(error)
    })
  }
})
