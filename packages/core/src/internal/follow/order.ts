import type { Compared } from "./position.ts"
import { covers } from "./rows.ts"

/** Whether position `a` lies at or beyond position `b` of the same run. */
export const reaches = (a: Compared, b: Compared): boolean => {
  if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation
  // In a run with an update log, an offset names one update.
  if (a.epoch !== undefined || b.epoch !== undefined) return a.offset >= b.offset
  if (a.turn !== b.turn) return a.turn > b.turn
  // A snapshot can add more with one update than a stream, so the offsets of the two cannot be compared.
  if (a.origin !== b.origin) return covers(a.delivered, b.delivered)
  if (a.sequenceNumber !== b.sequenceNumber) return a.sequenceNumber > b.sequenceNumber
  if (a.skip !== b.skip) return a.skip === 0 || (b.skip !== 0 && a.skip > b.skip)
  return a.offset >= b.offset
}
