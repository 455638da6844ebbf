import { Clock, Deferred, Duration, Effect, Exit, Latch, Metric, Schedule, Scope, Semaphore } from "effect"
import { AgentError, LeaseLost, StoreFailed } from "../AgentError.ts"
import type { ContinuationToken } from "../ContinuationToken.ts"
import type { RunId, RunStatus } from "../Run.ts"
import { ended, type Ended, type JournalEntry, type RunRecord, type Signal } from "../RunRecord.ts"
import type { RunPolicy } from "../RunPolicy.ts"
import type { Commit, Lease, TokenStore } from "../TokenStore.ts"
import * as Checkpoints from "./checkpoints.ts"
import * as Delivered from "./delivered.ts"
import { freshId } from "./freshId.ts"
import * as Instruments from "./instruments.ts"
import { ProcessProbe } from "./processProbe.ts"

/**
 * A run in the hands of this worker: its lease, the position its consumer acknowledged, and the writer that keeps it.
 */
export interface HeldRun {
  /** The record as it was when the lease was acquired. */
  readonly record: RunRecord
  /** The last position that is acknowledged; null once the consumer finished. */
  readonly position: () => ContinuationToken | null
  /** The consumer finished with everything up to this position. */
  readonly acknowledge: (token: ContinuationToken) => void
  /** The consumer finished with the last update. */
  readonly finish: (end: Ended) => void
  /** Writes these entries at once, and answers the signals that reached the run before them. */
  readonly write: (
    status: RunStatus,
    journal: ReadonlyArray<JournalEntry>,
    work?: Work
  ) => Effect.Effect<ReadonlyArray<Signal>, AgentError>
  /** How often workers took the run since its consumer last came further. */
  readonly attempts: () => number
  /** The same, for what would be lost otherwise: tried again while the store is away, for the time of a lease. */
  readonly persist: (
    status: RunStatus,
    journal: ReadonlyArray<JournalEntry>
  ) => Effect.Effect<ReadonlyArray<Signal>, AgentError>
  /** What workers shall know of the run: written with the next position, or by `flush`. */
  readonly work: (work: Work) => void
  /** Writes these entries when the run is left, if not before. */
  readonly note: (journal: ReadonlyArray<JournalEntry>) => void
  /** Writes at once what is not written yet. */
  readonly flush: Effect.Effect<void, AgentError>
  /** Why this worker may not go on, if it may not. */
  readonly gone: () => AgentError | undefined
  /** False while the run is held; when it is being left, waits until it was, and is true then. */
  readonly left: Effect.Effect<boolean>
  /** Fails when the lease is lost. */
  readonly lost: Effect.Effect<never, AgentError>
}

/** What workers know of a run: how often they took it in vain, and whether they leave it alone. */
type Work = Pick<Commit, "attempts" | "setAside">

/** Acquires the run's lease for the scope, renews it, and releases it at the end, after a last write. */
export const acquire = Effect.fnUntraced(function* (options: {
  readonly store: TokenStore["Service"]
  readonly runId: RunId
  readonly policy: RunPolicy
  readonly takeOver: boolean
}): Effect.fn.Return<HeldRun, AgentError, Scope.Scope> {
  const { policy, runId, store, takeOver } = options
  const { host, pid } = yield* ProcessProbe
  // Two leases are never one, though the worker is the same: acquiring is idempotent per owner.
  const owner = `${policy.worker ?? `${host}:${pid}`}/${yield* freshId}`
  const scope = yield* Scope.Scope
  const clock = yield* Clock.Clock
  const failed = (reason: AgentError["reason"]) => new AgentError({ runId, reason })
  const storeFailed = { TokenStoreError: (error: StoreFailed["error"]) => failed(new StoreFailed({ error })) }

  const ttl = policy.leaseTime
  const ttlNanos = Duration.toNanosUnsafe(ttl)
  // The lease runs from before the request: the store may have granted it long before the answer came.
  let leaseEnd = clock.monotonicTimeNanosUnsafe() + ttlNanos
  const { lease, record } = yield* Effect.acquireRelease(
    store.acquire(runId, { owner, ttl, takeOver }),
    ({ lease }) => Effect.suspend(() => leave(lease)),
    { interruptible: true }
  ).pipe(
    Effect.catchTags({
      TokenStoreError: (error) => Effect.fail(storeFailed.TokenStoreError(error)),
      RunLeased: (reason) => Effect.fail(failed(reason)),
      RunNotFound: (reason) => Effect.fail(failed(reason))
    })
  )

  const attributes = { "gen_ai.agent.name": record.agent }
  const checkpoints = Checkpoints.make(clock, attributes)
  const unwritten = Metric.update(Instruments.finalWritesFailed(attributes), 1)

  let leaving = false
  const left = Deferred.makeUnsafe<void>()
  const lost = Deferred.makeUnsafe<never, AgentError>()
  let lostBy: AgentError | undefined
  const lose = (error: AgentError): AgentError => {
    lostBy ??= error
    Deferred.doneUnsafe(lost, Exit.fail(lostBy))
    return lostBy
  }

  let token = record.token
  let status = record.status
  let journal: ReadonlyArray<JournalEntry> = []
  let work: Work = {}
  let attempts = record.attempts
  let ordinal = record.ordinal
  let over = ended(record) !== undefined
  // A commit without an answer: whether it was applied is not known, so it is sent again as it was before anything else.
  let unanswered: Commit | undefined
  const dirty = Latch.makeUnsafe(false)
  const one = Semaphore.makeUnsafe(1)

  const send = (commit: Commit): Effect.Effect<ReadonlyArray<Signal>, AgentError> =>
    Effect.suspend(() => {
      unanswered = commit
      return checkpoints.written(store.commit(lease, commit))
    }).pipe(
      Effect.tap(() => {
        unanswered = undefined
        const end = over ? undefined : commit.journal?.find((entry) => entry._tag === "Ended")
        if (end === undefined) return Effect.void
        over = true
        return Metric.update(Instruments.runs({ ...attributes, "baton.run.status": end.status }), 1)
      }),
      Effect.catchTags({
        LeaseLost: (reason) => Effect.fail(lose(failed(reason))),
        TokenStoreError: (error) => {
          dirty.openUnsafe()
          return Effect.fail(storeFailed.TokenStoreError(error))
        }
      })
    )

  const commit = Effect.suspend(function (): Effect.Effect<ReadonlyArray<Signal>, AgentError> {
    if (lostBy !== undefined) return Effect.fail(lostBy)
    if (unanswered !== undefined) return Effect.andThen(send(unanswered), commit)
    dirty.closeUnsafe()
    checkpoints.taken()
    const next = { ordinal: ++ordinal, token, status, ...work, ...(journal.length > 0 ? { journal } : {}) }
    journal = []
    work = {}
    return send(next)
  })
  const commitOne = one.withPermit(commit)
  const flush = one.withPermit(
    Effect.gen(function* () {
      if (unanswered !== undefined) yield* send(unanswered)
      if (dirty.isOpen() || journal.length > 0) yield* commit
    })
  )

  const furthered = () => {
    checkpoints.acknowledged()
    if (attempts > 0) work = { ...work, attempts: (attempts = 0) }
    dirty.openUnsafe()
  }

  const logged = (what: string) => (error: AgentError) =>
    Effect.logWarning(`baton: ${what}`, error.message).pipe(Effect.annotateLogs({ runId }))

  const writer = Effect.forever(
    dirty.await.pipe(
      Effect.andThen(flush),
      Effect.catch(logged("the position could not be written, and will be tried again")),
      Effect.andThen(Effect.sleep(policy.checkpointEvery))
    )
  )

  const renewal = Effect.gen(function* () {
    let pause = Duration.millis(Duration.toMillis(ttl) / 3)
    while (true) {
      yield* Effect.sleep(pause)
      const before = clock.monotonicTimeNanosUnsafe()
      const renewed = yield* Effect.result(
        store.renew(lease, ttl).pipe(
          Effect.timeoutOrElse({
            duration: Duration.nanos(leaseEnd > before ? leaseEnd - before : 0n),
            orElse: () => Effect.fail(undefined)
          })
        )
      )
      if (renewed._tag === "Success") {
        leaseEnd = before + ttlNanos
        pause = Duration.millis(Duration.toMillis(ttl) / 3)
      } else if (renewed.failure?._tag === "LeaseLost") {
        return lose(failed(renewed.failure))
      } else {
        const error = renewed.failure === undefined ? undefined : storeFailed.TokenStoreError(renewed.failure)
        const left = leaseEnd - clock.monotonicTimeNanosUnsafe()
        if (left <= 0n) return lose(error ?? failed(new LeaseLost({ runId })))
        if (error !== undefined) yield* logged("the lease could not be renewed, and will be tried again")(error)
        pause = Duration.min(Duration.nanos(left), Duration.millis(Math.min(1000, Duration.toMillis(ttl) / 10)))
      }
    }
  })

  function leave(lease: Lease): Effect.Effect<void> {
    return Effect.suspend(() => {
      leaving = true
      return lostBy === undefined ? flush : Effect.void
    }).pipe(
      Effect.catch((error) => Effect.andThen(unwritten, logged("the last position could not be written")(error))),
      Effect.andThen(
        Effect.suspend(() =>
          lostBy === undefined ? store.release(lease) : Metric.update(Instruments.leasesLost(attributes), 1)
        )
      ),
      Effect.catch((error) =>
        logged("the lease could not be released, and ends by itself")(storeFailed.TokenStoreError(error))
      ),
      Effect.interruptible,
      Effect.timeoutOrElse({
        duration: policy.finishWithin,
        orElse: () => Effect.andThen(unwritten, Effect.logWarning("baton: the last write took too long"))
      }),
      Effect.ensuring(Deferred.succeed(left, undefined))
    )
  }

  yield* Effect.forkIn(writer, scope)
  yield* Effect.forkIn(renewal, scope)

  const enter = (next: RunStatus, entries: ReadonlyArray<JournalEntry>, more: Work = {}) => {
    status = next
    work = { ...work, ...more }
    journal = [...journal, ...entries]
  }
  const gone = () => {
    if (lostBy === undefined && clock.monotonicTimeNanosUnsafe() >= leaseEnd) lose(failed(new LeaseLost({ runId })))
    return lostBy
  }

  return {
    record,
    position: () => token,
    attempts: () => attempts,
    acknowledge: (next) => {
      // A view from an early token never takes the stored position back.
      if (token === null || !Delivered.reaches(next, token)) return
      token = next
      status = next.status
      furthered()
    },
    finish: (end) => {
      if (token === null) return
      token = null
      status = end.status
      journal = [...journal, end]
      furthered()
    },
    note: (entries) => {
      journal = [...journal, ...entries]
    },
    work: (next) => {
      attempts = next.attempts ?? attempts
      work = { ...work, ...next }
      dirty.openUnsafe()
    },
    write: (next, entries, more) =>
      Effect.suspend(() => {
        enter(next, entries, more)
        return commitOne
      }),
    persist: (next, entries) =>
      Effect.suspend(() => {
        enter(next, entries)
        return commitOne.pipe(
          Effect.tapError(logged("what must be known of the run could not be written, and is tried again")),
          Effect.retry({
            while: ({ isRetryable, reason }) => reason._tag === "StoreFailed" && isRetryable && gone() === undefined,
            schedule: Schedule.spaced(policy.checkpointEvery).pipe(Schedule.upTo({ duration: ttl }))
          })
        )
      }),
    flush,
    gone,
    left: Effect.suspend(() => (leaving ? Effect.as(Deferred.await(left), true) : Effect.succeed(false))),
    lost: Deferred.await(lost)
  }
})
