// What is told of a run while it is followed, and that telling it changes nothing.
import { Agent, RunPolicy, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Stream, Tracer } from "effect"
import { analyst, plain } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { completed, disconnect, pause, text } = ScriptedModel
const script = [text("a"), disconnect, text("b"), pause("1 second"), text("c"), completed]
const read = (runId: string) => passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId })))

/** Keeps every span that was started. */
const tracing = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, layer: Layer.succeed(Tracer.Tracer, tracer) }
}

describe("telemetry", () => {
  it.effect("one span for each attachment, linked by the run's id, each ended", () => {
    const { layer, spans } = tracing()
    return Effect.gen(function* () {
      yield* read("r").pipe(Effect.provide(layer))
      const attachments = spans.filter((span) => span.name === "baton.attach")
      assert.deepStrictEqual(
        attachments.map(({ attributes }) => [
          attributes.get("baton.run.id"),
          attributes.get("baton.attach.how"),
          attributes.get("baton.attach.attempt"),
          attributes.get("baton.position")
        ]),
        [
          ["r", "create", 1, -1],
          ["r", "replay", 2, 3]
        ]
      )
      assert.isTrue(attachments.every((span) => span.status._tag === "Ended"))
      const last = attachments.at(-1)!.attributes
      assert.strictEqual(last.get("gen_ai.agent.name"), "analyst")
      assert.strictEqual(last.get("gen_ai.operation.name"), "invoke_agent")
      assert.strictEqual(last.get("gen_ai.response.id"), "resp_1")
      assert.strictEqual(last.get("baton.run.status"), "completed")
    }).pipe(Effect.provide(ScriptedModel.layer(script)), Effect.provide(TokenStore.layerMemory))
  })

  it.effect("the hook sees each attachment and its position", () => {
    const seen: Array<RunPolicy.Attachment> = []
    return Effect.gen(function* () {
      yield* read("r")
      assert.deepStrictEqual(
        seen.map(({ attempt, how, sequenceNumber }) => [attempt, how, sequenceNumber]),
        [
          [1, "create", -1],
          [2, "replay", 3]
        ]
      )
    }).pipe(
      Effect.provide(RunPolicy.layer({ onAttach: (attachment) => Effect.sync(() => void seen.push(attachment)) })),
      Effect.provide(ScriptedModel.layer(script)),
      Effect.provide(TokenStore.layerMemory)
    )
  })

  it.effect("counts updates and attachments", () =>
    Effect.gen(function* () {
      const count = (id: string, how?: string) =>
        Effect.map(Metric.snapshot, (metrics) =>
          metrics
            .filter((metric) => metric.id === id && (how === undefined || metric.attributes?.["how"] === how))
            .reduce((sum, metric) => sum + (metric.type === "Counter" ? Number(metric.state.count) : 0), 0)
        )
      const before = [yield* count("baton_updates"), yield* count("baton_attachments", "replay")] as const
      const updates = yield* read("r")
      assert.strictEqual((yield* count("baton_updates")) - before[0], updates.length)
      assert.strictEqual((yield* count("baton_attachments", "replay")) - before[1], 1)
    }).pipe(Effect.provide(ScriptedModel.layer(script)), Effect.provide(TokenStore.layerMemory))
  )

  it.effect("tracing on or off, the updates are the same", () =>
    Effect.gen(function* () {
      const traced = yield* read("traced").pipe(Effect.provide(tracing().layer), Effect.withSpan("parent"))
      const untraced = yield* read("untraced").pipe(Effect.withTracerEnabled(false))
      assert.deepStrictEqual(plain(traced), plain(untraced))
    }).pipe(Effect.provide(ScriptedModel.layer(script)), Effect.provide(TokenStore.layerMemory))
  )
})
