import * as Metric from "effect/Metric"
import type { RunStatus } from "../../Run.ts"

// All metrics. The names are those of OpenTelemetry's GenAI conventions, with the boundaries that they advise; names that
// the conventions lack begin with `baton.`: https://github.com/open-telemetry/semantic-conventions-genai

type Attributes = Readonly<Record<string, string>>

// Attributes are given when a metric is made, not at its updates: otherwise each update would build a key. Metrics are
// cached, because their attributes have few values, and runs are many.
const kept = <M>(make: (attributes: Attributes) => M): ((attributes: Attributes) => M) => {
  const known = new Map<string, M>()
  return (attributes) => {
    const key = JSON.stringify(attributes)
    const metric = known.get(key) ?? make(attributes)
    known.set(key, metric)
    return metric
  }
}

const counter = (id: string, description: string) =>
  kept((attributes) => Metric.counter(id, { description, attributes, incremental: true }))

// The exporter reads the unit from this attribute.
const histogram = (id: string, unit: string, description: string, start: number, factor: number) =>
  kept((attributes) =>
    Metric.histogram(id, {
      description,
      attributes: { ...attributes, unit },
      boundaries: Metric.exponentialBoundaries({ start, factor, count: 15 })
    })
  )

export const operationDuration = histogram(
  "gen_ai.client.operation.duration",
  "s",
  "How long an attachment to a run lasted",
  0.01,
  2
)
export const timeToFirstChunk = histogram(
  "gen_ai.client.operation.time_to_first_chunk",
  "s",
  "From the request that opens a streamed response to its first update",
  0.01,
  2
)
export const tokenUsage = histogram("gen_ai.client.token.usage", "{token}", "Tokens that a response used", 1, 4)

export const updates = counter("baton.updates", "Updates delivered")
export const reconnects = counter("baton.reconnects", "Attachments made again after a connection ended")
export const fallbacks = counter("baton.fallbacks", "Streams that could not be replayed, and are polled instead")
const runs = counter("baton.runs", "Runs that ended, by status")
/** Counts a run that ended. */
export const counted = (agent: string, status: RunStatus) =>
  Metric.update(runs({ "gen_ai.agent.name": agent, "baton.run.status": status }), 1)
export const attempts = counter("baton.worker.attempts", "Attempts of workers at a run, by outcome")
export const leasesLost = counter("baton.leases.lost", "Leases that workers lost")
export const finalWritesFailed = counter(
  "baton.final_writes.failed",
  "Last writes that failed when a run was left: its next worker repeats some updates"
)
export const checkpointDuration = histogram(
  "baton.checkpoint.duration",
  "s",
  "How long a write to the token store took",
  0.001,
  2
)
export const checkpointLag = histogram(
  "baton.checkpoint.lag",
  "s",
  "Time since the acknowledgement of the oldest unwritten position, at the end of a write",
  0.001,
  2
)
