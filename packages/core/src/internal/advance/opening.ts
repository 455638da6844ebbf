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

// How a turn's response is opened: the intent is recorded, then the request is sent, then its outcome is recorded. From
// the request on nothing stops this but its own end: who leaves the run, or loses it, waits for the answer for
// `closeTimeout`, as otherwise what was bought could not be found.

/** A response that this process opened, and what follows it, for as long as the scope that it was opened in lasts. */
interface Opened extends Accepted {
  readonly pull: Pulled
}

/** What became of a request. */
type Outcome = Opened | Refused | { readonly _tag: "Unknown"; readonly error?: AiError.AiError }

/** What became of a turn: another response may be its winner, or the run moved on before the request was sent. */
export type Result =
  | { readonly _tag: "Opened"; readonly opened: Opened }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError }
  | { readonly _tag: "Moved" }

/** How a turn is opened. */
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
  // Bounded: nothing was bought, and whoever takes the run next can only ask a person.
  const withdraw = refuse().pipe(Effect.interruptible, Effect.timeoutOption(run.policy.closeTimeout), Effect.ignore)

  // A commit that failed, or whose answer was lost, may have been applied all the same.
  const outcome = yield* held.decide([{ _tag: "Requested", turn, try: name }]).pipe(Effect.onError(() => withdraw))
  if (outcome === "moved") return { _tag: "Moved" }
  const state = held.state()
  if (state.cancelled || state.ended !== undefined || state.turns[turn]?.winner !== undefined) {
    yield* withdraw
    return { _tag: "Moved" }
  }
  // A worker that stood still since then may be one of two, and the other may have sent the request.
  const gone = held.gone()
  if (gone !== undefined) {
    yield* withdraw
    return yield* gone
  }

  held.underWay.add(name)
  // An error tells the response that was bought, not one of an earlier turn.
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
  // The error tells what was bought, if the answer came in time.
  return yield* first._tag === "AgentError" ? errorOf(run)(first.reason) : first
})

/** Waits until the work is over, or the run is lost. */
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

/** Nothing but the log knows of this response now. */
const forgotten = (run: OpenRun, responseId: string) =>
  Effect.annotateLogs(
    Effect.logError(
      "baton: the id of a response that was bought could not be recorded: look for it at the provider",
      responseId
    ),
    { runId: run.runId, agent: run.agent.name, responseId }
  )

/** Records the outcome, and tells what came of the turn. */
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
  // Another response is the turn's, or the run is over: nobody waits for this one.
  held.sendCancels()
  return Effect.succeed({ _tag: "Moved" })
}

/** The provider ran the response in the foreground, though it was asked for the background: it ends with its connection. */
const unsupported = Effect.fnUntraced(function* (run: OpenRun, held: HeldRun, turn: number, opened: Opened) {
  const { responseId } = opened
  held.note({ _tag: "ResponseEnded", turn, responseId, status: "cancelled", calls: [] })
  yield* Effect.ignore(held.flush)
  const provider = `${run.model.provider} ${run.model.model}`
  return yield* Effect.fail(errorOf(run)(new BackgroundUnsupported({ provider })))
})

/** The run was removed while its request was under way: what it bought is stopped and deleted here, or by nobody. */
const abandon = (run: OpenRun, fact: FactOf<"Accepted">) =>
  Effect.gen(function* () {
    yield* Effect.logWarning("baton: a run was removed while its request was under way: its response is deleted")
    yield* Effect.ignore(sendCancel(run, fact, { by: fact.by }))
    yield* Effect.ignore(
      Effect.retry(run.model.remove(fact.responseId), { while: (error) => error.isRetryable, schedule: persistently })
    )
  }).pipe(
    Effect.onInterrupt(() => forgotten(run, fact.responseId)),
    Effect.annotateLogs({ runId: run.runId, agent: run.agent.name, responseId: fact.responseId })
  )

/** Waits as the policy says after a request was refused for now; fails with the refusal when it says no more. */
export interface Patience {
  readonly wait: (error: AiError.AiError) => Effect.Effect<void, AgentError>
  /** A request was accepted. */
  readonly accepted: Effect.Effect<void>
}

/** The patience of one caller with one run. */
export const patience = Effect.fnUntraced(function* (run: OpenRun, held: HeldRun): Effect.fn.Return<Patience> {
  const pace = new Backoff.Backoff(run.policy.requestRetry)
  const trouble = new Trouble({ runId: run.runId, agent: run.agent.name })
  return {
    accepted: trouble.ended(),
    wait: Effect.fnUntraced(function* (error) {
      yield* trouble.began("the request that opens a run was refused, and is sent again", error.message)
      // What others record may leave nothing to open.
      const isPatient = yield* Effect.raceAllFirst([
        pace.wait(error, error.retryAfter),
        held.untilLost,
        Effect.as(held.moved, true)
      ])
      if (!isPatient) return yield* errorOf(run)(error)
    })
  }
})
