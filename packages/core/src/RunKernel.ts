/**
 * The state machine of a token store, as pure functions: a run's row, an operation and a moment make an answer and the
 * next row.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { LeaseLost, RunLeased, RunNotFound } from "./AgentError.ts"
import { start } from "./ContinuationToken.ts"
import type { RunId } from "./Run.ts"
import type { Fact, NewFact, NewRun, RunRecord } from "./RunRecord.ts"
import { keyOf } from "./internal/factKey.ts"
import * as RunState from "./RunState.ts"
import {
  type AcquireOptions,
  type Answer,
  type Commit,
  Gone,
  type Lease,
  type Page,
  type ReleaseOptions,
  type RunFilter,
  type Unborn
} from "./StoreOperations.ts"

/**
 * A moment by both clocks: leases end by the monotonic one, and are shown by the other.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly millis: number
  readonly nanos: bigint
}

/**
 * One run: its record, and when its lease ends by the monotonic clock of this process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly record: RunRecord
  readonly leaseEnd: bigint
}

/**
 * What an operation answers, and the row it leaves behind: the same one if it changed nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step<A> {
  readonly value: A
  readonly row: Row
}

const holds = (row: Row, now: Moment): boolean => row.record.lease !== null && now.nanos < row.leaseEnd

const shown = (row: Row, now: Moment): RunRecord =>
  row.record.lease !== null && !holds(row, now) ? { ...row.record, lease: null } : row.record

const changed = (row: Row, change: Partial<RunRecord>, now: Moment): Row => ({
  ...row,
  record: { ...row.record, ...change, updatedAt: now.millis }
})

/** When a run is work next: `infinity` is never. */
const dueAt = (due: Duration.Duration, now: Moment): number | null =>
  Duration.isFinite(due) ? now.millis + Math.max(0, Math.ceil(Duration.toMillis(due))) : null

const stamped = (fact: NewFact, now: Moment): Fact => ({ ...fact, at: now.millis })

/** The facts whose keys are not in the journal. */
const unknownTo = (journal: ReadonlyArray<Fact>, facts: ReadonlyArray<NewFact>): ReadonlyArray<NewFact> => {
  if (facts.length === 0) return facts
  const keys = new Set(journal.map(keyOf))
  return facts.filter((fact) => {
    const key = keyOf(fact)
    if (keys.has(key)) return false
    keys.add(key)
    return true
  })
}

/**
 * Creates a run, unless `row` is one: see `Operations.create`. `nextFence` becomes its incarnation.
 *
 * @since 0.1.0
 * @category operations
 */
export const create = (
  row: Row | undefined,
  run: NewRun,
  options: { readonly facts?: ReadonlyArray<Unborn>; readonly due?: Duration.Duration; readonly nextFence: number },
  now: Moment
): Step<{ readonly record: RunRecord; readonly created: boolean }> => {
  if (row !== undefined) return { value: { record: shown(row, now), created: false }, row }
  const incarnation = options.nextFence
  const first = (options.facts ?? []).map((fact) => ({ ...fact, incarnation }) as NewFact)
  const record: RunRecord = {
    version: 2,
    ...run,
    incarnation,
    journal: unknownTo([], first).map((fact) => stamped(fact, now)),
    position: start(run.agent, run.runId, incarnation),
    ordinal: 0,
    handled: false,
    attempts: [],
    parked: null,
    due: dueAt(options.due ?? Duration.zero, now),
    lease: null,
    createdAt: now.millis,
    updatedAt: now.millis
  }
  return { value: { record, created: true }, row: { record, leaseEnd: 0n } }
}

/**
 * The record of a run as it is now: a lease that has ended is not shown.
 *
 * @since 0.1.0
 * @category operations
 */
export const read = (row: Row, now: Moment): RunRecord => shown(row, now)

/**
 * Takes a run: see `Operations.acquire`. `nextFence` becomes the fence of a new holder, and must be above all before it.
 *
 * @since 0.1.0
 * @category operations
 */
export const acquire = (
  row: Row | undefined,
  id: RunId,
  options: AcquireOptions & { readonly nextFence: number },
  now: Moment
): Result.Result<Step<{ readonly lease: Lease; readonly record: RunRecord }>, RunNotFound | RunLeased> => {
  if (row === undefined) return Result.fail(new RunNotFound({ runId: id }))
  const { record } = row
  const current = holds(row, now) ? record.lease : null
  const own = current?.owner === options.owner
  if (current !== null && !own && options.steal !== true) {
    return Result.fail(new RunLeased({ runId: id, owner: current.owner, until: current.expiresAt }))
  }
  const fence = current !== null && own ? current.fence : options.nextFence
  const lease = { runId: id, owner: options.owner, fence }
  const isAttempt = options.attempt === true && !record.attempts.includes(fence)
  const taken: Row = {
    ...row,
    record: {
      ...record,
      due: record.due === null || record.due > now.millis ? now.millis : record.due,
      parked: null,
      handled: record.handled || options.attempt === true,
      attempts: isAttempt ? [...record.attempts, fence] : record.attempts
    }
  }
  const next = leased(taken, lease, options.ttl, now)
  return Result.succeed({ value: { lease, record: next.record }, row: next })
}

/**
 * Sets the end of a lease: see `Operations.renew`.
 *
 * @since 0.1.0
 * @category operations
 */
export const renew = (
  found: Row | undefined,
  lease: Lease,
  ttl: Duration.Duration,
  seen: number,
  now: Moment
): Result.Result<Step<ReadonlyArray<Fact>>, LeaseLost> =>
  Result.map(held(found, lease, now), (row) => ({
    value: row.record.journal.slice(seen),
    row: leased(row, lease, ttl, now)
  }))

/**
 * Gives up a lease: see `Operations.release`. Undefined if nothing changes.
 *
 * @since 0.1.0
 * @category operations
 */
export const release = (
  row: Row | undefined,
  lease: Lease,
  { attempt, due, parked, seen }: ReleaseOptions,
  now: Moment
): Step<void> | undefined => {
  if (row === undefined) return undefined
  const { record } = row
  const isHeld = record.lease?.fence === lease.fence
  const attempts =
    attempt === "keep" || (!isHeld && !record.attempts.includes(lease.fence))
      ? record.attempts
      : attempt === "reset" && isHeld
        ? []
        : record.attempts.filter((fence) => fence !== lease.fence)
  if (!isHeld) {
    return attempts === record.attempts
      ? undefined
      : { value: undefined, row: { ...row, record: { ...record, attempts } } }
  }
  const isUnseen = record.journal.length > seen
  return {
    value: undefined,
    row: {
      record: {
        ...record,
        attempts,
        lease: null,
        due: isUnseen ? now.millis : dueAt(due, now),
        parked: isUnseen || parked === undefined ? null : { reason: parked, at: now.millis },
        updatedAt: now.millis
      },
      leaseEnd: 0n
    }
  }
}

/**
 * Writes facts and a position under a lease: see `Operations.commit`.
 *
 * @since 0.1.0
 * @category operations
 */
export const commit = (
  found: Row | undefined,
  lease: Lease,
  { facts = [], guard = false, position, seen }: Commit,
  now: Moment
): Result.Result<Step<Answer>, LeaseLost> =>
  Result.map(held(found, lease, now), (row): Step<Answer> => {
    const { record } = row
    const added = unknownTo(record.journal, facts)
    const isFurther = position !== undefined && position.ordinal > record.ordinal
    if (guard && (added.length > 0 || isFurther) && record.journal.length > seen) {
      return { value: { outcome: "moved", facts: record.journal.slice(seen) }, row }
    }
    if (added.length === 0 && !isFurther) {
      return { value: { outcome: "written", facts: record.journal.slice(seen) }, row }
    }
    const journal =
      added.length === 0 ? record.journal : [...record.journal, ...added.map((fact) => stamped(fact, now))]
    const own = record.attempts.filter((fence) => fence === lease.fence)
    const next = changed(
      row,
      isFurther
        ? {
            journal,
            position: position.token,
            ordinal: position.ordinal,
            attempts: own.length === record.attempts.length ? record.attempts : own
          }
        : { journal },
      now
    )
    return { value: { outcome: "written", facts: journal.slice(seen) }, row: next }
  })

/** Whether a fact of this incarnation belongs to the record. */
const isOf = (record: RunRecord, { incarnation }: NewFact): boolean =>
  incarnation === record.incarnation ||
  record.journal.some((known) => known._tag === "Retried" && known.incarnation === incarnation)

/**
 * Records a fact without a lease: see `Operations.record`.
 *
 * @since 0.1.0
 * @category operations
 */
export const record = (
  row: Row | undefined,
  id: RunId,
  fact: NewFact,
  seen: number,
  now: Moment
): Result.Result<Step<ReadonlyArray<Fact>>, Gone> => {
  if (row === undefined || !isOf(row.record, fact)) return Result.fail(new Gone({ runId: id }))
  const [added] = unknownTo(row.record.journal, [fact])
  if (added === undefined) return Result.succeed({ value: row.record.journal.slice(seen), row })
  const journal = [...row.record.journal, stamped(added, now)]
  return Result.succeed({
    value: journal.slice(seen),
    row: changed(row, { journal, due: now.millis, parked: null }, now)
  })
}

/**
 * Writes a decision for a run that nobody holds: see `Operations.conclude`.
 *
 * @since 0.1.0
 * @category operations
 */
export const conclude = (
  row: Row | undefined,
  id: RunId,
  {
    due,
    facts,
    seen
  }: { readonly seen: number; readonly facts: ReadonlyArray<NewFact>; readonly due: Duration.Duration },
  now: Moment
): Result.Result<Step<Answer>, Gone> => {
  if (row === undefined || !facts.every((fact) => isOf(row.record, fact))) return Result.fail(new Gone({ runId: id }))
  const { handled, journal: known } = row.record
  const added = unknownTo(known, facts)
  const answer = (outcome: Answer["outcome"], journal: ReadonlyArray<Fact>, next: Row) =>
    Result.succeed({ value: { outcome, facts: journal.slice(seen) }, row: next })
  if (added.length === 0) return answer("written", known, row)
  if (holds(row, now)) return answer("held", known, row)
  if (known.length > seen) return answer("moved", known, row)
  const written = [...known, ...added.map((fact) => stamped(fact, now))]
  // Whoever concludes may not know that a worker's consumer was promised the run meanwhile.
  const change = { journal: written, due: handled ? now.millis : dueAt(due, now), parked: null, lease: null }
  return answer("written", written, { ...changed(row, change, now), leaseEnd: 0n })
}

/**
 * Whether a run may be forgotten: see `Operations.remove`. The caller then drops its row.
 *
 * @since 0.1.0
 * @category operations
 */
export const remove = (
  row: Row | undefined,
  lease: Lease,
  options: { readonly force?: boolean },
  now: Moment
): Result.Result<boolean, LeaseLost> =>
  row === undefined
    ? Result.succeed(true)
    : Result.map(held(row, lease, now), ({ record: run }) => options.force === true || isRemovable(run))

/** Whether nothing that was bought, or may have been, would be forgotten with the record. */
const isRemovable = (run: Pick<RunRecord, "incarnation" | "journal">): boolean => {
  const state = RunState.fold(run)
  return state.unresolved.length === 0 && state.loose.length === 0
}

/** Whether a run is one that the filter asks for, by what its record says. */
const isListed = (run: RunRecord, filter: RunFilter): boolean =>
  (filter.parked === undefined || filter.parked === (run.parked !== null)) &&
  (filter.agent === undefined || filter.agent === run.agent) &&
  (filter.status === undefined || filter.status.includes(RunState.statusOf(RunState.fold(run), run.position)))

/**
 * One page of the runs of a store that keeps all of them at hand: see `Operations.list`.
 *
 * @since 0.1.0
 * @category operations
 */
export const list = (rows: Iterable<Row>, filter: RunFilter, now: Moment): Page<RunRecord> => {
  const matching: Array<{ readonly at: string; readonly row: Row }> = []
  for (const row of rows) {
    const { record: run } = row
    if (filter.due === true && (run.due === null || run.due > now.millis || holds(row, now))) continue
    const at = place(filter.due === true ? (run.due ?? 0) : run.createdAt, run.runId)
    if (filter.cursor !== undefined && at <= filter.cursor) continue
    if (isListed(run, filter)) matching.push({ at, row })
  }
  matching.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
  const page = matching.slice(0, Math.max(1, Math.trunc(filter.limit)))
  const last = page.at(-1)
  return {
    items: page.map(({ row }) => shown(row, now)),
    ...(matching.length > page.length && last !== undefined ? { cursor: last.at } : {})
  }
}

// As text, so that the last one's is the cursor.
const place = (time: number, runId: string): string => `${String(time).padStart(16, "0")}:${runId}`

const held = (row: Row | undefined, lease: Lease, now: Moment): Result.Result<Row, LeaseLost> =>
  row !== undefined && row.record.lease?.fence === lease.fence && holds(row, now)
    ? Result.succeed(row)
    : Result.fail(new LeaseLost({ runId: lease.runId }))

const leased = (row: Row, lease: Lease, ttl: Duration.Duration, now: Moment): Row => ({
  record: {
    ...row.record,
    lease: { owner: lease.owner, fence: lease.fence, expiresAt: now.millis + Duration.toMillis(ttl) }
  },
  leaseEnd: now.nanos + Duration.toNanosUnsafe(ttl)
})
