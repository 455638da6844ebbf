import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type AgentError, LeaseLost, StoreFailed } from "../../AgentError.ts"
import type { RunId } from "../../Run.ts"
import type { RunRecord } from "../../RunRecord.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { Lease, ReleaseOptions, TokenStore } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { freshId } from "../freshId.ts"
import { ProcessProbe } from "../processProbe.ts"
import { Signal } from "../signal.ts"
import { Journal } from "./journal.ts"
import * as Repeated from "./repeated.ts"
import * as Trouble from "./trouble.ts"

/** The right of this process to advance a run: acquired, renewed, and at some time released or lost. */
export interface HeldLease {
  readonly lease: Lease
  /** The record as it was when the lease was acquired. */
  readonly record: RunRecord
  readonly journal: Journal
  /** Why this process may not go on, if it may not. */
  readonly gone: () => AgentError | undefined
  /** Says that the lease is lost, for the first reason that is given. */
  readonly lose: (error: AgentError) => AgentError
  /** Fires when the lease is lost. */
  readonly lost: Signal<AgentError>
  /** The store took the lease back. */
  readonly released: Effect.Effect<void>
}

const longest = Duration.days(1)
const shortest = Duration.millis(10)

/** How long a lease lasts unless it is renewed. */
export const timeOf = ({ leaseTime }: Pick<RunPolicy, "leaseTime">): Duration.Duration =>
  Duration.clamp(leaseTime, { minimum: shortest, maximum: longest })

/** How often what must not be forgotten is tried again. */
export const persistently = Schedule.spaced("100 millis")

/** How a run is left: see `ReleaseOptions`. */
export type Rest = Pick<ReleaseOptions, "due" | "parked">

/** Acquires a lease and renews it until the scope closes. Whoever holds it releases it. */
export const acquire = Effect.fnUntraced(function* (options: {
  readonly store: TokenStore["Service"]
  readonly runId: RunId
  readonly policy: RunPolicy
  readonly steal: boolean
  readonly attempt: boolean
  /** When a run like this is work again, if it is left at once. */
  readonly rest: (record: RunRecord) => Rest
  /** Facts came that this process had not seen. */
  readonly onFacts: () => void
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
}): Effect.fn.Return<HeldLease, AgentError, Scope.Scope> {
  const { attempt, errorOf, policy, rest, runId, steal, store } = options
  const { host, pid } = yield* ProcessProbe
  // Two leases are never one, though the worker is the same: acquiring again is for the same owner.
  const owner = `${policy.workerName ?? `${host}:${pid}`}/${yield* freshId}`
  const clock = yield* Clock.Clock
  const ttl = timeOf(policy)
  const ttlNanos = Duration.toNanosUnsafe(ttl)

  // Whether the store gave the lease is not known: it would stand there until its time is over.
  const giveBack = store.acquire(runId, { owner, ttl, attempt }).pipe(
    Effect.flatMap(({ lease, record }) =>
      store.release(lease, { seen: record.journal.length, ...rest(record), attempt: "back" })
    ),
    Effect.retry({ while: (error) => error._tag === "TokenStoreError" && error.isRetryable, schedule: persistently }),
    Effect.interruptible,
    Effect.timeoutOption(policy.closeTimeout),
    Effect.ignore
  )
  // The lease runs from before the request: the store may have granted it long before the answer came.
  let leaseEnd = clock.monotonicTimeNanosUnsafe() + ttlNanos
  const { lease, record } = yield* store.acquire(runId, { owner, ttl, steal, attempt }).pipe(
    Effect.onExit((exit) => {
      const isKnown = Exit.isSuccess(exit) || exit.cause.reasons.some(isRefusal)
      return isKnown ? Effect.void : giveBack
    }),
    Effect.mapError((error) => errorOf(error._tag === "TokenStoreError" ? new StoreFailed({ error }) : error))
  )

  const journal = new Journal(record)
  const lost = new Signal<AgentError>()
  let lostBy: AgentError | undefined
  const lose = (error: AgentError): AgentError => {
    lostBy ??= error
    lost.fire(lostBy)
    return lostBy
  }
  // What the last renewal failed with, if it did.
  let failure: TokenStoreError | undefined
  const runOut = () =>
    lose(errorOf(failure === undefined ? new LeaseLost({ runId }) : new StoreFailed({ error: failure })))
  const gone = () => {
    if (lostBy === undefined && clock.monotonicTimeNanosUnsafe() >= leaseEnd) runOut()
    return lostBy
  }

  const annotations = { runId, agent: record.agent }
  const trouble = Trouble.make(annotations)
  const third = Duration.toMillis(ttl) / 3
  const soon = Math.min(1000, Duration.toMillis(ttl) / 10)
  /** Renews the lease, and answers after how many milliseconds to do so again. */
  const renew = Effect.gen(function* () {
    const before = clock.monotonicTimeNanosUnsafe()
    const { seen } = journal
    const renewed = yield* Effect.result(
      store.renew(lease, ttl, seen).pipe(
        Effect.timeoutOrElse({
          duration: Duration.nanos(leaseEnd > before ? leaseEnd - before : 0n),
          orElse: () => Effect.fail(undefined)
        })
      )
    )
    if (renewed._tag === "Success") {
      leaseEnd = before + ttlNanos
      failure = undefined
      yield* trouble.ended
      if (journal.merge(seen, renewed.success)) options.onFacts()
      return third
    }
    if (renewed.failure?._tag === "LeaseLost") {
      lose(errorOf(renewed.failure))
      return undefined
    }
    failure = renewed.failure
    const left = leaseEnd - clock.monotonicTimeNanosUnsafe()
    if (left <= 0n) {
      runOut()
      return undefined
    }
    yield* trouble.began(
      "the lease of a run could not be renewed, and this is tried again until the lease ends",
      failure?.message ?? "the store did not answer in time"
    )
    return Math.min(Number(left) / 1e6, soon)
  })
  yield* Repeated.make(renew, { first: third, annotations })
  return { lease, record, journal, gone, lose, lost, released: trouble.ended }
})

/** Whether the store said that it did not give the lease. */
const isRefusal = (reason: Cause.Reason<{ readonly _tag: string }>): boolean =>
  Cause.isFailReason(reason) && (reason.error._tag === "RunLeased" || reason.error._tag === "RunNotFound")
