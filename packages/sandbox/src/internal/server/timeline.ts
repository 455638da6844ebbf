/** One event of a response, ready to be framed. */
export interface SandboxEvent {
  readonly type: string
  readonly sequence: number
  readonly json: string
  /** Sent only to the connections that are open when the event is made, and never replayed. */
  readonly ephemeral: boolean
}

/**
 * All events that a response will ever have, rendered on demand. Only their
 * sources are kept in memory.
 */
export interface Timeline {
  readonly length: number
  /** How many events come before the response leaves the queue. */
  readonly queued: number
  readonly at: (index: number) => SandboxEvent
  /** Whether the event at `index` waits for the pace. */
  readonly paced: (index: number) => boolean
  /** The first index whose sequence number is above `sequence`. */
  readonly after: (sequence: number) => number
  /** The response object after `produced` events. With `cutShort` there will be no more. */
  readonly snapshot: (produced: number, cutShort?: boolean) => { readonly [key: string]: unknown }
  /** The response objects of a recording, one for each retrieve. */
  readonly poll?: () => { readonly [key: string]: unknown }
  readonly outputText: (produced: number) => string
  readonly status: (produced: number) => string
}

/** A timeline that was cut short when its response was cancelled. */
export const cancelled = (inner: Timeline, produced: number, withEvent: boolean): Timeline => {
  const last = produced === 0 ? -1 : inner.at(produced - 1).sequence
  const snapshot = () => ({ ...inner.snapshot(produced, true), status: "cancelled", completed_at: null })
  const length = withEvent ? produced + 1 : produced
  return {
    length,
    queued: Math.min(inner.queued, produced),
    at: (index) =>
      index < produced
        ? inner.at(index)
        : {
            type: "response.cancelled",
            sequence: last + 1,
            json: JSON.stringify({ type: "response.cancelled", sequence_number: last + 1, response: snapshot() }),
            ephemeral: false
          },
    paced: inner.paced,
    after: (sequence) => (sequence > last ? length : Math.min(inner.after(sequence), produced)),
    snapshot,
    outputText: () => inner.outputText(produced),
    status: () => "cancelled"
  }
}
