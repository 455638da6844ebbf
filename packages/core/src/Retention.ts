/**
 * The rules by which a store forgets runs.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { isHeld, type Moment, type Row } from "./RunKernel.ts"
import * as RunState from "./RunState.ts"

/**
 * Returns the time from which a store counts how long it keeps a run, in milliseconds since the epoch.
 *
 * **Details**
 *
 * `isOver` is true if the run has ended, no response of it may still be running, and its consumer has acknowledged the last
 * update or was not promised the run. `since` is then the time of the last fact; for any other run it is the time at which
 * the run was last changed or released, or at which it is next due. In both cases `since` is at least the end of the run's
 * lease.
 *
 * @since 0.1.0
 * @category accessors
 */
export const rest = ({ record: run }: Row): { readonly isOver: boolean; readonly since: number } => {
  const { delivered, ended, loose } = RunState.fold(run)
  const isOver = ended !== undefined && loose.length === 0 && (delivered || !run.handled)
  const held = run.lease?.expiresAt ?? 0
  return isOver
    ? { isOver, since: Math.max(run.journal.at(-1)?.at ?? run.createdAt, held) }
    : { isOver, since: Math.max(run.updatedAt, held, run.due ?? 0) }
}

/**
 * How long a store keeps runs.
 *
 * **Details**
 *
 * - `retention`: how long a run is kept that is over.
 * - `abandonedAfter`: how long any other run is kept after a fact was last added, or after it was last held, released or
 *   due.
 *
 * @since 0.1.0
 * @category configuration
 */
export interface Retention {
  readonly retention: Duration.Duration
  readonly abandonedAfter: Duration.Duration
}

/**
 * Whether a store must forget a run, because the run was kept for long enough.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isForgotten = (row: Row, kept: Retention, now: Moment): boolean => {
  const { abandonedAfter, retention } = kept
  const least = row.record.createdAt + Math.min(Duration.toMillis(abandonedAfter), Duration.toMillis(retention))
  // Most runs are young: for them this spares the fold of the journal.
  if (least > now.millis || isHeld(row, now)) return false
  const { isOver, since } = rest(row)
  return since + Duration.toMillis(isOver ? retention : abandonedAfter) <= now.millis
}

/**
 * The default: 30 days for all runs, as long as OpenAI keeps a response.
 *
 * @since 0.1.0
 * @category configuration
 */
export const defaults: Retention = { retention: Duration.days(30), abandonedAfter: Duration.days(30) }
