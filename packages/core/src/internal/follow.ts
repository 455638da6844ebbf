import { Cause, Deferred, type Duration, Effect, Exit, Pull, Scope, Stream } from "effect"
import type { AiError } from "effect/ai"
import { AgentError, RunCancelled, RunDiverged, RunExpired, RunFailed, Unconfirmed } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type {
  BackgroundModel,
  CreateUnconfirmed,
  ModelEvent,
  ModelSnapshot,
  ReplayUnavailable,
  ResponseGone
} from "../BackgroundModel.ts"
import type { ContinuationToken } from "../ContinuationToken.ts"
import { isOver, type RunId } from "../Run.ts"
import type { RunPolicy } from "../RunPolicy.ts"
import * as Backoff from "./backoff.ts"
import * as Cursor from "./cursor.ts"
import * as StallWatch from "./stallWatch.ts"
import * as Telemetry from "./telemetry.ts"

type Loss = AiError.AiError | CreateUnconfirmed | ReplayUnavailable | ResponseGone | AgentError
type Batch = readonly [AgentUpdate, ...Array<AgentUpdate>]
type Updates = Pull.Pull<Batch, AgentError>

type Events = Pull.Pull<ReadonlyArray<ModelEvent>, Loss>

/** What to follow, and whom to tell. */
export interface Options {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  readonly runId: RunId
  readonly background: boolean
  /** Opens the response, or names the one to attach to. */
  readonly source:
    | { readonly _tag: "Create"; readonly events: Stream.Stream<ModelEvent, Loss> }
    | { readonly _tag: "Attach"; readonly responseId: string; readonly streamed: boolean }
  /** The position after which the first update comes. */
  readonly from: ContinuationToken
  /** The response has a name: called before anything of it is delivered. */
  readonly accepted: (responseId: string) => Effect.Effect<void, AgentError>
  /** The request that opens the response was refused, and nothing was bought. */
  readonly refused: Effect.Effect<void, AgentError>
  /** The response is over: called before its last update is delivered. */
  readonly ended: (ending: Cursor.Ending) => void
  /** Fails when this worker may not go on. */
  readonly lost: Effect.Effect<never, AgentError>
  /** Whether the tokens of the run are counted here: not by who reads along, nor twice. */
  readonly counts: boolean
}

/**
 * Follows one response to its true end: attaches, drops what was delivered before, attaches again when the connection
 * ends without a terminal event, and polls where the provider does not replay. One read becomes one array of updates.
 */
export const follow = (options: Options): Stream.Stream<AgentUpdate, AgentError> =>
  Stream.scoped(Stream.fromPull(makePull(options)))

const makePull = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Updates, never, Scope.Scope> {
  const { model, policy, runId, source } = options
  const scope = yield* Effect.scope
  const cursor = Cursor.make({
    from: options.from,
    background: options.background,
    responseId: source._tag === "Attach" ? source.responseId : undefined
  })
  const replays = options.background && model.capabilities.resume && (source._tag === "Create" || source.streamed)
  let mode: "create" | "replay" | "poll" =
    source._tag === "Create" ? "create" : replays && options.from.origin === "stream" ? "replay" : "poll"

  const fail = (reason: AgentError["reason"]) => Effect.fail(new AgentError({ runId, reason }))
  const telemetry = yield* Telemetry.make({ model, policy, agent: options.from.agent, counts: options.counts })
  const watch = yield* StallWatch.make({
    model,
    policy,
    runId,
    seen: () => ({ ...cursor.position(), responseId: cursor.responseId() })
  })
  /** For what may wait: ends it when this worker may not go on, or the run has stalled. */
  const guarded = <A, E>(effect: Effect.Effect<A, E>) => Effect.raceAllFirst([effect, options.lost, watch.stalled])
  const reconnect = yield* Backoff.make(policy.reconnect)
  const request = yield* Backoff.make(policy.request)
  const polling = yield* Backoff.make(policy.poll)

  // ---- attaching

  let attached: Scope.Closeable | undefined
  let pull: Events | undefined
  let attempt = 0
  let answered = false
  let progressed = false
  let fruitless = 0

  /** A scope for what is attached to next, and its span. */
  const announce = Effect.fnUntraced(function* (how: typeof mode) {
    const { agent, sequenceNumber } = cursor.position()
    const child = yield* Scope.fork(scope)
    attached = child
    const attachment = { agent, runId, how, attempt: ++attempt, sequenceNumber }
    const span = yield* Scope.provide(telemetry.attached(attachment, cursor.responseId()), child)
    return { child, span }
  })

  const attach = Effect.gen(function* () {
    const after = cursor.after()
    const events =
      source._tag === "Create" && mode === "create"
        ? source.events
        : model.resume(cursor.responseId() ?? "", after < 0 ? {} : { after })
    const { child, span } = yield* announce(mode)
    const read = yield* Stream.toPull(events).pipe(Scope.provide(child), Effect.withParentSpan(span))
    watch.heard()
    // Watched by one fiber for as long as it lasts, and not anew at each read: reads come by the hundred per second.
    const over = Deferred.makeUnsafe<never, AgentError | Cause.Done>()
    yield* Effect.raceAllFirst([options.lost, watch.stalled, Effect.andThen(watch.idle, Cause.done())]).pipe(
      Deferred.into(over),
      Effect.forkIn(child)
    )
    progressed = false
    pull = Effect.raceFirst(Effect.withParentSpan(read, span), Deferred.await(over))
    return pull
  })

  /** The attachment ends like this. */
  const detach = (exit: Exit.Exit<void, unknown>) =>
    Effect.suspend(() => {
      const current = attached
      attached = undefined
      pull = undefined
      return current === undefined ? Effect.void : Scope.close(current, exit)
    })

  const streamed: Updates = Effect.suspend(() => pull ?? Effect.flatten(attach)).pipe(
    Pull.matchEffect({
      onSuccess: (events) => {
        answered = true
        watch.heard()
        const unnamed = cursor.responseId() === undefined
        const read = cursor.read(events, mode === "create" ? "live" : "replay")
        const responseId = cursor.responseId()
        if (unnamed && responseId !== undefined) telemetry.named(responseId)
        const accepted = unnamed && responseId !== undefined ? options.accepted(responseId) : Effect.void
        if (!read.progressed || progressed) return Effect.andThen(accepted, deliver(read.updates))
        progressed = true
        return Effect.andThen(Effect.andThen(accepted, reconnect.reset), deliver(read.updates))
      },
      onDone: () => Effect.andThen(detach(Exit.fail(new Telemetry.Disconnected())), cut(undefined)),
      onFailure: (cause): Updates => {
        const failure = cause.reasons.find(Cause.isFailReason)
        return failure === undefined
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.andThen(detach(Exit.fail(failure.error)), failed(failure.error))
      }
    })
  )

  const failed = (loss: Loss): Updates => {
    switch (loss._tag) {
      case "AgentError":
        return Effect.fail(loss)
      case "CreateUnconfirmed":
        return fail(new Unconfirmed({ runId, error: loss.error }))
      case "ReplayUnavailable":
        mode = "poll"
        return next
      case "ResponseGone":
        return deliver(cursor.expire())
      case "AiError":
        if (cursor.responseId() !== undefined) return loss.isRetryable ? cut(loss) : fail(loss)
        // A request that was answered was not refused, though the answer broke off before it named the response.
        return answered ? fail(new Unconfirmed({ runId, error: loss })) : refused(loss)
    }
  }

  const refused = Effect.fnUntraced(function* (error: AiError.AiError) {
    yield* options.refused
    if (error.isRetryable && (yield* guarded(request.wait(error, error.retryAfter)))) return yield* next
    return yield* fail(error)
  })

  /** The connection ended before the response did. */
  const cut = Effect.fnUntraced(function* (
    error: AiError.AiError | undefined
  ): Effect.fn.Return<Batch, AgentError | Cause.Done> {
    const responseId = cursor.responseId()
    if (responseId === undefined) return yield* fail(new Unconfirmed({ runId }))
    fruitless = progressed ? 0 : fruitless + 1
    if (mode === "replay" && fruitless > 1) {
      // Replays that bring nothing new may be those of a response that is over without ever saying so.
      const look = yield* Effect.result(guarded(model.retrieve(responseId)))
      if (look._tag === "Success" && isOver(look.success.snapshot.status)) {
        return yield* deliver(yield* fill(look.success.snapshot))
      }
    }
    if (!(yield* guarded(reconnect.wait(error, error?.retryAfter)))) {
      if (error !== undefined) return yield* fail(error)
      const description = "no connection brought anything new"
      return yield* fail(watch.reason(description))
    }
    mode = replays ? "replay" : "poll"
    return yield* next
  })

  // ---- polling

  let pollAfter: Duration.Duration | undefined
  let looked = false

  const look = Effect.gen(function* () {
    const responseId = cursor.responseId() ?? ""
    if (looked && !(yield* polling.wait(undefined, pollAfter))) {
      const description = "it was polled as often as the policy says"
      return yield* fail(watch.reason(description))
    }
    looked = true
    const { span } = yield* announce("poll")
    const result = yield* Effect.result(Effect.withParentSpan(model.retrieve(responseId), span))
    if (result._tag === "Failure") yield* detach(Exit.fail(result.failure))
    else if (!isOver(result.success.snapshot.status)) yield* detach(Exit.void)
    if (result._tag === "Success") {
      yield* reconnect.reset
      pollAfter = result.success.pollAfter
      return yield* fill(result.success.snapshot)
    }
    const error = result.failure
    if (error._tag === "ResponseGone") return cursor.expire()
    return error.isRetryable && (yield* reconnect.wait(error, error.retryAfter)) ? [] : yield* fail(error)
  })
  // The next look is taken outside of what guards this one: a run may be polled for hours without anything new.
  const polled: Updates = Effect.suspend(() => Effect.flatMap(guarded(look), deliver))

  const fill = (snapshot: ModelSnapshot) =>
    Effect.fromResult(cursor.fill(snapshot)).pipe(Effect.catch((description) => fail(new RunDiverged({ description }))))

  // ---- delivering

  let toldEnd = false

  const deliver = (updates: ReadonlyArray<AgentUpdate>): Updates => {
    if (updates.length === 0) return next
    watch.came()
    const ending = cursor.ending()
    const delivered = Effect.as(telemetry.delivered(updates), updates as Batch)
    if (ending === undefined || toldEnd) return delivered
    toldEnd = true
    options.ended(ending)
    return Effect.andThen(telemetry.ended(ending), delivered)
  }

  const failWith = (reason: AgentError["reason"]): Updates => {
    const error = new AgentError({ runId, reason })
    return Effect.andThen(detach(Exit.fail(error)), Effect.fail(error))
  }

  const next: Updates = Effect.suspend(() => {
    const description = cursor.divergence()
    if (description !== undefined) return failWith(new RunDiverged({ description }))
    const ending = cursor.ending()
    if (ending === undefined) return mode === "poll" ? polled : streamed
    const reason = failure(ending.status, cursor.responseId() ?? "", ending.error)
    return reason === undefined ? Effect.andThen(detach(Exit.void), Cause.done()) : failWith(reason)
  })

  return Effect.suspend(() => {
    watch.waits()
    return next
  })
})

/** Why a run that ended like this fails its stream, if it does. */
export const failure = (
  status: Cursor.Ending["status"],
  responseId: string,
  error: AiError.AiError | undefined
): AgentError["reason"] | undefined =>
  status === "failed" && error !== undefined
    ? new RunFailed({ error })
    : status === "cancelled"
      ? new RunCancelled()
      : status === "expired"
        ? new RunExpired({ responseId })
        : undefined
