import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
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
  private readonly working = new Map<string, Work>()
  private preliminary: Array<Preliminary> = []
  private count = 0
  private latch: Latch.Latch | undefined
  private failure: AgentError | undefined

  constructor(run: OpenRun, held: HeldRun) {
    this.run = run
    this.held = held
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

  /** The preliminary results since the last call. */
  take(): ReadonlyArray<Preliminary> {
    const { preliminary } = this
    this.preliminary = []
    return preliminary
  }

  /** Runs calls whose start is recorded. */
  start(found: Found, turn: number, starts: ReadonlyArray<Start>): Effect.Effect<void> {
    // Nothing may interrupt between the note that a call is under way and the fiber that removes it.
    return Effect.uninterruptible(
      Effect.forEach(starts, ({ call, n }) => this.startOne(found, turn, call, n), { discard: true })
    )
  }

  private startOne(found: Found, turn: number, call: CallState, attempt: number): Effect.Effect<void> {
    const { held, run, working } = this
    const name = callName(turn, call.callId)
    const { incarnation } = held.state()
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
    const record = (fact: OwnFact) =>
      held.observe({ ...held.own(fact), incarnation }).pipe(
        Effect.interruptible,
        Effect.catch((error) =>
          Effect.sync(() => {
            const { runId } = run
            this.failure = errorOf(run)(error._tag === "Gone" ? new RunNotFound({ runId }) : new StoreFailed({ error }))
          })
        )
      )
    return Effect.gen(function* () {
      held.underWay.add(name)
      const handler = yield* Effect.forkDetach(Effect.interruptible(handled))
      const ended = Effect.flatMap(Fiber.await(handler), (exit) =>
        // A handler that was interrupted has no result: whoever holds the run next decides about the call.
        Exit.isSuccess(exit) ? record({ _tag: "ToolEnded", turn, callId: call.callId, ...exit.value }) : Effect.void
      )
      const deferred = Effect.gen(function* () {
        const until = yield* expiryOf(yield* Deferred.await(later))
        yield* record({ _tag: "ToolDeferred", turn, callId: call.callId, ...until })
        yield* Fiber.interrupt(handler)
      })
      const isLater = Effect.as(Deferred.await(later), true)
      const first = Effect.raceFirst(Effect.as(Fiber.await(handler), false), isLater)
      const whole = Effect.flatMap(first, (answersLater) => (answersLater ? deferred : ended))
      return { handler, whole }
    }).pipe(
      Effect.flatMap(({ handler, whole }) =>
        Effect.map(
          Effect.forkDetach(
            Effect.ensuring(
              whole,
              Effect.sync(() => {
                working.delete(name)
                held.underWay.delete(name)
                this.changes()
              })
            )
          ),
          (fiber) => void working.set(name, { handler, whole: fiber })
        )
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
    return Effect.suspend(() =>
      Effect.andThen(Fiber.interruptAll([...this.working.values()].map(({ handler }) => handler)), this.ended)
    )
  }

  /** Gives the handlers `closeTimeout` to end, then interrupts them. */
  get leave(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.working.size === 0) return Effect.void
      const { closeTimeout } = this.run.policy
      const records = [...this.working.values()].map(({ whole }) => whole)
      // The caller cannot be interrupted here: what must not take longer runs in fibers that can.
      return Effect.timeoutOption(Effect.interruptible(this.ended), closeTimeout).pipe(
        Effect.andThen(Effect.timeoutOption(Effect.interruptible(this.interrupt), closeTimeout)),
        Effect.andThen(Fiber.interruptAll(records))
      )
    })
  }
}

const expiryOf = ({ expires }: LaterOptions): Effect.Effect<{ readonly until?: number }> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const until =
      expires === undefined ? Number.POSITIVE_INFINITY : now + Duration.toMillis(Duration.fromInputUnsafe(expires))
    return Number.isFinite(until) ? { until } : {}
  })

/** Makes a runner for the scope. */
export const make = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun
): Effect.fn.Return<ToolRunner, never, Scope.Scope> {
  const runner = new ToolRunner(run, held)
  yield* Effect.addFinalizer(() => runner.leave)
  yield* Effect.forkScoped(held.lost.whenFired(() => runner.interrupt))
  return runner
})
