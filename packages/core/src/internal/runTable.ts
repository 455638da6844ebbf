import { Duration, Result } from "effect"
import { LeaseLost, RunLeased, RunNotFound } from "../AgentError.ts"
import { start } from "../ContinuationToken.ts"
import type { RunId } from "../Run.ts"
import { type NewRun, type RunRecord, type Signal, stage } from "../RunRecord.ts"
import type { Commit, Lease, Page, RunFilter } from "../TokenStore.ts"

/** A moment by both clocks: leases expire by the monotonic one, and are shown by the other. */
export interface Moment {
  readonly millis: number
  readonly nanos: bigint
}

/** One run: its record, and when its lease ends by the monotonic clock of this process. */
export interface Row {
  readonly record: RunRecord
  readonly leaseEnd: bigint
}

/** What an operation answers, and the row it leaves behind: the same one where it changed nothing. */
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

export const create = (
  row: Row | undefined,
  run: NewRun,
  now: Moment
): Step<{ readonly record: RunRecord; readonly created: boolean }> => {
  if (row !== undefined) return { value: { record: shown(row, now), created: false }, row }
  const record: RunRecord = {
    version: 1,
    ...run,
    status: "queued",
    ordinal: 0,
    token: start(run.agent, run.runId),
    journal: [],
    signals: [],
    lease: null,
    attempts: 0,
    setAside: null,
    createdAt: now.millis,
    updatedAt: now.millis
  }
  return { value: { record, created: true }, row: { record, leaseEnd: 0n } }
}

export const read = (row: Row, now: Moment): RunRecord => shown(row, now)

export const acquire = (
  row: Row | undefined,
  id: RunId,
  options: {
    readonly owner: string
    readonly ttl: Duration.Duration
    readonly takeOver?: boolean
    readonly nextFence: number
  },
  now: Moment
): Result.Result<Step<{ readonly lease: Lease; readonly record: RunRecord }>, RunNotFound | RunLeased> => {
  if (row === undefined) return Result.fail(new RunNotFound({ runId: id }))
  const current = holds(row, now) ? row.record.lease : null
  const own = current?.owner === options.owner
  if (current !== null && !own && options.takeOver !== true) {
    return Result.fail(new RunLeased({ runId: id, owner: current.owner, until: current.expiresAt }))
  }
  const fence = current !== null && own ? current.fence : options.nextFence
  const next = leased(row, { runId: id, owner: options.owner, fence }, options.ttl, now)
  return Result.succeed({
    value: { lease: { runId: id, owner: options.owner, fence }, record: next.record },
    row: next
  })
}

export const renew = (
  row: Row | undefined,
  lease: Lease,
  ttl: Duration.Duration,
  now: Moment
): Result.Result<Step<Lease>, LeaseLost> =>
  Result.map(held(row, lease, now), (row) => ({ value: lease, row: leased(row, lease, ttl, now) }))

export const release = (row: Row | undefined, lease: Lease): Step<void> | undefined =>
  row === undefined || row.record.lease?.fence !== lease.fence
    ? undefined
    : { value: undefined, row: { record: { ...row.record, lease: null }, leaseEnd: 0n } }

export const commit = (
  row: Row | undefined,
  lease: Lease,
  commit: Commit,
  now: Moment
): Result.Result<Step<ReadonlyArray<Signal>>, LeaseLost> =>
  Result.map(held(row, lease, now), (row) => ({
    value: row.record.signals,
    row:
      commit.ordinal <= row.record.ordinal
        ? row
        : changed(
            row,
            {
              ordinal: commit.ordinal,
              token: commit.token,
              status: commit.status,
              journal: commit.journal === undefined ? row.record.journal : [...row.record.journal, ...commit.journal],
              attempts: commit.attempts ?? row.record.attempts,
              setAside:
                commit.setAside === undefined
                  ? row.record.setAside
                  : commit.setAside === null
                    ? null
                    : { reason: commit.setAside, at: now.millis }
            },
            now
          )
  }))

export const signal = (
  row: Row | undefined,
  id: RunId,
  signal: Signal,
  now: Moment
): Result.Result<Step<void>, RunNotFound> =>
  row === undefined
    ? Result.fail(new RunNotFound({ runId: id }))
    : Result.succeed({
        value: undefined,
        row: row.record.signals.some((known) => known._tag === signal._tag)
          ? row
          : changed(row, { signals: [...row.record.signals, signal] }, now)
      })

export const list = (rows: Iterable<Row>, filter: RunFilter, now: Moment): Page<RunRecord> => {
  const matching: Array<{ readonly at: string; readonly row: Row }> = []
  for (const row of rows) {
    if (
      (filter.stage === undefined || filter.stage === stage(row.record)) &&
      (filter.status === undefined || filter.status.includes(row.record.status)) &&
      (filter.agent === undefined || filter.agent === row.record.agent) &&
      (filter.unleased !== true || !holds(row, now))
    ) {
      const at = position(row.record)
      if (filter.cursor === undefined || at > filter.cursor) matching.push({ at, row })
    }
  }
  matching.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
  const page = matching.slice(0, Math.max(1, Math.trunc(filter.limit)))
  const last = page.at(-1)
  return {
    items: page.map(({ row }) => shown(row, now)),
    ...(matching.length > page.length && last !== undefined ? { cursor: last.at } : {})
  }
}

// Where a run stands in a listing: oldest first, and as text, so that the last one's is the cursor.
const position = (record: RunRecord): string => `${String(record.createdAt).padStart(16, "0")}:${record.runId}`

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
