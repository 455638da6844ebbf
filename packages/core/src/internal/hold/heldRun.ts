import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import { type AgentError, LeaseLost, StoreFailed } from "../../AgentError.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { Fact, NewFact, RunRecord } from "../../RunRecord.ts"
import { decide, type Step } from "../../RunEngine.ts"
import type { RunState } from "../../RunState.ts"
import type { Answer, Lease as LeaseOf, ReleaseOptions, Taken } from "../../TokenStore.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import { contextOf, restOf } from "../run/deciding.ts"
import { errorOf, type OpenRun, requestFrom } from "../run/openRun.ts"
import type { Position } from "../follow/position.ts"
import type { Signal } from "../primitives/signal.ts"
import { startAgain } from "../tools/told.ts"
import * as Cancels from "./cancels.ts"
import * as Checkpointer from "./checkpointer.ts"
import * as Lease from "./lease.ts"
import { Leaving } from "./leaving.ts"
import * as Observe from "./observe.ts"

type EndStep = Extract<Step, { readonly _tag: "End" }>

type WithoutWriter<F> = F extends NewFact ? Omit<F, "by" | "incarnation"> : never

/** A fact to which the incarnation and the name of this process are added. */
export type OwnFact = WithoutWriter<NewFact>

/** Options of `acquire`. */
interface AcquireOptions {
  readonly steal?: boolean
  /** A claim that took the run already. `before` is the clock's monotonic time before the claim. */
  readonly claimed?: { readonly taken: Taken; readonly before: bigint }
  /** Called if the attempt that this lease counted could not be given back. */
  readonly onOwed?: (lease: LeaseOf) => void
}

/** A run that this process holds: its lease, its journal, and the data to write. */
export class HeldRun {
  /** The record as it was when the lease was acquired. */
  readonly record: RunRecord
  /** See `RunEngine.Context`: names of requests and ids of responses. */
  readonly underWay = new Set<string>()
  /** Fires when the lease is lost. */
  readonly lost: Signal<AgentError>
  private readonly run: OpenRun
  private readonly held: Lease.HeldLease
  /** Open after others have recorded a fact. */
  private changed: Latch.Latch | undefined
  private checkpointer!: Checkpointer.Checkpointer
  private cancels!: Cancels.Cancels
  private leaving!: Leaving
  private tries = 0
  private isLogEnded = false

  constructor(run: OpenRun, held: Lease.HeldLease) {
    this.run = run
    this.held = held
    this.record = held.record
    this.lost = held.lost
  }

  /** Makes the parts of a held run, which end with its scope. */
  begin(options: AcquireOptions, inner: Scope.Closeable): Effect.Effect<void, never, Scope.Scope> {
    const { held, run, underWay } = this
    return Effect.gen({ self: this }, function* () {
      this.checkpointer = yield* Checkpointer.make({
        store: run.store,
        policy: run.policy,
        held,
        errorOf: errorOf(run),
        onFacts: () => this.moves(),
        endOf: (state) => this.endOf(state)
      })
      this.cancels = yield* Cancels.make({
        run,
        held,
        underWay,
        nextOf: (state) => this.nextOf(state),
        observe: (fact) => this.observe(fact)
      })
      this.leaving = new Leaving({
        run,
        held,
        checkpointer: this.checkpointer,
        cancels: this.cancels,
        inner,
        attempt: options.claimed !== undefined,
        onOwed: options.onOwed
      })
    }).pipe(Scope.provide(inner), Effect.andThen(Effect.addFinalizer(() => this.leaving.leave())))
  }

  /** Called after others have recorded a fact. */
  moves(): void {
    const { changed } = this
    this.changed = undefined
    changed?.openUnsafe()
    this.cancels.send()
  }

  private nextOf(state: RunState, busy: ReadonlySet<string> = this.underWay): Step {
    return decide(state, { ...contextOf(this.run, this.record), underWay: busy })
  }

  private endStep(state: RunState): EndStep | undefined {
    // A loose response is cancelled after the end of the run too.
    const busy = new Set([...this.underWay, ...state.loose.map(({ responseId }) => responseId)])
    const step = this.nextOf(state, busy)
    return step._tag === "End" ? step : undefined
  }

  private endOf(state: RunState): NewFact | undefined {
    if (this.record.logged === true && !this.isLogEnded) return undefined
    const step = this.endStep(state)
    return step === undefined ? undefined : this.own(endedBy(step))
  }

  state(): RunState {
    return this.held.journal.state()
  }

  journal(): ReadonlyArray<Fact> {
    return this.held.journal.facts
  }

  /** The next step, beside the work that is under way in this process. */
  next(): Step {
    return this.nextOf(this.state())
  }

  /** The step that ends the run if this fact is recorded too; undefined if the run goes on. */
  endWith(fact: OwnFact): EndStep | undefined {
    return this.endStep(this.held.journal.stateWith([this.own(fact)]))
  }

  /** The request that opens the first turn, from the caller's input or the store's; undefined without either. */
  firstRequest(): Effect.Effect<ModelRequest | undefined, AgentError> {
    const { held, run } = this
    return run.request !== undefined || held.input === undefined
      ? Effect.succeed(run.request)
      : requestFrom(run, held.input)
  }

  /** Sets options for the release of this run. By default they follow from `next`. */
  leaveAs(how: Partial<ReleaseOptions>): void {
    this.leaving.as(how)
  }

  /** If this run is due after its release, this is the shortest time until then. */
  leaveNotBefore(pause: Duration.Duration): void {
    this.leaving.notBefore(pause)
  }

  /** The last acknowledged position. */
  position(): ContinuationToken {
    return this.checkpointer.position()
  }

  acknowledge(position: Position | ContinuationToken): void {
    this.checkpointer.acknowledge(position)
  }

  /** Goes back to a position, because the log of the run lost what lies after it. */
  rewind(to: ContinuationToken): void {
    this.checkpointer.rewind(to)
  }

  /** The fence of the lease, which is also the epoch in which this process writes the log of the run. */
  get fence(): number {
    return this.held.lease.fence
  }

  /** Called when the log of the run says that the run has ended, or not after all. An end is recorded only after that. */
  logEnds(ended: boolean): void {
    this.isLogEnded = ended
  }

  /** Another worker writes the log of the run: this process has lost the run. */
  fenced(): AgentError {
    return this.held.lose(errorOf(this.run)(new LeaseLost({ runId: this.run.runId })))
  }

  /** Writes a fact with the next position, or by `flush`. */
  note(fact: OwnFact): void {
    this.checkpointer.note(this.own(fact))
  }

  /** Writes decisions at once, unless the journal has facts that this process does not know. */
  decide(facts: ReadonlyArray<OwnFact>, position?: ContinuationToken): Effect.Effect<Answer["outcome"], AgentError> {
    return this.checkpointer.decide(
      facts.map((fact) => this.own(fact)),
      position
    )
  }

  /** Records an observation, even if the lease is lost, and repeats that while the store cannot be reached. */
  observe(fact: NewFact): Effect.Effect<void, Observe.ObserveError> {
    return Effect.suspend(() => {
      const { journal } = this.held
      const { seen } = journal
      return Effect.map(Observe.record(this.run, fact, seen), (facts) => {
        if (journal.merge(seen, facts)) this.moves()
      })
    })
  }

  /** Adds the incarnation and the name of this process to a fact. */
  own(fact: OwnFact): NewFact {
    return { ...fact, incarnation: this.state().incarnation, by: this.held.lease.owner } as NewFact
  }

  /** Writes at once everything that is not written yet. */
  get flush(): Effect.Effect<void, AgentError> {
    return this.checkpointer.flush
  }

  /** Begins a new incarnation of the run at this turn, unless the journal has facts that this process does not know. */
  retry(turn: number): Effect.Effect<Answer["outcome"], AgentError> {
    const { fence, owner } = this.held.lease
    const { epoch, offset } = this.position()
    return this.checkpointer.decide([{ _tag: "Retried", incarnation: fence, by: owner, turn }], {
      ...startAgain(this.record, fence, { journal: this.journal(), state: this.state(), turn }, offset),
      ...(epoch === undefined ? {} : { epoch })
    })
  }

  /** Removes the run from the store; false if a bought response would be lost with it. */
  forget(options: { readonly force: boolean }): Effect.Effect<boolean, AgentError> {
    return Effect.mapError(this.run.store.remove(this.held.lease, options), (error) =>
      errorOf(this.run)(error._tag === "LeaseLost" ? error : new StoreFailed({ error }))
    )
  }

  /** Makes a unique name for a request. */
  nextTry(): string {
    return `${this.held.lease.fence}.${++this.tries}`
  }

  /** Sends the recorded cancels, in fibers beside the run. */
  sendCancels(): void {
    this.cancels.send()
  }

  /** Ends when no cancel is being sent. */
  get cancelled(): Effect.Effect<void> {
    return this.cancels.ended()
  }

  /** Fires when a cancel was recorded of a response that only this process can stop. */
  get stopped(): Signal<void> {
    return this.cancels.stopped
  }

  /** Ends when others have written something of the run. */
  get woken(): Effect.Effect<void> {
    return this.held.woken
  }

  /** The error with which this process lost the run; undefined while it may go on. */
  gone(): AgentError | undefined {
    return this.held.gone()
  }

  /** Fails when the lease is lost. */
  get untilLost(): Effect.Effect<never, AgentError> {
    return this.lost.whenFired(Effect.fail)
  }

  /** Ends when others have recorded a fact. */
  get moved(): Effect.Effect<void> {
    return Effect.suspend(() => (this.changed ??= Latch.makeUnsafe(false)).await)
  }

  /** False while the run is held. While the run is being left, this waits for the end of that, and is true then. */
  get left(): Effect.Effect<boolean> {
    return Effect.suspend(() => this.leaving.left())
  }
}

/**
 * Takes a run for the scope. When the scope closes, everything that is not written yet is written, and the run is released.
 */
export const acquire = (run: OpenRun, options: AcquireOptions = {}): Effect.Effect<HeldRun, AgentError, Scope.Scope> =>
  // Only the wait for the lease is interruptible: between getting the lease and the finalizer nothing may interrupt.
  Effect.uninterruptibleMask((restore) => make(run, options, restore))

const make = Effect.fnUntraced(function* (
  run: OpenRun,
  options: AcquireOptions,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.fn.Return<HeldRun, AgentError, Scope.Scope> {
  // The inner scope ends after the last write, so that the lease is renewed until then.
  const inner = yield* Scope.make()
  let taken: HeldRun | undefined
  const { claimed } = options
  const how: Lease.Options = {
    store: run.store,
    runId: run.runId,
    policy: run.policy,
    steal: options.steal === true,
    rest: (record) => restOf(run, record),
    onFacts: () => taken?.moves(),
    errorOf: errorOf(run)
  }
  const lease = claimed === undefined ? restore(Lease.acquire(how)) : Lease.take(how, claimed.taken, claimed.before)
  const held = yield* lease.pipe(
    Scope.provide(inner),
    Effect.onError((cause) => Scope.close(inner, Exit.failCause(cause)))
  )
  taken = new HeldRun(run, held)
  yield* taken.begin(options, inner)
  return taken
})

/** The fact of an `End` step. */
export const endedBy = ({ error, reason, status, unresolved }: EndStep): OwnFact => ({
  _tag: "Ended",
  status,
  ...(reason === undefined ? {} : { reason }),
  ...(error === undefined ? {} : { error }),
  ...(unresolved.length === 0 ? {} : { unresolved })
})
