import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import { type AgentError, StoreFailed } from "../../AgentError.ts"
import { type ContinuationToken, start } from "../../ContinuationToken.ts"
import type { Fact, NewFact, RunRecord } from "../../RunRecord.ts"
import { decide, type Step } from "../../RunEngine.ts"
import type { RunState } from "../../RunState.ts"
import type { Answer, Lease as LeaseOf, ReleaseOptions, Taken } from "../../TokenStore.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import { contextOf, errorOf, type OpenRun, requestFrom, restOf } from "../run/openRun.ts"
import type { Position } from "../follow/position.ts"
import type { Signal } from "../primitives/signal.ts"
import * as Cancels from "./cancels.ts"
import * as Checkpointer from "./checkpointer.ts"
import * as Lease from "./lease.ts"
import { Leaving } from "./leaving.ts"
import * as Observe from "./observe.ts"

type EndStep = Extract<Step, { readonly _tag: "End" }>

type WithoutWriter<F> = F extends NewFact ? Omit<F, "by" | "incarnation"> : never

/** A fact of the incarnation in force, by this process. */
export type OwnFact = WithoutWriter<NewFact>

/** How a run is taken. */
interface AcquireOptions {
  readonly steal?: boolean
  /** The store gave the run to a worker already: `before` is the clock's monotonic time when it was asked. */
  readonly claimed?: { readonly taken: Taken; readonly before: bigint }
  /** The attempt that this lease counted could not be given back. */
  readonly onOwed?: (lease: LeaseOf) => void
}

/** A run in the hands of this process: its lease, its journal, and what there is to write. */
export class HeldRun {
  /** The record as it was when the lease was acquired. */
  readonly record: RunRecord
  /** What this process is busy with: names of tries, ids of responses. */
  readonly underWay = new Set<string>()
  /** Fires when the lease is lost. */
  readonly lost: Signal<AgentError>
  private readonly run: OpenRun
  private readonly held: Lease.HeldLease
  /** Opened once others recorded something, for whoever waits for that. */
  private changed: Latch.Latch | undefined
  private checkpointer!: Checkpointer.Checkpointer
  private cancels!: Cancels.Cancels
  private leaving!: Leaving
  private tries = 0

  constructor(run: OpenRun, held: Lease.HeldLease) {
    this.run = run
    this.held = held
    this.record = held.record
    this.lost = held.lost
  }

  /** Begins to write, to send cancels, and to be left with its scope. */
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

  /** Others recorded something. */
  moves(): void {
    this.changed?.openUnsafe()
    this.changed = undefined
    this.cancels.send()
  }

  private nextOf(state: RunState, busy: ReadonlySet<string> = this.underWay): Step {
    return decide(state, { ...contextOf(this.run, this.record), underWay: busy })
  }

  private endStep(state: RunState): EndStep | undefined {
    // A response that nobody waits for is cancelled also after the end.
    const busy = new Set([...this.underWay, ...state.loose.map(({ responseId }) => responseId)])
    const step = this.nextOf(state, busy)
    return step._tag === "End" ? step : undefined
  }

  private endOf(state: RunState): NewFact | undefined {
    const step = this.endStep(state)
    return step === undefined ? undefined : this.own(endedBy(step))
  }

  state(): RunState {
    return this.held.journal.state()
  }

  journal(): ReadonlyArray<Fact> {
    return this.held.journal.facts
  }

  /** What comes next, beside what this process is busy with. */
  next(): Step {
    return this.nextOf(this.state())
  }

  /** How the run ends if this is recorded too; undefined if it goes on. */
  endWith(fact: OwnFact): EndStep | undefined {
    return this.endStep(this.held.journal.stateWith([this.own(fact)]))
  }

  /** The request that opens the first turn, from the caller's input or the store's: undefined if neither is there. */
  firstRequest(): Effect.Effect<ModelRequest | undefined, AgentError> {
    const { held, run } = this
    return run.request !== undefined || held.input === undefined
      ? Effect.succeed(run.request)
      : requestFrom(run, held.input)
  }

  /** How this run's attempt, and what is left to do, is released. By default as `next` says. */
  leaveAs(how: Partial<ReleaseOptions>): void {
    this.leaving.as(how)
  }

  /** If this run is work when it is left, it is so after this long at the earliest. */
  leaveNotBefore(pause: Duration.Duration): void {
    this.leaving.notBefore(pause)
  }

  /** The last position that is acknowledged. */
  position(): ContinuationToken {
    return this.checkpointer.position()
  }

  acknowledge(position: Position | ContinuationToken): void {
    this.checkpointer.acknowledge(position)
  }

  /** Writes a fact with the next position, or by `flush`. */
  note(fact: OwnFact): void {
    this.checkpointer.note(this.own(fact))
  }

  /** Writes decisions now, unless others recorded something that this process had not seen. */
  decide(facts: ReadonlyArray<OwnFact>, position?: ContinuationToken): Effect.Effect<Answer["outcome"], AgentError> {
    return this.checkpointer.decide(
      facts.map((fact) => this.own(fact)),
      position
    )
  }

  /** Records something that was seen, whether or not the lease is still held, and keeps at it while the store is away. */
  observe(fact: NewFact): Effect.Effect<void, Observe.ObserveError> {
    return Effect.suspend(() => {
      const { journal } = this.held
      const { seen } = journal
      return Effect.map(Observe.record(this.run, fact, seen), (facts) => {
        if (journal.merge(seen, facts)) this.moves()
      })
    })
  }

  /** Adds what every fact of this process says. */
  own(fact: OwnFact): NewFact {
    return { ...fact, incarnation: this.state().incarnation, by: this.held.lease.owner } as NewFact
  }

  /** Writes at once what is not written yet. */
  get flush(): Effect.Effect<void, AgentError> {
    return this.checkpointer.flush
  }

  /** Opens a new incarnation of the run at this turn, unless others recorded something. */
  retry(turn: number): Effect.Effect<Answer["outcome"], AgentError> {
    const { agent, runId } = this.record
    const { fence, owner } = this.held.lease
    return this.checkpointer.decide(
      [{ _tag: "Retried", incarnation: fence, by: owner, turn }],
      start(agent, runId, fence, { turn, offset: this.position().offset })
    )
  }

  /** Forgets the run; false if something that it bought would be forgotten with it. */
  forget(options: { readonly force: boolean }): Effect.Effect<boolean, AgentError> {
    return Effect.mapError(this.run.store.remove(this.held.lease, options), (error) =>
      errorOf(this.run)(error._tag === "LeaseLost" ? error : new StoreFailed({ error }))
    )
  }

  /** A name for a request that no other request has. */
  nextTry(): string {
    return `${this.held.lease.fence}.${++this.tries}`
  }

  /** Sends the cancels that are recorded, beside what the run does otherwise. */
  sendCancels(): void {
    this.cancels.send()
  }

  /** Ends when no cancel is being sent. */
  get cancelled(): Effect.Effect<void> {
    return this.cancels.ended()
  }

  /** Fires when the run must stop here: a cancel was recorded of a response that only this process can stop. */
  get stopped(): Signal<void> {
    return this.cancels.stopped
  }

  /** Ends when others heard something of the run. */
  get woken(): Effect.Effect<void> {
    return this.held.woken
  }

  /** Why this process may not go on, if it may not. */
  gone(): AgentError | undefined {
    return this.held.gone()
  }

  /** Fails when the lease is lost. */
  get untilLost(): Effect.Effect<never, AgentError> {
    return this.lost.whenFired(Effect.fail)
  }

  /** Ends when others recorded something. */
  get moved(): Effect.Effect<void> {
    return Effect.suspend(() => (this.changed ??= Latch.makeUnsafe(false)).await)
  }

  /** False while the run is held; when it is being left, waits until it was, and is true then. */
  get left(): Effect.Effect<boolean> {
    return Effect.suspend(() => this.leaving.left())
  }
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
  // The lease is renewed until the run is left: what runs in its scope ends after the last write.
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

/** The fact that a step to an end writes. */
export const endedBy = ({ error, reason, status, unresolved }: EndStep): OwnFact => ({
  _tag: "Ended",
  status,
  ...(reason === undefined ? {} : { reason }),
  ...(error === undefined ? {} : { error }),
  ...(unresolved.length === 0 ? {} : { unresolved })
})
