/**
 * How long a store keeps its runs.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { isHeld, type Moment, type Row } from "./RunKernel.ts"
import * as RunState from "./RunState.ts"

/**
 * Since when nothing happens to a run, in milliseconds since the epoch, and whether it is over: it has ended, nothing of it
 * runs on, and its consumer is done with it or was not promised it. A run that is held, or that is work later, counts from
 * then. One that is over counts from the last fact, and any other from when it was changed or left last.
 *
 * @since 0.1.0
 * @category getters
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
 * - `retention`: a run that is over, from then on.
 * - `abandonedAfter`: any other run, since a fact came for it, or since it was held, left or became work last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Retention {
  readonly retention: Duration.Duration
  readonly abandonedAfter: Duration.Duration
}

/**
 * Whether a run's time to be kept is over, so that a store forgets it.
 *
 * @since 0.1.0
 * @category guards
 */
export const isForgotten = (row: Row, kept: Retention, now: Moment): boolean => {
  const { abandonedAfter, retention } = kept
  const least = row.record.createdAt + Math.min(Duration.toMillis(abandonedAfter), Duration.toMillis(retention))
  // Most runs are young, and need no look at their journals.
  if (least > now.millis || isHeld(row, now)) return false
  const { isOver, since } = rest(row)
  return since + Duration.toMillis(isOver ? retention : abandonedAfter) <= now.millis
}

/**
 * 30 days for all: as long as the provider keeps a response.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Retention = { retention: Duration.days(30), abandonedAfter: Duration.days(30) }
