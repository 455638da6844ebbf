import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type AgentError, RunDiverged, RunExpired, RunNotOpened, Unconfirmed } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import * as ContinuationToken from "../../ContinuationToken.ts"
import type { Followed, ResponseEnded, Source } from "../../Followed.ts"
import { isOver, type RunStatus } from "../../Run.ts"
import type { RunRecord } from "../../RunRecord.ts"
import type * as RunState from "../../RunState.ts"
import type { Pulled } from "../follow/follower.ts"
import { look } from "../follow/look.ts"
import { makePull } from "../follow/makePull.ts"
import type * as Acknowledge from "../hold/acknowledge.ts"
import { endedBy, type HeldRun, type OwnFact } from "../hold/heldRun.ts"
import { persistently } from "../hold/lease.ts"
import { requestCancel } from "../hold/requestCancel.ts"
import { Trouble } from "../telemetry/trouble.ts"
import { errorOf, type OpenRun } from "../run/openRun.ts"
import * as Opening from "./opening.ts"
import * as ResponseEnd from "../run/responseEnd.ts"
import { reasonOf } from "../run/runReason.ts"
import * as Telemetry from "../telemetry/telemetry.ts"
import { type Batch, type Meaning, meant, nextTurn, sourceOf, type Updates } from "../run/turnEnd.ts"
import { Acting } from "../calls/acting.ts"
import { updatesAfter } from "../tools/told.ts"
import type { Advance, AdvanceOptions, RunLog } from "./advanceOptions.ts"
import { requestOf } from "./turnRequest.ts"
import { waiting } from "./waiting.ts"

/** Whether the output of a turn's response belongs to the run: not if the run ended before the response was known. */
const isReadable = (state: RunState.RunState, turn: number): boolean => {
  const { ended, loose, turns } = state
  const of = turns[turn]
  if (of?.winner === undefined || ended === undefined) return true
  const isLate = ended.reason !== undefined && (of.end === undefined || turn === turns.length - 1)
  return !isLate && !loose.some(({ responseId }) => responseId === of.winner?.responseId)
}

/** Whether the position is at the start of a turn that was opened again. */
const isRetried = (
  journal: RunRecord["journal"],
  { incarnation, origin, sequenceNumber, turn }: ContinuationToken.ContinuationToken
): boolean =>
  sequenceNumber < 0 &&
  origin === "stream" &&
  journal.some((fact) => fact._tag === "Retried" && fact.incarnation === incarnation && fact.turn === turn)

/** Whether a response asks for calls of the agent's tools. */
const hasCalls = ({ calls, status }: ResponseEnd.ResponseEnd): boolean =>
  status === "completed" && calls.some(({ external }) => !external)

/** Writes what is not written yet, and fails if this process lost the run: its stream must not end with success then. */
const lastWrite = (run: OpenRun, held: HeldRun): Effect.Effect<void, AgentError> =>
  held.flush.pipe(
    Effect.retry({ while: ({ isRetryable }) => isRetryable && held.gone() === undefined, schedule: persistently }),
    Effect.timeoutOption(run.policy.closeTimeout),
    // Updates whose position could not be written come again. That is no reason to fail the stream.
    Effect.catch(() => Effect.void),
    Effect.andThen(
      Effect.suspend(() => {
        const gone = held.gone()
        return gone === undefined ? Effect.void : Effect.fail(gone)
      })
    )
  )

/** The dependencies of `Advancing`. */
interface Parts {
  readonly run: OpenRun
  readonly held: HeldRun
  readonly options: AdvanceOptions
  readonly scope: Scope.Scope
  readonly telemetry: Telemetry.Telemetry
  readonly patience: Opening.Patience
  readonly acting: Acting
  /** With a log, `pull` has the updates for the log, and the end of the run is recorded once the log has it. */
  readonly log: RunLog | undefined
}

/** Carries out the steps of `decide`, turn by turn, and delivers the updates that result. */
export class Advancing implements Advance {
  private readonly parts: Parts
  private position: ContinuationToken.ContinuationToken
  private current: { readonly pull: Updates; readonly scope: Scope.Closeable } | undefined
  private last: AgentUpdate | undefined
  private isWaiting = false
  private isTold: boolean
  /** The end as this process has seen it, before it is in the store. */
  private end: { readonly status: RunStatus; readonly reason: AgentError["reason"] | undefined } | undefined

  constructor(parts: Parts) {
    const { held, log, run } = parts
    this.parts = parts
    this.position = log?.position ?? run.from ?? held.position()
    this.isTold = !isRetried(held.journal(), this.position)
  }

  /** The position after the last update that was pulled. */
  get at(): ContinuationToken.ContinuationToken {
    return this.position
  }

  readonly isLast: Acknowledge.IsLast = (update) => update === this.last
  readonly endedAs = () => this.end?.status ?? this.parts.held.state().ended?.status

  readonly pull: Updates = Effect.suspend(() => {
    const { current } = this
    if (current !== undefined) return current.pull
    return this.end === undefined && !this.isWaiting ? this.step() : this.overNow
  })

  private fail(reason: AgentError["reason"]): Effect.Effect<never, AgentError> {
    return Effect.fail(errorOf(this.parts.run)(reason))
  }

  private delivered(batch: readonly [Followed, ...Array<Followed>]): Updates {
    const ended = batch.at(-1)!
    if (ended._tag !== "ResponseEnded") return Effect.succeed(this.told(batch as Batch))
    const { turn } = this.position
    return Effect.flatMap(this.meaningOf(ended), (meaning): Updates => {
      this.position = meaning._tag === "GoesOn" ? meaning.from : nextTurn(ended.position)
      const updates = batch.slice(0, -1) as ReadonlyArray<AgentUpdate>
      if (updates.length === 0) return Effect.andThen(this.finished, this.pull)
      const changed = this.told(meant(updates, meaning, this.parts.held.record, turn))
      if (meaning._tag === "Over") this.last = changed.at(-1)
      return Effect.as(this.finished, changed)
    })
  }

  /** What the end of a response means for the run: the run has ended with this status, or goes on from a position. */
  private meaningOf(ended: ResponseEnded): Effect.Effect<Meaning, AgentError> {
    const { held, options, run } = this.parts
    const { turn } = this.position
    const { responseId = "" } = run.known
    const state = held.state()
    // The status of the end is known, but the output can no longer be read.
    if (ResponseEnd.isForgotten(state, turn, ended)) return this.fail(new RunExpired({ responseId }))
    if (ended.status === "completed" && ended.calls === undefined) {
      const description = "tool calls were delivered, but the end of the response shows none"
      return this.fail(new RunDiverged({ description }))
    }
    const fact = ResponseEnd.make({ turn, responseId }, ended, run)
    // The calls of the response come after it, whatever becomes of the run.
    if (hasCalls(fact)) {
      options.onEnd?.(ended)
      if (state.turns[turn]?.end === undefined) held.note(fact)
      return Effect.as(this.flushed, { _tag: "GoesOn", from: nextTurn(ended.position) })
    }
    if (this.parts.log !== undefined) return this.meaningForLog(turn, fact, ended)
    const step = state.ended === undefined ? held.endWith(fact) : undefined
    options.onEnd?.(ended)
    if (step !== undefined) {
      held.note(fact)
      this.end = { status: step.status, reason: reasonOf(run.agent, { ...state, ended: step }) }
      return Effect.succeed({ _tag: "Over", status: step.status })
    }
    // The response's end must be in the journal before the next step.
    if (state.turns[turn]?.end === undefined) held.note(fact)
    const isLast = state.turns[turn + 1]?.winner === undefined
    if (state.ended !== undefined && isLast) {
      this.end = { status: state.ended.status, reason: reasonOf(run.agent, state) }
      return Effect.succeed({ _tag: "Over", status: state.ended.status })
    }
    return Effect.as(held.flush, { _tag: "GoesOn", from: nextTurn(ended.position) })
  }

  /** The same with a log: the end of the response is recorded before its last updates are in the log. */
  private meaningForLog(turn: number, fact: OwnFact, ended: ResponseEnded): Effect.Effect<Meaning, AgentError> {
    const { held, options } = this.parts
    options.onEnd?.(ended)
    if (held.state().turns[turn]?.end === undefined) held.note(fact)
    return Effect.map(this.flushed, (): Meaning => {
      const state = held.state()
      const next = held.next()
      const isLast = state.turns[turn + 1]?.winner === undefined
      const status = state.ended?.status ?? (next._tag === "End" ? next.status : undefined)
      return status !== undefined && isLast
        ? { _tag: "Over", status }
        : { _tag: "GoesOn", from: nextTurn(ended.position) }
    })
  }

  /** Writes what is not written yet. With a log it is tried again for as long as that may help: other readers wait for it. */
  private get flushed(): Effect.Effect<void, AgentError> {
    const { held, log } = this.parts
    return log === undefined
      ? held.flush
      : Effect.retry(held.flush, {
          while: ({ isRetryable }) => isRetryable && held.gone() === undefined,
          schedule: persistently
        })
  }

  /** Marks the first update of a turn that was opened again as `retried`. */
  private told(batch: Batch): Batch {
    if (this.isTold) return batch
    this.isTold = true
    const [first, ...rest] = batch
    return [{ ...first, retried: true }, ...rest]
  }

  private follow(source: Source): Effect.Effect<void> {
    const { held, run, scope, telemetry } = this.parts
    const engine = { lost: held.lost, stopped: held.stopped, woken: held.woken, telemetry }
    return Effect.flatMap(Scope.fork(scope), (child) =>
      Effect.map(Scope.provide(makePull(run, source, this.position, engine), child), (pull) => {
        this.goesOn(pull, child)
      })
    )
  }

  /** From here on, `pull` reads the updates of this response. */
  private goesOn(pull: Pulled, scope: Scope.Closeable): void {
    const updates = Effect.flatMap(Effect.catch(pull, this.stalled), (batch) => this.delivered(batch))
    this.current = { pull: updates, scope }
  }

  /** Closes the response that was read to its end. */
  private readonly finished: Effect.Effect<void> = Effect.suspend(() => {
    const { current } = this
    this.current = undefined
    return current === undefined ? Effect.void : Scope.close(current.scope, Exit.void)
  })

  private open(turn: number): Effect.Effect<void, AgentError> {
    const { held, run } = this.parts
    return Effect.flatMap(requestOf(run, held, turn), (request) =>
      request === undefined ? this.fail(new RunNotOpened()) : this.send(turn, request)
    )
  }

  private send(turn: number, request: ModelRequest): Effect.Effect<void, AgentError> {
    const { held, patience, run, scope, telemetry } = this.parts
    const { streamed } = run.model.demands(request.options)
    return Effect.flatMap(Scope.fork(scope), (child) =>
      Opening.open(run, held, turn, { request, streamed, from: this.position, telemetry }).pipe(
        Scope.provide(child),
        Effect.flatMap((result): Effect.Effect<void, AgentError> => {
          if (result._tag === "Opened") {
            this.goesOn(result.opened.pull, child)
            return patience.accepted
          }
          const closed = Scope.close(child, Exit.void)
          const isFinal = result._tag === "Moved" || !result.error.isRetryable
          return isFinal ? closed : Effect.andThen(closed, patience.wait(result.error))
        })
      )
    )
  }

  /** A foreground response that another process opened ended together with that process. One retrieval shows how. */
  private lookAtForeground(turn: number, responseId: string): Effect.Effect<void, AgentError> {
    const { held, run } = this.parts
    const state = held.state()
    const trouble = new Trouble({ runId: run.runId, agent: run.agent.name, responseId })
    return look(run.model, responseId, { schedule: run.policy.reconnect, trouble }).pipe(
      Effect.catch((error) => this.fail(error)),
      Effect.flatMap((seen): Effect.Effect<void, AgentError> => {
        const status = seen._tag === "Shown" ? seen.snapshot.status : "expired"
        if (isOver(status) && status !== "expired" && (status !== "cancelled" || state.cancelled)) {
          return this.follow({ responseId, streamed: false, background: false })
        }
        // The response has ended even if the provider does not say so yet.
        held.note({ _tag: "ResponseEnded", turn, responseId, status: "cancelled", calls: [] })
        return held.flush
      })
    )
  }

  /** A run that stalled is cancelled if the policy says so. */
  private readonly stalled = (error: AgentError | Cause.Done): Effect.Effect<never, AgentError | Cause.Done> => {
    const { held, run } = this.parts
    const isStalled = error._tag === "AgentError" && error.reason._tag === "RunStalled"
    return isStalled && run.policy.onStall === "cancel"
      ? Effect.andThen(requestCancel(run, held), Effect.fail(error))
      : Effect.fail(error)
  }

  private readonly overNow: Updates = Effect.suspend(() => {
    const { held, log, run } = this.parts
    if (log !== undefined && !log.ended() && !this.isWaiting) return Effect.andThen(log.end, this.overNow)
    const reason = this.end === undefined ? reasonOf(run.agent, held.state()) : this.end.reason
    // An end is recorded before it is delivered, also an end that fails the stream.
    const told: Updates = reason === undefined ? Cause.done() : this.fail(reason)
    return Effect.andThen(lastWrite(run, held), told)
  })

  private wait(state: RunState.RunState, why: Pick<AgentUpdate, "limit" | "waitingFor">): Updates {
    const { held, run } = this.parts
    this.isWaiting = true
    return Effect.succeed([waiting(run, held.record, state, this.position, why)] as const)
  }

  /** The results and approvals of the last turn's calls that were not delivered yet; undefined if there are none. */
  private results(state: RunState.RunState): Updates | undefined {
    const { acting, held, log, run } = this.parts
    const journal = held.journal()
    const [updates, position] = updatesAfter(run, { ...held.record, journal }, state, this.position)
    this.position = position
    // Others read a run through its log, in which each update has an offset. Preliminary results have none.
    const some = [...updates, ...(log === undefined ? acting.preliminary(position) : [])]
    return Arr.isReadonlyArrayNonEmpty(some) ? Effect.succeed(some) : undefined
  }

  private step(): Updates {
    const { acting, held, log, run } = this.parts
    const { position } = this
    const gone = held.gone()
    if (gone !== undefined) return Effect.fail(gone)
    const state = held.state()
    held.sendCancels()
    // A response that was bought and not read to its end comes before any other step.
    const turn = isReadable(state, position.turn) ? state.turns[position.turn] : undefined
    const todo = held.next()
    const isEnding = state.ended !== undefined || todo._tag === "End"
    if (log?.ended() === true && !isEnding) return Effect.andThen(log.reopen, this.pull)
    const results = this.results(state)
    if (results !== undefined && !(log?.ended() ?? false)) return results
    const isRead = log === undefined ? state.delivered && run.from === undefined : log.ended()
    if (turn?.winner !== undefined && !isRead) {
      const { background } = held.record
      const { responseId } = turn.winner
      run.known.responseId = responseId
      const isCut = !background && (turn.end === undefined || turn.end.status === "cancelled")
      if (!isCut) return Effect.andThen(this.follow(sourceOf(run, turn.winner, background)), this.pull)
      if (state.ended !== undefined) return this.overNow
      if (turn.end === undefined) {
        return Effect.andThen(this.lookAtForeground(position.turn, responseId), this.pull)
      }
    }
    switch (todo._tag) {
      case "Over":
      case "Deliver":
        return this.overNow
      case "End":
        return Effect.andThen(
          log === undefined || log.ended() ? Effect.void : log.end,
          Effect.andThen(held.decide([endedBy(todo)]), this.pull)
        )
      case "Open":
        return Effect.andThen(this.open(todo.turn), this.pull)
      case "Wait":
        if (todo.for === "unconfirmed") return this.fail(new Unconfirmed({}))
        if (todo.for === "input") return this.fail(new RunNotOpened())
        if (todo.for === "tools") return Effect.andThen(acting.wait(todo), this.pull)
        return this.wait(state, {
          waitingFor: todo.for,
          ...(todo.limit === undefined ? {} : { limit: todo.limit })
        })
      case "Follow":
        // A token can point beyond the turns in the journal.
        this.position = ContinuationToken.start(run.agent.name, run.runId, state.incarnation, {
          turn: todo.turn,
          offset: position.offset
        })
        return this.pull
      case "AskPolicy":
        return Effect.andThen(acting.ask(todo), this.pull)
      case "RunTools":
        return Effect.andThen(acting.start(todo), this.pull)
      case "GiveUp":
        return Effect.andThen(acting.giveUp(todo), this.pull)
      case "CancelResponse":
        // The cancel is being sent beside this.
        return Effect.andThen(Effect.raceFirst(held.moved, held.untilLost), this.pull)
    }
  }
}

/** Makes the advance of a held run, from its last acknowledged position, or from the end of its log. */
export const make = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun,
  options: AdvanceOptions,
  log?: RunLog
): Effect.fn.Return<Advancing, never, Scope.Scope> {
  const telemetry = yield* Telemetry.make({
    model: run.model,
    policy: run.policy,
    agent: run.agent.name,
    counts: (responseId) => held.state().turns.every(({ end }) => end?.responseId !== responseId)
  })
  const patience = yield* Opening.patience(run, held)
  const scope = yield* Scope.Scope
  return new Advancing({ run, held, options, scope, telemetry, patience, acting: new Acting(run, held, scope), log })
})
