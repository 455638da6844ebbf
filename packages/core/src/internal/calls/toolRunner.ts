import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import { type AgentError, RunNotFound, StoreFailed } from "../../AgentError.ts"
import { callName, type Start } from "../../RunEngine.ts"
import type { CallState } from "../../RunState.ts"
import type { LaterOptions } from "../../ToolCall.ts"
import type { HeldRun, OwnFact } from "../hold/heldRun.ts"
import { errorOf, type OpenRun } from "../run/openRun.ts"
import type { Found } from "../tools/handlers.ts"
import type { Recorded } from "../tools/recorded.ts"
import { runHandler } from "./runHandler.ts"

/** A preliminary result of a call that runs. */
export interface Preliminary {
  readonly turn: number
  readonly call: CallState
  readonly encoded: unknown
}

/** How many preliminary results wait for the consumer; older ones are dropped. */
const mostPreliminary = 16

interface Work {
  readonly handler: Fiber.Fiber<Recorded>
  /** Runs until the result is recorded. */
  readonly whole: Fiber.Fiber<void>
}

/**
 * Runs the handlers of a held run's tool calls, beside whatever else the run does, and records their results. If the run is
 * lost, handlers are interrupted at once. If the consumer leaves the run, they get `closeTimeout` to end.
 */
export class ToolRunner {
  private readonly run: OpenRun
  private readonly held: HeldRun
  private readonly scope: Scope.Scope
  private readonly working = new Map<string, Work>()
  private isWatched = false
  private isInterrupting = false
  private isLeaving = false
  private preliminary: Array<Preliminary> = []
  private count = 0
  private latch: Latch.Latch | undefined
  private failure: AgentError | undefined

  constructor(run: OpenRun, held: HeldRun, scope: Scope.Scope) {
    this.run = run
    this.held = held
    this.scope = scope
  }

  /** A number that differs after a call has ended, or after a preliminary result. */
  get version(): number {
    return this.count
  }

  /** Ends once the version is another one. */
  changedSince(version: number): Effect.Effect<void> {
    return Effect.suspend(() => (this.count === version ? (this.latch ??= Latch.makeUnsafe(false)).await : Effect.void))
  }

  private changes(): void {
    const { latch } = this
    this.count++
    this.latch = undefined
    latch?.openUnsafe()
  }

  /** Why a result could not be recorded, if that is so. */
  get failed(): AgentError | undefined {
    return this.failure
  }

  /** Whether the consumer leaves the run: no more calls may start. */
  get leaves(): boolean {
    return this.isLeaving
  }

  /** The preliminary results since the last call. */
  take(): ReadonlyArray<Preliminary> {
    const { preliminary } = this
    if (preliminary.length > 0) this.preliminary = []
    return preliminary
  }

  /** Runs calls whose start is recorded. */
  start(found: Found, turn: number, starts: ReadonlyArray<Start>): Effect.Effect<void> {
    // Nothing may interrupt between the note that a call is under way and the fiber that removes it.
    return Effect.uninterruptible(
      Effect.andThen(
        this.watched,
        Effect.forEach(starts, ({ call, n }) => this.startOne(found, turn, call, n), { discard: true })
      )
    )
  }

  /** The end of the run's scope, and the loss of its lease, concern handlers only once there are some. */
  private get watched(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isWatched) return Effect.void
      this.isWatched = true
      return Effect.andThen(
        Scope.addFinalizer(this.scope, this.leave),
        Effect.forkIn(
          this.held.lost.whenFired(() => this.interrupt),
          this.scope
        )
      )
    })
  }

  private startOne(found: Found, turn: number, call: CallState, attempt: number): Effect.Effect<void> {
    const { held, run, working } = this
    const { callId } = call
    const name = callName(turn, callId)
    const record = this.recorder(held.state().incarnation)
    const later = Deferred.makeUnsafe<LaterOptions>()
    const handled = runHandler(run, found, {
      turn,
      call,
      attempt,
      onPreliminary: (encoded) => {
        this.preliminary = [...this.preliminary, { turn, call, encoded }].slice(-mostPreliminary)
        this.changes()
      },
      onLater: (options) => Deferred.doneUnsafe(later, Exit.succeed(options))
    })
    const over = Effect.sync(() => {
      working.delete(name)
      // A result that could not be recorded fails the stream. Until then the call must not start again.
      if (this.failure === undefined) held.underWay.delete(name)
      this.changes()
    })
    // A handler that this process interrupts has no result: the next worker decides about the call.
    const resultOf = (exit: Exit.Exit<Recorded>): Recorded | undefined =>
      Exit.isSuccess(exit) ? exit.value : this.isInterrupting ? undefined : interruptedItself
    return Effect.gen(function* () {
      held.underWay.add(name)
      const handler = yield* Effect.forkDetach(Effect.interruptible(handled))
      const ended = Effect.flatMap(Fiber.await(handler), (exit) => {
        const result = resultOf(exit)
        return result === undefined ? Effect.void : record({ _tag: "ToolEnded", turn, callId, ...result })
      })
      const deferred = Effect.gen(function* () {
        const until = yield* expiryOf(yield* Deferred.await(later))
        yield* record({ _tag: "ToolDeferred", turn, callId, ...until })
        yield* Fiber.interrupt(handler)
      })
      const answersLater = Effect.raceFirst(
        Effect.as(Fiber.await(handler), false),
        Effect.as(Deferred.await(later), true)
      )
      const whole = Effect.flatMap(answersLater, (isLater) => (isLater ? deferred : ended))
      working.set(name, { handler, whole: yield* Effect.forkDetach(Effect.ensuring(whole, over)) })
    })
  }

  /** Records facts about calls without the lease: a result counts also if this process has lost the run. */
  private recorder(incarnation: number): (fact: OwnFact) => Effect.Effect<void> {
    const { held, run } = this
    const { runId } = run
    return (fact) =>
      held.observe({ ...held.own(fact), incarnation }).pipe(
        Effect.interruptible,
        Effect.catch((error) =>
          Effect.sync(() => {
            this.failure = errorOf(run)(error._tag === "Gone" ? new RunNotFound({ runId }) : new StoreFailed({ error }))
          })
        )
      )
  }

  private get ended(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach([...this.working.values()], ({ whole }) => Fiber.await(whole), { discard: true })
    )
  }

  /** Interrupts all handlers, and waits until they have ended. A result that a handler has given already is recorded. */
  get interrupt(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isInterrupting = true
      return Effect.andThen(Fiber.interruptAll([...this.working.values()].map(({ handler }) => handler)), this.ended)
    })
  }

  /** Gives the handlers `closeTimeout` to end, but no longer than it holds the run, then interrupts them. */
  private get leave(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isLeaving = true
      if (this.working.size === 0) return Effect.void
      const { closeTimeout } = this.run.policy
      const records = [...this.working.values()].map(({ whole }) => whole)
      const lost = this.held.lost.whenFired(() => Effect.void)
      // The caller cannot be interrupted here: what must not take longer runs in fibers that can.
      return Effect.timeoutOption(Effect.interruptible(Effect.raceFirst(this.ended, lost)), closeTimeout).pipe(
        Effect.andThen(Effect.timeoutOption(Effect.interruptible(this.interrupt), closeTimeout)),
        Effect.andThen(Fiber.interruptAll(records))
      )
    })
  }
}

/** The result of a handler that was interrupted from within. Without one, its call would start again and again. */
const interruptedItself: Recorded = { result: "the handler interrupted itself", isFailure: true, ends: "defect" }

const expiryOf = ({ expires }: LaterOptions): Effect.Effect<{ readonly until?: number }> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const time = expires === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(Duration.fromInputUnsafe(expires))
    return Number.isFinite(time) ? { until: now + time } : {}
  })
