// How many logs whose retention has ended are removed at a time: more than one, so that they do not pile up.
const sweepSize = 4

/** A log, and when it was last opened or appended to, in milliseconds since the epoch. */
export interface Dated {
  readonly usedAt: number
}

/** Whether the retention of a log has ended. */
export const isForgotten = ({ usedAt }: Dated, retention: number, now: number): boolean => usedAt + retention <= now

/** Puts a log into a map that has its logs in the order in which they were last used. */
export const put = <K, A extends Dated>(logs: Map<K, A>, key: K, log: A): void => {
  if (logs.get(key)?.usedAt !== log.usedAt) logs.delete(key)
  logs.set(key, log)
}

/** Some of the logs whose retention has ended, of a map in the order of use. */
export const forgottenIn = <K, A extends Dated>(
  logs: ReadonlyMap<K, A>,
  retention: number,
  now: number
): ReadonlyArray<K> => {
  const found: Array<K> = []
  for (const [key, log] of logs) {
    if (found.length === sweepSize || !isForgotten(log, retention, now)) break
    found.push(key)
  }
  return found
}
