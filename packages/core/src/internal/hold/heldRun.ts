import { Clock, Effect, Exit, Latch, Scope } from "effect"
import { type AgentError, StoreFailed } from "../../AgentError.ts"
import { type ContinuationToken, start } from "../../ContinuationToken.ts"
import type { Fact, NewFact, RunRecord } from "../../RunRecord.ts"
import { decide, type Step } from "../../RunEngine.ts"
import type { RunState } from "../../RunState.ts"
import type { Answer, Lease as LeaseOf, ReleaseOptions } from "../../TokenStore.ts"
import { contextOf, errorOf, type OpenRun, restOf } from "../openRun.ts"
import type { Signal } from "../signal.ts"
import * as Cancels from "./cancels.ts"
import * as Checkpointer from "./checkpointer.ts"
import * as Lease from "./lease.ts"
import * as Leaving from "./leaving.ts"
import * as Observe from "./observe.ts"

type EndStep = Extract<Step, { readonly _tag: "End" }>

type WithoutWriter<F> = F extends NewFact ? Omit<F, "by" | "incarnation"> : never

/** A fact of the incarnation in force, by this process. */
export type OwnFact = WithoutWriter<NewFact>

/** A run in the hands of this process: its lease, its journal, and what there is to write. */
export interface HeldRun {
  /** The record as it was when the lease was acquired. */
  readonly record: RunRecord
  readonly state: () => RunState
  readonly journal: () => ReadonlyArray<Fact>
  /** What comes next, beside what this process is busy with. */
  readonly next: () => Step
  /** How the run ends if this is recorded too; undefined if it goes on. */
  readonly endWith: (fact: OwnFact) => EndStep | undefined
  /** How this run's attempt, and what is left to do, is released. By default as `next` says. */
  readonly leaveAs: (how: Partial<ReleaseOptions>) => void

  /** The last position that is acknowledged. */
  readonly position: () => ContinuationToken
  readonly acknowledge: (token: ContinuationToken) => void
  /** Writes a fact with the next position, or by `flush`. */
  readonly note: (fact: OwnFact) => void
  /** Writes decisions now, unless others recorded something that this process had not seen. */
  readonly decide: (
    facts: ReadonlyArray<OwnFact>,
    position?: ContinuationToken
  ) => Effect.Effect<Answer["outcome"], AgentError>
  /** Records something that was seen, whether or not the lease is still held, and keeps at it while the store is away. */
  readonly observe: (fact: NewFact) => Effect.Effect<void, Observe.ObserveError>
  /** Adds what every fact of this process says. */
  readonly own: (fact: OwnFact) => NewFact
  readonly flush: Effect.Effect<void, AgentError>
  /** Opens a new incarnation of the run at this turn, unless others recorded something. */
  readonly retry: (turn: number) => Effect.Effect<Answer["outcome"], AgentError>
  /** Forgets the run; false if something that it bought would be forgotten with it. */
  readonly forget: (options: { readonly force: boolean }) => Effect.Effect<boolean, AgentError>

  /** A name for a request that no other request has. */
  readonly nextTry: () => string
  /** What this process is busy with: names of tries, ids of responses. */
  readonly underWay: Set<string>
  /** Sends the cancels that are recorded, beside what the run does otherwise. */
  readonly sendCancels: () => void
  /** Ends when no cancel is being sent. */
  readonly cancelled: Effect.Effect<void>
  /** Ends when the run must stop here: a cancel was recorded of a response that only this process can stop. */
  readonly stopped: Signal<void>

  /** Why this process may not go on, if it may not. */
  readonly gone: () => AgentError | undefined
  /** Fires when the lease is lost. */
  readonly lost: Signal<AgentError>
  /** Fails when the lease is lost. */
  readonly untilLost: Effect.Effect<never, AgentError>
  /** Ends when others recorded something. */
  readonly moved: Effect.Effect<void>
  /** False while the run is held; when it is being left, waits until it was, and is true then. */
  readonly left: Effect.Effect<boolean>
}

/** How a run is taken. */
interface AcquireOptions {
  readonly steal?: boolean
  readonly attempt?: boolean
  /** The attempt that this lease counted could not be given back. */
  readonly onOwed?: (lease: LeaseOf) => void
}

/** Takes a run for the scope. When the scope closes, writes what is not written yet, and gives the run back. */
export const acquire = (run: OpenRun, options: AcquireOptions = {}): Effect.Effect<HeldRun, AgentError, Scope.Scope> =>
  // Only the lease can be waited for: between getting it and being able to give it back nothing may come.
  Effect.uninterruptibleMask((restore) => make(run, options, restore))

const make = Effect.fnUntraced(function* (
  run: OpenRun,
  options: AcquireOptions,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.fn.Return<HeldRun, AgentError, Scope.Scope> {
  const { policy, runId, store } = run
  const clock = yield* Clock.Clock
  const scope = yield* Scope.Scope
  // The lease is renewed until the run is left: what runs in its scope ends after the last write.
  const inner = yield* Scope.make()
  const fail = errorOf(run)
  const moved = Latch.makeUnsafe(false)
  const underWay = new Set<string>()
  const known = { handled: false, background: true }
  let onFacts = () => {}

  const contextNow = (busy: ReadonlySet<string>) => ({ ...contextOf(run, known), underWay: busy })
  const nextOf = (state: RunState, busy: ReadonlySet<string> = underWay) => decide(state, contextNow(busy))

  const held = yield* restore(
    Lease.acquire({
      store,
      runId,
      policy,
      steal: options.steal === true,
      attempt: options.attempt === true,
      rest: (record) => restOf(run, record),
      onFacts: () => onFacts(),
      errorOf: fail
    }).pipe(Scope.provide(inner))
  ).pipe(Effect.onError((cause) => Scope.close(inner, Exit.failCause(cause))))
  const { journal, lease, record } = held
  known.handled = record.handled
  known.background = record.background

  const own = (fact: OwnFact): NewFact =>
    ({ ...fact, incarnation: journal.state().incarnation, by: lease.owner }) as NewFact
  const endStep = (state: RunState): EndStep | undefined => {
    // A response that nobody waits for is cancelled also after the end.
    const step = nextOf(state, new Set([...underWay, ...state.loose.map(({ responseId }) => responseId)]))
    return step._tag === "End" ? step : undefined
  }
  const endOf = (state: RunState): NewFact | undefined => {
    const step = endStep(state)
    return step === undefined ? undefined : own(endedBy(step))
  }
  const checkpointer = yield* Checkpointer.make({
    store,
    policy,
    clock,
    held,
    errorOf: fail,
    onFacts: () => onFacts(),
    endOf
  }).pipe(Scope.provide(inner))

  const observe = (fact: NewFact) =>
    Effect.suspend(() => {
      const { seen } = journal
      return Effect.tap(Observe.record(run, fact, seen), (facts) =>
        Effect.sync(() => journal.merge(seen, facts) && onFacts())
      )
    }).pipe(Effect.asVoid)

  const cancels = yield* Cancels.make({ run, held, underWay, nextOf, observe }).pipe(Scope.provide(inner))
  onFacts = () => {
    moved.openUnsafe()
    moved.closeUnsafe()
    cancels.send()
  }

  const leaving = Leaving.make({
    run,
    held,
    checkpointer,
    cancels,
    inner,
    attempt: options.attempt === true,
    onOwed: options.onOwed
  })
  yield* Scope.addFinalizer(scope, leaving.leave)

  let tries = 0
  return {
    record,
    state: () => journal.state(),
    journal: () => journal.facts,
    next: () => nextOf(journal.state()),
    endWith: (fact) => endStep(journal.stateWith([own(fact)])),
    leaveAs: leaving.as,
    position: checkpointer.position,
    acknowledge: checkpointer.acknowledge,
    note: (fact) => checkpointer.note(own(fact)),
    decide: (facts, position) => checkpointer.decide(facts.map(own), position),
    observe,
    own,
    flush: checkpointer.flush,
    retry: (turn) =>
      checkpointer.decide(
        [{ _tag: "Retried", incarnation: lease.fence, by: lease.owner, turn }],
        start(record.agent, runId, lease.fence, { turn, offset: checkpointer.position().offset })
      ),
    forget: (force) =>
      store
        .remove(lease, force)
        .pipe(Effect.mapError((error) => fail(error._tag === "LeaseLost" ? error : new StoreFailed({ error })))),
    nextTry: () => `${lease.fence}.${++tries}`,
    underWay,
    sendCancels: cancels.send,
    cancelled: cancels.ended,
    stopped: cancels.stopped,
    gone: held.gone,
    lost: held.lost,
    untilLost: held.lost.whenFired(Effect.fail),
    moved: moved.await,
    left: leaving.left
  }
})

/** The fact that a step to an end writes. */
export const endedBy = ({ error, reason, status, unresolved }: EndStep): OwnFact => ({
  _tag: "Ended",
  status,
  ...(reason === undefined ? {} : { reason }),
  ...(error === undefined ? {} : { error }),
  ...(unresolved.length === 0 ? {} : { unresolved })
})
