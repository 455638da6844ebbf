import { type Duration, Effect, Option, type Scope, Stream } from "effect"
import type { AiError } from "effect/ai"
import type { LeaseOptions } from "../Agent.ts"
import { AgentError, Unconfirmed } from "../AgentError.ts"
import { fromSnapshot, type AgentResponse } from "../AgentResponse.ts"
import type { ModelSnapshot } from "../BackgroundModel.ts"
import * as ContinuationToken from "../ContinuationToken.ts"
import { isOver } from "../Run.ts"
import type { Attachment } from "../RunPolicy.ts"
import * as RunRecord from "../RunRecord.ts"
import { extend } from "../Session.ts"
import { accept, advance, endOf, hold, intend, openable } from "./advance.ts"
import * as Backoff from "./backoff.ts"
import type { Ending } from "./cursor.ts"
import { failure } from "./follow.ts"
import type { HeldRun } from "./heldRun.ts"
import { checkVersion, storeFailed, type OpenRun } from "./openRun.ts"
import * as StallWatch from "./stallWatch.ts"
import * as Telemetry from "./telemetry.ts"

/** What one look at a run shows. */
interface Look {
  readonly response: AgentResponse
  /** Why a failed run failed. */
  readonly error?: AiError.AiError
  /** When the provider wants to be asked again. */
  readonly pollAfter?: Duration.Duration
}

type Shown = Pick<ModelSnapshot, "status" | "lanes" | "finish">

const nothing = (status: ModelSnapshot["status"]): Shown => ({ status, lanes: [] })

const respond = (
  run: OpenRun,
  record: RunRecord.RunRecord,
  shown: Shown,
  responseId: string | undefined
): AgentResponse =>
  fromSnapshot(shown, {
    runId: run.runId,
    responseId: Option.fromUndefinedOr(responseId),
    session: responseId === undefined ? record.session : extend(record.session, responseId),
    continuationToken:
      isOver(shown.status) || !record.background
        ? Option.none()
        : Option.some(run.from ?? record.token ?? ContinuationToken.start(run.agent.name, run.runId))
  })

const refusal = (run: OpenRun) => (error: AiError.AiError) =>
  Effect.fail(new AgentError({ runId: run.runId, reason: error }))

/** Opens a background run without streaming it. */
export const submit = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<AgentResponse, AgentError> {
  yield* checkVersion(run)
  if (RunRecord.opening(run.record, 0)._tag === "Accepted" || run.record.token === null) {
    return (yield* glance(run)).response
  }
  return yield* Effect.scoped(open(run))
})

const open = Effect.fnUntraced(function* (run: OpenRun) {
  const held = yield* hold(run)
  const opening = RunRecord.opening(held.record, 0)
  if (opening._tag === "Accepted" || held.record.token === null) return (yield* glance(run)).response
  const request = yield* openable(run, opening)
  let attempt = 0
  const submitted = Effect.suspend(() =>
    attach(run, { how: "create", attempt: ++attempt, sequenceNumber: -1 }, ({ named }) =>
      Effect.tap(run.model.submit(request), ({ responseId }) => Effect.sync(() => named(responseId)))
    )
  )
  const snapshot = yield* Effect.andThen(intend(held), submitted).pipe(
    Effect.tapErrorTag("AiError", () => held.write("queued", [{ _tag: "Refused", turn: 0 }])),
    Effect.retry(Backoff.patiently(run.policy.request)),
    Effect.catchTags({
      AiError: refusal(run),
      CreateUnconfirmed: ({ error }) =>
        Effect.fail(new AgentError({ runId: run.runId, reason: new Unconfirmed({ runId: run.runId, error }) }))
    })
  )
  yield* accept(run.model, held, snapshot.responseId, false)
  return respond(run, held.record, snapshot, snapshot.responseId)
})

/** One attachment to the run, told to the policy's hook and in a span. */
const attach = <A, E>(
  { agent, model, policy, runId }: OpenRun,
  attachment: Pick<Attachment, "how" | "attempt" | "sequenceNumber">,
  use: (telemetry: Telemetry.Telemetry) => Effect.Effect<A, E>,
  responseId?: string
): Effect.Effect<A, E> =>
  Telemetry.make({ model, policy, agent: agent.name, counts: false }).pipe(
    Effect.flatMap((telemetry) =>
      Effect.flatMap(telemetry.attached({ agent: agent.name, runId, ...attachment }, responseId), (span) =>
        Effect.withParentSpan(use(telemetry), span)
      )
    ),
    Effect.scoped
  )

/** Looks at a run once, and records its end where nobody else is about to. */
export const glance = Effect.fnUntraced(function* (run: OpenRun, attempt = 1): Effect.fn.Return<Look, AgentError> {
  const { runId, store } = run
  const found = yield* store.read(runId).pipe(Effect.mapError(storeFailed(runId)))
  const record = Option.getOrElse(found, () => run.record)
  const opening = RunRecord.opening(record, 0)
  if (opening._tag !== "Accepted") {
    if (RunRecord.ended(record) !== undefined || record.lease !== null) {
      return { response: respond(run, record, nothing(record.status), undefined) }
    }
    if (opening._tag === "None" && RunRecord.cancelRequested(record)) {
      // Nothing was opened, and nothing will be: whoever acquires the run sees the signal before it opens anything.
      const cancelled = nothing("cancelled")
      yield* whileFree(run, (held) =>
        Effect.andThen(
          Effect.sync(() => held.finish(endOf(cancelled))),
          held.flush
        )
      )
      return { response: respond(run, record, cancelled, undefined) }
    }
    yield* openable(run, opening)
    return { response: respond(run, record, nothing(record.status), undefined) }
  }
  const { responseId } = opening
  const { sequenceNumber = -1 } = run.from ?? record.token ?? {}
  const seen = yield* attach(
    run,
    { how: "poll", attempt, sequenceNumber },
    ({ ended }) =>
      run.model.retrieve(responseId).pipe(
        Effect.retry(Backoff.patiently(run.policy.request)),
        Effect.tap(({ snapshot }) =>
          isOver(snapshot.status) ? ended({ status: snapshot.status, snapshot }) : Effect.void
        )
      ),
    responseId
  ).pipe(
    Effect.catchTags({
      AiError: refusal(run),
      ResponseGone: () =>
        Effect.succeed({ snapshot: { ...nothing("expired"), responseId } as ModelSnapshot, pollAfter: undefined })
    })
  )
  const { snapshot, pollAfter } = seen
  if (isOver(snapshot.status) && RunRecord.ended(record) === undefined) {
    yield* settle(run, snapshot)
  }
  return {
    response: respond(run, record, snapshot, responseId),
    ...(snapshot.error === undefined ? {} : { error: snapshot.error }),
    ...(pollAfter === undefined ? {} : { pollAfter })
  }
})

// The position stays: whoever streams the run has still to read what is left.
const settle = (run: OpenRun, snapshot: ModelSnapshot) =>
  whileFree(run, (held) =>
    Effect.andThen(held.write(snapshot.status, [endOf(snapshot)]), Telemetry.used(run.model, run.agent.name, snapshot))
  )

/** Does something to a run that is not known to be over, unless a worker holds it. */
const whileFree = <A>(run: OpenRun, change: (held: HeldRun) => Effect.Effect<A, AgentError>) =>
  Effect.scoped(
    Effect.flatMap(hold(run), (held) =>
      RunRecord.ended(held.record) === undefined ? Effect.asVoid(change(held)) : Effect.void
    )
  ).pipe(Effect.catchReason("AgentError", "RunLeased", () => Effect.void))

/** Polls on the policy's schedule until the run is over, or has stalled. */
export const untilOver = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<Look, AgentError> {
  let attempt = 1
  let look = yield* glance(run, attempt)
  const pace = yield* Backoff.make(run.policy.poll)
  const watch = yield* StallWatch.make({
    ...run,
    seen: () => ({ ...look.response, responseId: Option.getOrUndefined(look.response.responseId) })
  })
  const poll = Effect.gen(function* () {
    while (!isOver(look.response.status)) {
      const { status } = look.response
      if (!(yield* pace.wait(status, look.pollAfter))) {
        const description = "it was polled as often as the policy says"
        return yield* new AgentError({ runId: run.runId, reason: watch.reason(description) })
      }
      look = yield* glance(run, ++attempt)
      if (look.response.status !== status) watch.waits()
    }
    return look
  })
  return yield* Effect.raceFirst(poll, watch.stalled)
})

const honest = (run: OpenRun, { response, error }: Look): Effect.Effect<AgentResponse, AgentError> => {
  const reason = failure(
    response.status,
    Option.getOrElse(response.responseId, () => ""),
    error
  )
  return reason === undefined ? Effect.succeed(response) : Effect.fail(new AgentError({ runId: run.runId, reason }))
}

/** The response of a run that is over; fails as the run did. */
export const result = (run: OpenRun): Effect.Effect<AgentResponse, AgentError> =>
  Effect.flatMap(untilOver(run), (look) => honest(run, look))

/** Follows a run to its end, and answers the whole of it. */
export const complete = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions
): Effect.fn.Return<AgentResponse, AgentError> {
  let ending: Ending | undefined
  yield* Stream.runDrain(Stream.unwrap(advance(run, { ...options, onEnd: (how) => void (ending = how) })))
  const snapshot = ending?.snapshot
  return snapshot === undefined ? yield* result(run) : respond(run, run.record, snapshot, snapshot.responseId)
})

/** Asks for the end of a run, and follows it to its true end if asked to wait. */
export const cancel = Effect.fnUntraced(function* (
  run: OpenRun,
  wait: boolean
): Effect.fn.Return<AgentResponse, AgentError> {
  const { model, runId, store } = run
  yield* store.signal(runId, { _tag: "Cancel" }).pipe(
    Effect.catchTags({
      TokenStoreError: (error) => Effect.fail(storeFailed(runId)(error)),
      RunNotFound: (reason) => Effect.fail(new AgentError({ runId, reason }))
    })
  )
  const found = yield* store.read(runId).pipe(Effect.mapError(storeFailed(runId)))
  const record = Option.getOrElse(found, () => run.record)
  const opening = RunRecord.opening(record, 0)
  if (opening._tag === "Accepted") {
    yield* model
      .cancel(opening.responseId)
      .pipe(
        Effect.retry(Backoff.patiently(run.policy.request)),
        Effect.catchTags({ AiError: refusal(run), ResponseGone: () => Effect.void })
      )
  }
  return (yield* wait ? untilOver(run) : glance(run)).response
})

/** Forgets a run, at the provider and in the store. */
export const remove = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<void, AgentError, Scope.Scope> {
  const held = yield* hold(run)
  for (const responseId of RunRecord.responseIds(held.record)) {
    yield* run.model
      .remove(responseId)
      .pipe(Effect.retry(Backoff.patiently(run.policy.request)), Effect.catchTag("AiError", refusal(run)))
  }
  yield* run.store.remove(run.runId).pipe(Effect.mapError(storeFailed(run.runId)))
}, Effect.scoped)
