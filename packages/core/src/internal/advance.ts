import { Cause, Effect, Exit, Scope, Stream } from "effect"
import { Prompt } from "effect/ai"
import type { LeaseOptions, StreamOptions } from "./agent.ts"
import { type AgentError, RunDiverged, RunExpired, RunNotOpened, Unconfirmed } from "../AgentError.ts"
import type { AgentUpdate, Delivery } from "../AgentUpdate.ts"
import type { ModelRequest } from "../BackgroundModel.ts"
import * as ContinuationToken from "../ContinuationToken.ts"
import { isOver, type RunStatus } from "../Run.ts"
import type { RunRecord } from "../RunRecord.ts"
import * as RunState from "../RunState.ts"
import * as Acknowledge from "./hold/acknowledge.ts"
import type { Followed, ResponseEnded, Source } from "../Followed.ts"
import type { Pulled } from "./follow/follower.ts"
import { look } from "./follow/look.ts"
import { makePull } from "./follow/makePull.ts"
import { endedBy, type HeldRun } from "./hold/heldRun.ts"
import * as Held from "./hold/heldRun.ts"
import { persistently } from "./hold/lease.ts"
import { requestCancel } from "./hold/requestCancel.ts"
import * as Trouble from "./hold/trouble.ts"
import { checkVersion, errorOf, type OpenRun } from "./openRun.ts"
import * as Opening from "./opening.ts"
import * as ResponseEnd from "./responseEnd.ts"
import { reasonOf } from "./runReason.ts"
import * as Telemetry from "./telemetry.ts"
import { type Batch, type Meaning, meant, nextTurn, sourceOf, type Updates } from "./turnEnd.ts"
import { waiting } from "./waiting.ts"
import { watch } from "./watch.ts"

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

/** The request that opens a turn: the first is the caller's, later ones are built from the journal. */
export const requestOf = (run: OpenRun, state: RunState.RunState, turn: number): ModelRequest | undefined => {
  if (turn === 0) return run.request
  const before = state.turns[turn - 1]
  if (before?.winner === undefined) return undefined
  const content = before.calls.flatMap((call) =>
    call.result === undefined
      ? []
      : [
          Prompt.makePart("tool-result", {
            id: call.callId,
            name: call.name,
            result: call.result.result,
            isFailure: call.result.isFailure,
            providerExecuted: false
          })
        ]
  )
  const { agent, record, runId } = run
  return {
    runId,
    agent: agent.name,
    ...(agent.instructions === undefined ? {} : { instructions: agent.instructions }),
    prompt: Prompt.fromMessages([Prompt.makeMessage("tool", { content })]),
    previousResponseId: before.winner.responseId,
    background: record.background,
    ...(agent.options === undefined ? {} : { options: agent.options })
  }
}

/** Whether the response of a turn is part of what the run said: not if the run ended before anybody knew of it. */
const isReadable = (state: RunState.RunState, turn: number): boolean => {
  const { ended, loose, turns } = state
  const of = turns[turn]
  if (of?.winner === undefined || ended === undefined) return true
  const isLate = ended.reason !== undefined && (of.end === undefined || turn === turns.length - 1)
  return !isLate && !loose.some(({ responseId }) => responseId === of.winner?.responseId)
}

/** Whether nothing was delivered yet of a turn that was opened again. */
const isRetried = (
  journal: RunRecord["journal"],
  { incarnation, origin, sequenceNumber, turn }: ContinuationToken.ContinuationToken
): boolean =>
  sequenceNumber < 0 &&
  origin === "stream" &&
  journal.some((fact) => fact._tag === "Retried" && fact.incarnation === incarnation && fact.turn === turn)

/** Writes what is left to write: a stream must not end well if this process lost the run. */
const lastWrite = (run: OpenRun, held: HeldRun): Effect.Effect<void, AgentError> =>
  held.flush.pipe(
    Effect.retry({ while: ({ isRetryable }) => isRetryable && held.gone() === undefined, schedule: persistently }),
    Effect.timeoutOption(run.policy.closeTimeout),
    // What could not be written comes again: that is no reason to fail what was delivered.
    Effect.catch(() => Effect.void),
    Effect.andThen(
      Effect.suspend(() => {
        const gone = held.gone()
        return gone === undefined ? Effect.void : Effect.fail(gone)
      })
    )
  )

/** How a run is advanced. */
export interface AdvanceOptions {
  /** A response of the run is over: called before its last update is delivered. */
  readonly onEnd?: (ended: ResponseEnded) => void
}

/** A run that is being advanced: what it delivers, and which of it is the last update. */
export interface Advance {
  readonly pull: Updates
  readonly isLast: Acknowledge.IsLast
  /** How the run ended, once it did. */
  readonly endedAs: () => RunStatus | undefined
}

/**
 * Advances a held run, from the position that its consumer acknowledged last: does what `decide` says, and delivers what
 * comes of it.
 */
export const advanceHeld = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun,
  options: AdvanceOptions = {}
): Effect.fn.Return<Advance, AgentError, Scope.Scope> {
  const { model, policy, runId } = run
  const { record } = held
  const scope = yield* Scope.Scope
  const fail = errorOf(run)
  const telemetry = yield* Telemetry.make({
    model,
    policy,
    agent: run.agent.name,
    counts: (responseId) => held.state().turns.every(({ end }) => end?.responseId !== responseId)
  })
  const patience = yield* Opening.patience(run, held)

  let position = run.from ?? held.position()
  let current: { readonly pull: Pulled; readonly scope: Scope.Closeable } | undefined
  let last: AgentUpdate | undefined
  let isWaiting = false
  // Once this process saw the end, what the store says of it comes a moment later.
  let end: { readonly status: RunStatus; readonly reason: AgentError["reason"] | undefined } | undefined

  /** What the end of a response means for the run: it is over, as this, or goes on from a position. */
  const meaningOf = Effect.fnUntraced(function* (ended: ResponseEnded): Effect.fn.Return<Meaning, AgentError> {
    const { turn } = position
    const { responseId = "" } = run.known
    const state = held.state()
    // What it ended with is known, and cannot be read any more.
    if (ResponseEnd.isForgotten(state, turn, ended)) return yield* fail(new RunExpired({ responseId }))
    if (ended.status === "completed" && ended.calls === undefined) {
      const description = "tool calls were delivered, and the end of the response shows none"
      return yield* fail(new RunDiverged({ description }))
    }
    const fact = ResponseEnd.make({ turn, responseId }, ended, run.isExternal)
    const step = state.ended === undefined ? held.endWith(fact) : undefined
    options.onEnd?.(ended)
    if (step !== undefined) {
      held.note(fact)
      end = { status: step.status, reason: reasonOf({ ...state, ended: step }) }
      return { _tag: "Over", status: step.status }
    }
    // The response's end must be in the journal before anything is done about it.
    if (state.turns[turn]?.end === undefined) held.note(fact)
    const isLast = state.turns[turn + 1]?.winner === undefined
    if (state.ended !== undefined && isLast) {
      end = { status: state.ended.status, reason: reasonOf(state) }
      return { _tag: "Over", status: state.ended.status }
    }
    yield* held.flush
    return { _tag: "GoesOn", from: nextTurn(ended.position) }
  })

  const delivered = (batch: readonly [Followed, ...Array<Followed>]): Updates => {
    const ended = batch.at(-1)!
    if (ended._tag !== "ResponseEnded") return Effect.succeed(told(batch as Batch))
    return Effect.flatMap(meaningOf(ended), (meaning): Updates => {
      position = meaning._tag === "GoesOn" ? meaning.from : nextTurn(ended.position)
      const updates = batch.slice(0, -1) as ReadonlyArray<AgentUpdate>
      if (updates.length === 0) return Effect.andThen(finished, next)
      const changed = told(meant(updates, meaning, record.background))
      if (meaning._tag === "Over") last = changed.at(-1)
      return Effect.as(finished, changed)
    })
  }

  let isTold = !isRetried(held.journal(), position)
  /** The first update of a turn that was opened again says so. */
  const told = (batch: Batch): Batch => {
    if (isTold) return batch
    isTold = true
    const [first, ...rest] = batch
    return [{ ...first, retried: true }, ...rest]
  }

  const engine = { lost: held.lost, stopped: held.stopped, telemetry }
  const follow = Effect.fnUntraced(function* (source: Source) {
    const child = yield* Scope.fork(scope)
    const pull = yield* makePull(run, source, position, engine).pipe(Scope.provide(child))
    current = { pull, scope: child }
  })

  /** The turn's response is read to its end. */
  const finished = Effect.suspend(() => {
    const done = current
    current = undefined
    return done === undefined ? Effect.void : Scope.close(done.scope, Exit.void)
  })

  const open = Effect.fnUntraced(function* (turn: number) {
    const request = requestOf(run, held.state(), turn)
    if (request === undefined) return yield* fail(new RunNotOpened())
    const child = yield* Scope.fork(scope)
    const result = yield* Opening.open(run, held, turn, {
      request,
      streamed: model.demands(request.options).streamed,
      from: position,
      telemetry
    }).pipe(Scope.provide(child))
    if (result._tag === "Opened") {
      yield* patience.accepted
      current = { pull: result.opened.pull, scope: child }
      return
    }
    yield* Scope.close(child, Exit.void)
    if (result._tag === "Moved" || !result.error.isRetryable) return
    yield* patience.wait(result.error)
  })

  /** A foreground response that another process opened ended with that process: one look tells how. */
  const lookAtForeground = Effect.fnUntraced(function* (turn: number, responseId: string) {
    const state = held.state()
    const trouble = Trouble.make({ runId, agent: run.agent.name, responseId })
    const seen = yield* Effect.catch(look(model, responseId, { schedule: policy.reconnect, trouble }), fail)
    const status = seen._tag === "Shown" ? seen.snapshot.status : "expired"
    if (isOver(status) && status !== "expired" && (status !== "cancelled" || state.cancelled)) {
      return yield* follow({ responseId, streamed: false, background: false })
    }
    // Whether or not the provider says so yet: what remains to decide is how the run ends.
    held.note({ _tag: "ResponseEnded", turn, responseId, status: "cancelled", calls: [] })
    yield* held.flush
  })

  /** A run that stalled is cancelled if the policy says so. */
  const stalled = (error: AgentError | Cause.Done): Effect.Effect<never, AgentError | Cause.Done> =>
    error._tag === "AgentError" && error.reason._tag === "RunStalled" && policy.onStall === "cancel"
      ? Effect.andThen(requestCancel(run, held), Effect.fail(error))
      : Effect.fail(error)

  const overNow: Updates = Effect.suspend(() => {
    const reason = end === undefined ? reasonOf(held.state()) : end.reason
    if (reason !== undefined) return Effect.fail(fail(reason))
    return Effect.andThen(lastWrite(run, held), Cause.done())
  })

  const next: Updates = Effect.suspend(() => {
    if (current !== undefined) return Effect.flatMap(Effect.catch(current.pull, stalled), delivered)
    return end === undefined && !isWaiting ? step : overNow
  })

  const step: Updates = Effect.suspend((): Updates => {
    const gone = held.gone()
    if (gone !== undefined) return Effect.fail(gone)
    const state = held.state()
    held.sendCancels()
    // What was bought and not read yet comes before anything else is done.
    const turn = isReadable(state, position.turn) ? state.turns[position.turn] : undefined
    const todo = held.next()
    if (turn?.winner !== undefined && !(state.delivered && run.from === undefined)) {
      const { responseId } = turn.winner
      run.known.responseId = responseId
      const isCut = !record.background && (turn.end === undefined || turn.end.status === "cancelled")
      return !isCut
        ? Effect.andThen(follow(sourceOf(run, turn.winner, record.background)), next)
        : state.ended === undefined
          ? Effect.andThen(lookAtForeground(position.turn, responseId), next)
          : overNow
    }
    switch (todo._tag) {
      case "Over":
      case "Deliver":
        return overNow
      case "End":
        return Effect.andThen(held.decide([endedBy(todo)]), next)
      case "Open":
        return Effect.andThen(open(todo.turn), next)
      case "Wait":
        if (todo.for === "unconfirmed") return Effect.fail(fail(new Unconfirmed({})))
        if (todo.for === "input") return Effect.fail(fail(new RunNotOpened()))
        isWaiting = true
        return Effect.succeed([waiting(run, record, state, position, todo.for)] as const)
      case "Follow":
        // A token can point beyond what the journal knows of.
        position = ContinuationToken.start(run.agent.name, runId, state.incarnation, {
          turn: todo.turn,
          offset: position.offset
        })
        return next
      default:
        // The calls of an agent without tools are answered by others.
        isWaiting = true
        return Effect.succeed([waiting(run, record, state, position, "deferred")] as const)
    }
  })

  return {
    pull: next,
    isLast: (update) => update === last,
    endedAs: () => end?.status ?? held.state().ended?.status
  }
})

/** Advances a run as a stream, checkpointing what its consumer acknowledges. */
export const advance = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions & StreamOptions & AdvanceOptions = {}
): Effect.fn.Return<Stream.Stream<AgentUpdate, AgentError>, AgentError, Scope.Scope> {
  const reread = yield* rereading(run)
  if (reread !== undefined) return reread
  const held = yield* hold(run, options)
  yield* cancelIfInterrupted(run, held, options)
  const { isLast, pull } = yield* advanceHeld(run, held, options)
  return Stream.fromPull(Effect.succeed(pull)).pipe(Acknowledge.onPull(held, isLast))
})

/** The same, for a consumer that acknowledges each update by hand. */
export const advanceManually = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions & StreamOptions & AdvanceOptions = {}
): Effect.fn.Return<Stream.Stream<Delivery, AgentError>, AgentError, Scope.Scope> {
  const reread = yield* rereading(run)
  if (reread !== undefined) return Stream.map(reread, Acknowledge.acknowledged)
  const held = yield* hold(run, options)
  yield* cancelIfInterrupted(run, held, options)
  const { isLast, pull } = yield* advanceHeld(run, held, options)
  return Acknowledge.manually({
    held,
    isLast,
    again: hold(run),
    most: Math.max(1, run.policy.maxUnacknowledged),
    updates: Stream.fromPull(Effect.succeed(pull))
  })
})

/** A run whose consumer is done with it can be read again from an early token, and needs no lease for that. */
const rereading = Effect.fnUntraced(function* (run: OpenRun) {
  yield* checkVersion(run)
  const state = RunState.fold(run.record)
  if (state.ended === undefined || !state.delivered) return undefined
  if (run.from !== undefined) return yield* watch(run)
  const reason = reasonOf(state)
  return reason === undefined ? Stream.empty : Stream.fail(errorOf(run)(reason))
})

const cancelIfInterrupted = (run: OpenRun, held: HeldRun, { onInterrupt }: StreamOptions) =>
  onInterrupt === "cancel"
    ? Effect.addFinalizer((exit) =>
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? requestCancel(run, held) : Effect.void
      )
    : Effect.void
