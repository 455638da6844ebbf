import { Clock, Effect, Metric, type Scope, type Tracer } from "effect"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type { Attachment } from "../RunPolicy.ts"
import type { Ending } from "./cursor.ts"

// Names of OpenTelemetry's GenAI conventions where there is one: https://opentelemetry.io/docs/specs/semconv/gen-ai/

const updates = Metric.counter("baton_updates", { description: "Updates delivered" })
const attachments = Metric.counter("baton_attachments", {
  description: "Attachments to runs, by how: create, replay or poll. All but the first of a run are reconnects"
})
const toFirstUpdate = Metric.histogram("gen_ai.client.operation.time_to_first_chunk", {
  description: "Seconds from the start of a stream to its first update",
  boundaries: [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300]
})
const tokenUsage = Metric.histogram("gen_ai.client.token.usage", {
  description: "Tokens of a run, by type",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 4, count: 13 })
})

/** What is told of one stream of a run. */
export interface Telemetry {
  /** A span for one attachment: a span of the whole run would be lost with the process. */
  readonly attached: (attachment: Attachment) => Effect.Effect<Tracer.Span, never, Scope.Scope>
  readonly delivered: (batch: ReadonlyArray<AgentUpdate>) => Effect.Effect<void>
  readonly ended: (ending: Ending, span: Tracer.Span | undefined) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (model: string): Effect.fn.Return<Telemetry> {
  const clock = yield* Clock.Clock
  const begun = clock.monotonicTimeNanosUnsafe()
  let first = true

  return {
    attached: (attachment) =>
      Effect.andThen(
        Metric.update(Metric.withAttributes(attachments, { how: attachment.how }), 1),
        Effect.makeSpanScoped("baton.attach", {
          kind: "client",
          attributes: {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": attachment.agent,
            "gen_ai.request.model": model,
            "baton.run.id": attachment.runId,
            "baton.attach.how": attachment.how,
            "baton.attach.attempt": attachment.attempt,
            "baton.position": attachment.sequenceNumber
          }
        })
      ),
    delivered: (batch) => {
      const count = Metric.update(updates, batch.length)
      if (!first) return count
      first = false
      return Effect.andThen(count, Metric.update(toFirstUpdate, Number(clock.monotonicTimeNanosUnsafe() - begun) / 1e9))
    },
    ended: ({ snapshot, status }, span) => {
      const usage = snapshot?.finish?.usage
      const tokens = [
        ["input", usage?.inputTokens.total],
        ["output", usage?.outputTokens.total]
      ] as const
      span?.attribute("baton.run.status", status)
      if (snapshot !== undefined) span?.attribute("gen_ai.response.id", snapshot.responseId)
      return Effect.forEach(
        tokens,
        ([type, count]) => {
          if (count === undefined) return Effect.void
          span?.attribute(`gen_ai.usage.${type}_tokens`, count)
          return Metric.update(Metric.withAttributes(tokenUsage, { "gen_ai.token.type": type }), count)
        },
        { discard: true }
      )
    }
  }
})
