import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type AgentError, LeaseLost, StoreFailed } from "../../AgentError.ts"
import type { RunId } from "../../Run.ts"
import type { RunRecord } from "../../RunRecord.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { Lease, ReleaseOptions, Taken, TokenStore } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { freshId } from "../primitives/freshId.ts"
import { ProcessProbe } from "../../ProcessProbe.ts"
import { Signal } from "../primitives/signal.ts"
import { Journal } from "./journal.ts"
import * as Repeated from "./repeated.ts"
import { Trouble } from "../telemetry/trouble.ts"
import * as Wakeups from "./wakeups.ts"

const longest = Duration.days(1)
const shortest = Duration.millis(10)

/** How long a lease lasts unless it is renewed. */
export const timeOf = ({ leaseTime }: Pick<RunPolicy, "leaseTime">): Duration.Duration =>
  Duration.clamp(leaseTime, { minimum: shortest, maximum: longest })

/** How often an operation is repeated that must not be given up. */
export const persistently = Schedule.spaced("100 millis")

/** The options of a release that depend on the state of the run. */
type Rest = Pick<ReleaseOptions, "due" | "parked">

/** Options of `acquire` and `take`. */
export interface Options {
  readonly store: TokenStore["Service"]
  readonly runId: RunId
  readonly policy: RunPolicy
  readonly steal: boolean
  /** When the run is due again, or why it is parked, if it is released at once. */
  readonly rest: (record: RunRecord) => Rest
  /** Called when a renewal returned new facts. */
  readonly onFacts: () => void
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
}

/** The lease of this process on a run: acquired, renewed, and at last released or lost. */
export class HeldLease {
  readonly lease: Lease
  /** The record as it was when the lease was acquired. */
  readonly record: RunRecord
  readonly journal: Journal
  /** Fires when the lease is lost. */
  readonly lost = new Signal<AgentError>()
  /** The run's input, if the store keeps it. */
  readonly input: string | undefined
  readonly options: Options
  private readonly clock: Clock.Clock
  private readonly trouble: Trouble
  private leaseEnd: bigint
  /** Open if others have written something of the run since `woken` last ended. */
  private readonly news = Latch.makeUnsafe(false)
  private lostBy: AgentError | undefined
  /** The error of the last renewal, if it failed. */
  private failure: TokenStoreError | undefined

  constructor(options: Options, clock: Clock.Clock, leaseEnd: bigint, { input, lease, record }: Taken) {
    this.options = options
    this.clock = clock
    this.leaseEnd = leaseEnd
    this.lease = lease
    this.record = record
    this.input = input
    this.journal = new Journal(record)
    this.trouble = new Trouble(this.annotations)
  }

  get annotations() {
    return { runId: this.record.runId, agent: this.record.agent }
  }

  /** The error with which the lease was lost; undefined while it is held. */
  gone(): AgentError | undefined {
    if (this.lostBy === undefined && this.clock.monotonicTimeNanosUnsafe() >= this.leaseEnd) this.runOut()
    return this.lostBy
  }

  /** Marks the lease as lost. The first error is kept. */
  lose(error: AgentError): AgentError {
    const lostBy = (this.lostBy ??= error)
    this.lost.fire(lostBy)
    return lostBy
  }

  /** Called when others have written something of the run. */
  heard(): void {
    this.news.openUnsafe()
  }

  /** Ends when others have written something of the run, now or since this last ended. */
  get woken(): Effect.Effect<void> {
    return Effect.tap(this.news.await, this.news.close)
  }

  /** Called once the store has released the lease. */
  released(): Effect.Effect<void> {
    return this.trouble.ended()
  }

  private runOut(): void {
    const { failure, options } = this
    const { errorOf, runId } = options
    this.lose(errorOf(failure === undefined ? new LeaseLost({ runId }) : new StoreFailed({ error: failure })))
  }

  /** Renews the lease. Returns the milliseconds until the next renewal; undefined if the lease is lost. */
  renew(): Effect.Effect<number | undefined> {
    const { clock, journal, lease, leaseEnd, options } = this
    const ttl = timeOf(options.policy)
    const before = clock.monotonicTimeNanosUnsafe()
    const { seen } = journal
    return options.store.renew(lease, ttl, seen).pipe(
      Effect.timeoutOrElse({
        duration: Duration.nanos(leaseEnd > before ? leaseEnd - before : 0n),
        orElse: () => Effect.fail(undefined)
      }),
      Effect.matchEffect({
        onSuccess: (facts) => {
          this.leaseEnd = before + Duration.toNanosUnsafe(ttl)
          this.failure = undefined
          if (journal.merge(seen, facts)) options.onFacts()
          return Effect.as(this.trouble.ended(), Duration.toMillis(ttl) / 3)
        },
        onFailure: (error) => this.notRenewed(error, Duration.toMillis(ttl))
      })
    )
  }

  private notRenewed(error: LeaseLost | TokenStoreError | undefined, ttl: number): Effect.Effect<number | undefined> {
    if (error?._tag === "LeaseLost") {
      this.lose(this.options.errorOf(error))
      return Effect.undefined
    }
    this.failure = error
    const left = this.leaseEnd - this.clock.monotonicTimeNanosUnsafe()
    if (left <= 0n) {
      this.runOut()
      return Effect.undefined
    }
    return Effect.as(
      this.trouble.began(
        "the lease of a run could not be renewed; this is tried again until the lease ends",
        error?.message ?? "the store did not answer in time"
      ),
      Math.min(Number(left) / 1e6, 1000, ttl / 10)
    )
  }
}

/** Acquires a lease and renews it until the scope closes. The caller must release it. */
export const acquire = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<HeldLease, AgentError, Scope.Scope> {
  const { errorOf, policy, runId, steal, store } = options
  const owner = yield* ownerOf(policy)
  const clock = yield* Clock.Clock
  const ttl = timeOf(policy)
  // The lease counts from before the request: the store may have granted it long before the answer came.
  const leaseEnd = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(ttl)
  const acquired = yield* store.acquire(runId, { owner, ttl, steal }).pipe(
    Effect.onExit((exit) => {
      const isKnown = Exit.isSuccess(exit) || exit.cause.reasons.some(isRefusal)
      return isKnown ? Effect.void : giveBack(options, owner)
    }),
    Effect.mapError((error) => errorOf(error._tag === "TokenStoreError" ? new StoreFailed({ error }) : error))
  )
  return yield* keep(new HeldLease(options, clock, leaseEnd, acquired))
})

/** Holds a lease that a claim took. `before` is the clock's monotonic time before the claim. */
export const take = Effect.fnUntraced(function* (
  options: Options,
  taken: Taken,
  before: bigint
): Effect.fn.Return<HeldLease, never, Scope.Scope> {
  const leaseEnd = before + Duration.toNanosUnsafe(timeOf(options.policy))
  return yield* keep(new HeldLease(options, yield* Clock.Clock, leaseEnd, taken))
})

/** Renews a lease until the scope closes: in time, and at once after a hint for its run. */
const keep = Effect.fnUntraced(function* (held: HeldLease): Effect.fn.Return<HeldLease, never, Scope.Scope> {
  const { policy, runId, store } = held.options
  const renewal = yield* Repeated.make(
    Effect.suspend(() => held.renew()),
    { first: Duration.toMillis(timeOf(policy)) / 3, annotations: held.annotations }
  )
  const wakeups = yield* Wakeups.of(store)
  const { owner } = held.lease
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      wakeups.onRun(runId, (by) => {
        if (by === owner) return
        held.heard()
        renewal.within(0)
      })
    ),
    (off) => Effect.sync(off)
  )
  return held
})

/** Makes a name for the owner of one lease. Two leases of a worker have different owners. */
export const ownerOf = Effect.fnUntraced(function* ({ workerName }: Pick<RunPolicy, "workerName">) {
  const { host, pid } = yield* ProcessProbe
  return `${workerName ?? `${host}:${pid}`}/${yield* freshId}`
})

/** Releases a lease that the store may have granted: otherwise it would block the run until its time is over. */
const giveBack = ({ policy, rest, runId, store }: Options, owner: string): Effect.Effect<void> =>
  store.acquire(runId, { owner, ttl: timeOf(policy) }).pipe(
    Effect.flatMap(({ lease, record }) =>
      store.release(lease, { seen: record.journal.length, ...rest(record), attempt: "back" })
    ),
    Effect.retry({ while: (error) => error._tag === "TokenStoreError" && error.isRetryable, schedule: persistently }),
    Effect.interruptible,
    Effect.timeoutOption(policy.closeTimeout),
    Effect.ignore
  )

/** Whether the store said that it did not grant the lease. */
const isRefusal = (reason: Cause.Reason<{ readonly _tag: string }>): boolean =>
  Cause.isFailReason(reason) && (reason.error._tag === "RunLeased" || reason.error._tag === "RunNotFound")
