import { type Cause, Duration, Effect, Exit, Fiber, Option, type Pull, Scope, Stream } from "effect"
import type { AiError } from "effect/ai"
import { type AgentError, RunNotFound, StoreFailed, Unconfirmed } from "../AgentError.ts"
import { CreateUnconfirmed, type ModelEvent, type ModelRequest, type ModelSnapshot } from "../BackgroundModel.ts"
import type { FactOf } from "../RunRecord.ts"
import * as Backoff from "./backoff.ts"
import { sendCancel } from "./cancelResponse.ts"
import type { HeldRun } from "./hold/heldRun.ts"
import { persistently } from "./hold/lease.ts"
import * as Trouble from "./hold/trouble.ts"
import { errorOf, type OpenRun } from "./openRun.ts"
import { Disconnected, type Telemetry } from "./telemetry.ts"

// How a turn's response is opened: the intent is recorded, then the request is sent, then its outcome is recorded. From
// the request on nothing stops this but its own end: who leaves the run, or loses it, waits for the answer for
// `closeTimeout`, as otherwise what was bought could not be found.

type Failure = AiError.AiError | CreateUnconfirmed
type Events = Pull.Pull<ReadonlyArray<ModelEvent>, Failure>

/** A response that this process opened, and its connection, which lasts as long as the scope it was opened in. */
export interface Opened {
  readonly responseId: string
  readonly streamed: boolean
  /** What the provider said until it named the response. */
  readonly first: ReadonlyArray<ModelEvent>
  readonly rest: Events
  readonly connection: Scope.Closeable
}

/** What became of a request. */
type Outcome =
  | { readonly _tag: "Named"; readonly opened: Opened }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError }
  | { readonly _tag: "Unknown"; readonly error?: AiError.AiError }

/** What became of a turn: another response may be its winner, or the run moved on before the request was sent. */
export type Result =
  | { readonly _tag: "Opened"; readonly opened: Opened }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError }
  | { readonly _tag: "Moved" }

/** Opens the response of a turn. Fails with `Unconfirmed` if the request's outcome is not known. */
export const open = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun,
  turn: number,
  options: { readonly request: ModelRequest; readonly streamed: boolean; readonly telemetry: Telemetry }
): Effect.fn.Return<Result, AgentError, Scope.Scope> {
  const scope = yield* Scope.Scope
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
  const connection = yield* Scope.fork(scope)
  const opening = yield* Scope.make()
  const work = exchange(run, options, connection).pipe(
    Effect.tap((answer) => closed(connection, answer)),
    Effect.flatMap((answer) => recorded(run, held, turn, incarnation, name, answer, refuse)),
    Effect.ensuring(Effect.sync(() => void held.underWay.delete(name)))
  )
  const fiber = yield* Effect.forkIn(work, opening)
  const answered = Effect.andThen(
    Effect.timeoutOption(Fiber.await(fiber), run.policy.closeTimeout),
    Scope.close(opening, Exit.void)
  )
  yield* Scope.addFinalizer(scope, answered)
  const first = yield* Effect.raceFirst(Effect.exit(Fiber.join(fiber)), Effect.flip(held.lost))
  if (first._tag !== "AgentError") return yield* first
  // The error tells what was bought, if the answer comes in time.
  yield* answered
  return yield* errorOf(run)(first.reason)
})

/** A connection that named no response is done with, and its span ends as the request did. */
const closed = (connection: Scope.Closeable, outcome: Outcome): Effect.Effect<void> => {
  switch (outcome._tag) {
    case "Named":
      return Effect.void
    case "Refused":
      return Scope.close(connection, Exit.fail(outcome.error))
    case "Unknown": {
      const { error } = outcome
      return Scope.close(
        connection,
        Exit.fail(error === undefined ? new Disconnected() : new CreateUnconfirmed({ error }))
      )
    }
  }
}

/** Nothing but the log knows of this response now. */
const forgotten = (run: OpenRun, responseId: string) =>
  Effect.annotateLogs(
    Effect.logError(
      "baton: the id of a response that was bought could not be recorded: look for it at the provider",
      responseId
    ),
    { runId: run.runId, agent: run.agent.name, responseId }
  )

/** Sends the request, and reads until the provider named the response. */
const exchange = (
  run: OpenRun,
  {
    request,
    streamed,
    telemetry
  }: { readonly request: ModelRequest; readonly streamed: boolean; readonly telemetry: Telemetry },
  connection: Scope.Closeable
): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    const { agent, model, policy, runId } = run
    const span = yield* telemetry
      .attached({ agent: agent.name, runId, how: "create", sequenceNumber: -1 })
      .pipe(Scope.provide(connection))
    const named = (responseId: string) => {
      run.known.responseId = responseId
      telemetry.named(responseId)
    }
    const first: Array<ModelEvent> = []
    const failed = (error: Failure): Outcome =>
      error._tag === "CreateUnconfirmed"
        ? { _tag: "Unknown", error: error.error }
        : // A request that was answered was not refused, though the answer broke off before it named the response.
          first.length === 0
          ? { _tag: "Refused", error }
          : { _tag: "Unknown", error }

    if (!streamed) {
      const submitted = yield* Effect.result(Effect.withParentSpan(model.submit(request), span))
      if (submitted._tag === "Failure") return failed(submitted.failure)
      const snapshot: ModelSnapshot = submitted.success
      named(snapshot.responseId)
      return {
        _tag: "Named",
        opened: { responseId: snapshot.responseId, streamed, first, rest: Effect.never, connection }
      } satisfies Outcome
    }

    const rest: Events = yield* Stream.toPull(model.create(request)).pipe(
      Scope.provide(connection),
      Effect.withParentSpan(span),
      Effect.map((pull) => Effect.withParentSpan(pull, span))
    )
    while (true) {
      const read = yield* rest.pipe(
        Effect.timeoutOption(policy.idleTimeout),
        Effect.matchCause({
          onSuccess: (events) => ({ events: Option.getOrUndefined(events), error: undefined }),
          onFailure: (cause) => ({ events: undefined, error: failureIn(cause) })
        })
      )
      if (read.error !== undefined) return failed(read.error)
      // The connection ended, or was silent for too long.
      if (read.events === undefined) return { _tag: "Unknown" } satisfies Outcome
      first.push(...read.events)
      const responseId = read.events.find((event) => event.responseId !== undefined)?.responseId
      if (responseId === undefined) continue
      named(responseId)
      return {
        _tag: "Named",
        opened: { responseId, streamed: request.background, first, rest, connection }
      } satisfies Outcome
    }
  }).pipe(
    // Signs of life alone do not keep a request waiting for ever.
    Effect.timeoutOrElse({
      duration: Duration.min(run.policy.maxQueued, Duration.min(run.policy.maxSilence, run.policy.maxFollowed)),
      orElse: () => Effect.succeed<Outcome>({ _tag: "Unknown" })
    }),
    // What a model that does not keep to its types comes to: the request may have been sent.
    Effect.catchDefect((defect) =>
      Effect.as(Effect.logError("baton: a model failed while it opened a response", defect), {
        _tag: "Unknown"
      } as Outcome)
    )
  )

const failureIn = (cause: Cause.Cause<Failure | Cause.Done>): Failure | undefined => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail" && (reason.error._tag === "AiError" || reason.error._tag === "CreateUnconfirmed")) {
      return reason.error
    }
  }
  return undefined
}

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
    case "Named": {
      const { responseId, streamed } = outcome.opened
      const fact = {
        ...held.own({ _tag: "Accepted", turn, try: name, responseId, streamed }),
        incarnation
      } as FactOf<"Accepted">
      return held.observe(fact).pipe(
        Effect.tapError((error) => (error._tag === "Gone" ? Effect.void : forgotten(run, responseId))),
        Effect.onInterrupt(() => forgotten(run, responseId)),
        Effect.matchEffect({
          onSuccess: () => won(held, turn, outcome.opened),
          onFailure: (error) =>
            error._tag === "Gone"
              ? Effect.andThen(abandon(run, fact), Effect.fail(fail(new RunNotFound({ runId: run.runId }))))
              : Effect.fail(fail(new StoreFailed({ error })))
        })
      )
    }
  }
}

const won = (held: HeldRun, turn: number, opened: Opened): Effect.Effect<Result> => {
  const { responseId } = opened
  if (held.state().turns[turn]?.winner?.responseId === responseId && held.state().ended === undefined) {
    return Effect.succeed({ _tag: "Opened", opened })
  }
  // Another response is the turn's, or the run is over: nobody waits for this one.
  held.sendCancels()
  return Effect.as(Scope.close(opened.connection, Exit.void), { _tag: "Moved" })
}

/** The run was removed while its request was under way: what it bought is stopped and deleted here, or by nobody. */
const abandon = (run: OpenRun, fact: FactOf<"Accepted">) =>
  Effect.gen(function* () {
    yield* Effect.logWarning("baton: a run was removed while its request was under way: its response is deleted")
    yield* Effect.ignore(sendCancel(run, fact, { by: fact.by, persist: true }))
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
  const pace = yield* Backoff.make(run.policy.requestRetry)
  const trouble = Trouble.make({ runId: run.runId, agent: run.agent.name })
  return {
    accepted: trouble.ended,
    wait: Effect.fnUntraced(function* (error) {
      yield* trouble.began("the request that opens a run was refused, and is sent again", error.message)
      // What others record may leave nothing to open.
      const isPatient = yield* Effect.raceAllFirst([
        pace.wait(error, error.retryAfter),
        held.lost,
        Effect.as(held.moved, true)
      ])
      if (!isPatient) return yield* errorOf(run)(error)
    })
  }
})
