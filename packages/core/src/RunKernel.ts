/**
 * The operations of a token store as pure functions, each from a run's row and a time to a result and the next row.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { LeaseLost, RunLeased, RunNotFound } from "./AgentError.ts"
import { start } from "./ContinuationToken.ts"
import type { RunId } from "./Run.ts"
import { type Fact, type NewFact, type NewRun, RunRecord } from "./RunRecord.ts"
import { changed, grown, unknownTo } from "./internal/kernel/grown.ts"
import * as RunState from "./RunState.ts"
import {
  type AcquireOptions,
  type Answer,
  type ClaimOptions,
  type Commit,
  type CreateOptions,
  Gone,
  type Lease,
  type ReleaseOptions,
  type Taken
} from "./StoreOperations.ts"

/**
 * A time by two clocks. Leases end by the monotonic clock (`nanos`); records show times of the other one, in milliseconds
 * since the epoch (`millis`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly millis: number
  readonly nanos: bigint
}

/**
 * Makes a moment from milliseconds since the epoch alone, for stores whose data outlives the process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const momentOf = (millis: number): Moment => ({ millis, nanos: BigInt(Math.floor(millis)) * 1_000_000n })

/**
 * One run in a store: its record, the end of its lease by the monotonic clock, and its input if the store keeps it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Row = Schema.Struct({
  record: RunRecord,
  leaseEnd: Schema.BigInt,
  input: Schema.optionalKey(Schema.String)
})

/**
 * The type of `Row`.
 *
 * @since 0.1.0
 * @category models
 */
export type Row = typeof Row.Type

/**
 * The result of an operation, and the next row. `row` is the same object as before if nothing changed, and undefined if the
 * store has no such run, or none any more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step<A> {
  readonly value: A
  readonly row: Row | undefined
}

/**
 * Whether a worker holds the run: its lease has not ended.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isHeld = (row: Row, now: Moment): boolean => row.record.lease !== null && now.nanos < row.leaseEnd

const shown = (row: Row, now: Moment): RunRecord =>
  row.record.lease !== null && !isHeld(row, now) ? { ...row.record, lease: null } : row.record

/** The time at which a run is due: null, for never, if `due` is infinite. */
const dueAt = (due: Duration.Duration, now: Moment): number | null =>
  Duration.isFinite(due) ? now.millis + Math.max(0, Math.ceil(Duration.toMillis(due))) : null

/**
 * Creates a run, unless `row` exists: see `Operations.create`. `fence` becomes the incarnation of the run.
 *
 * @since 0.1.0
 * @category verbs
 */
export const create = (
  row: Row | undefined,
  run: NewRun,
  { due = Duration.zero, facts = [], fence, handled = false, input }: CreateOptions & { readonly fence: number },
  now: Moment
): Step<{ readonly record: RunRecord; readonly created: boolean }> => {
  if (row !== undefined) return { value: { record: shown(row, now), created: false }, row }
  const first = facts.map((fact) => ({ ...fact, incarnation: fence }) as NewFact)
  const record: RunRecord = {
    version: 2,
    ...run,
    incarnation: fence,
    journal: [],
    position: start(run.agent, run.runId, fence),
    ordinal: 0,
    handled,
    attempts: [],
    parked: null,
    due: dueAt(due, now),
    lease: null,
    ...(input === undefined ? {} : { input: input.until }),
    createdAt: now.millis,
    updatedAt: now.millis
  }
  const empty: Row = { record, leaseEnd: 0n, ...(input === undefined ? {} : { input: input.text }) }
  const next = first.length === 0 ? empty : grown(empty, unknownTo([], first), {}, now)
  return { value: { record: next.record, created: true }, row: next }
}

/**
 * Returns the record of a run at a time: without its lease if that has ended.
 *
 * @since 0.1.0
 * @category verbs
 */
export const read = (row: Row, now: Moment): RunRecord => shown(row, now)

const taken = (row: Row, lease: Lease): Taken => ({
  lease,
  record: row.record,
  ...(row.input === undefined ? {} : { input: row.input })
})

/**
 * Takes a run: see `Operations.acquire`. `fence` becomes the fence of a new holder, and must be above all earlier ones.
 *
 * @since 0.1.0
 * @category verbs
 */
export const acquire = (
  row: Row | undefined,
  id: RunId,
  options: AcquireOptions & { readonly fence: number },
  now: Moment
): Result.Result<Step<Taken>, RunNotFound | RunLeased> => {
  if (row === undefined) return Result.fail(new RunNotFound({ runId: id }))
  const { record } = row
  const current = isHeld(row, now) ? record.lease : null
  const own = current?.owner === options.owner
  if (current !== null && !own && options.steal !== true) {
    return Result.fail(new RunLeased({ runId: id, owner: current.owner, until: current.expiresAt }))
  }
  const lease = { runId: id, owner: options.owner, fence: current !== null && own ? current.fence : options.fence }
  const due = record.due === null || record.due > now.millis ? now.millis : record.due
  const next = leased({ ...row, record: { ...record, due, parked: null } }, lease, options.ttl, now)
  return Result.succeed({ value: taken(next, lease), row: next })
}

/**
 * Takes a run for a worker if the run is due and free, or if the owner holds it already: see `Operations.claim`. The result
 * is undefined otherwise. `fence` becomes the fence of a new holder.
 *
 * @since 0.1.0
 * @category verbs
 */
export const claim = (
  row: Row | undefined,
  { fence, owner, ttl }: Pick<ClaimOptions, "owner" | "ttl"> & { readonly fence: number },
  now: Moment
): Step<Taken | undefined> => {
  if (row === undefined) return { value: undefined, row }
  const { record } = row
  const isTaken = isHeld(row, now)
  const current = isTaken && record.lease?.owner === owner ? record.lease.fence : undefined
  const isFree = !isTaken && record.parked === null && record.due !== null && record.due <= now.millis
  if (current === undefined && !isFree) return { value: undefined, row }
  const lease = { runId: record.runId, owner, fence: current ?? fence }
  const attempts = record.attempts.includes(lease.fence) ? record.attempts : [...record.attempts, lease.fence]
  const next = leased({ ...row, record: { ...record, handled: true, attempts } }, lease, ttl, now)
  return { value: taken(next, lease), row: next }
}

/**
 * Sets the end of a lease: see `Operations.renew`.
 *
 * @since 0.1.0
 * @category verbs
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
 * Gives up a lease: see `Operations.release`.
 *
 * @since 0.1.0
 * @category verbs
 */
export const release = (
  row: Row | undefined,
  lease: Lease,
  { attempt, due, parked, seen }: ReleaseOptions,
  now: Moment
): Step<void> => {
  if (row === undefined) return { value: undefined, row }
  const { record } = row
  const isLast = record.lease?.fence === lease.fence
  const attempts =
    attempt === "keep" || (!isLast && !record.attempts.includes(lease.fence))
      ? record.attempts
      : attempt === "reset" && isLast
        ? []
        : record.attempts.filter((fence) => fence !== lease.fence)
  if (!isLast) {
    return { value: undefined, row: attempts === record.attempts ? row : { ...row, record: { ...record, attempts } } }
  }
  const isUnseen = record.journal.length > seen
  return {
    value: undefined,
    row: {
      ...row,
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
 * @category verbs
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
    const own = record.attempts.filter((fence) => fence === lease.fence)
    const change = isFurther
      ? {
          position: position.token,
          ordinal: position.ordinal,
          attempts: own.length === record.attempts.length ? record.attempts : own
        }
      : {}
    const next = added.length === 0 ? changed(row, change, now) : grown(row, added, change, now)
    return { value: { outcome: "written", facts: next.record.journal.slice(seen) }, row: next }
  })

/** Whether a fact of this incarnation belongs to the record. */
const isOf = (record: RunRecord, { incarnation }: NewFact): boolean =>
  incarnation === record.incarnation ||
  record.journal.some((known) => known._tag === "Retried" && known.incarnation === incarnation)

/**
 * Records a fact without a lease: see `Operations.record`.
 *
 * @since 0.1.0
 * @category verbs
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
  const next = grown(row, [added], { due: now.millis, parked: null }, now)
  return Result.succeed({ value: next.record.journal.slice(seen), row: next })
}

/**
 * Writes a decision for a run that no worker holds: see `Operations.conclude`.
 *
 * @since 0.1.0
 * @category verbs
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
  if (isHeld(row, now)) return answer("held", known, row)
  if (known.length > seen) return answer("moved", known, row)
  // The caller may not know that the run was promised to a worker's `handle` in the meantime.
  const change = { due: handled ? now.millis : dueAt(due, now), parked: null, lease: null }
  const next = { ...grown(row, added, change, now), leaseEnd: 0n }
  return answer("written", next.record.journal, next)
}

/**
 * Removes a run: see `Operations.remove`.
 *
 * @since 0.1.0
 * @category verbs
 */
export const remove = (
  row: Row | undefined,
  lease: Lease,
  options: { readonly force?: boolean },
  now: Moment
): Result.Result<Step<boolean>, LeaseLost> =>
  row === undefined
    ? Result.succeed({ value: true, row })
    : Result.map(held(row, lease, now), ({ record: run }) =>
        options.force === true || isRemovable(run) ? { value: true, row: undefined } : { value: false, row }
      )

/** Whether the store can remove the record without losing track of a response that was, or may have been, bought. */
const isRemovable = (run: Pick<RunRecord, "incarnation" | "journal">): boolean => {
  const state = RunState.fold(run)
  return state.unresolved.length === 0 && state.loose.length === 0
}

const held = (row: Row | undefined, lease: Lease, now: Moment): Result.Result<Row, LeaseLost> =>
  row !== undefined && row.record.lease?.fence === lease.fence && isHeld(row, now)
    ? Result.succeed(row)
    : Result.fail(new LeaseLost({ runId: lease.runId }))

const leased = (row: Row, lease: Lease, ttl: Duration.Duration, now: Moment): Row => ({
  ...row,
  record: {
    ...row.record,
    lease: { owner: lease.owner, fence: lease.fence, expiresAt: now.millis + Duration.toMillis(ttl) }
  },
  leaseEnd: now.nanos + Duration.toNanosUnsafe(ttl)
})
