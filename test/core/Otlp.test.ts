// What arrives at a collector, by Effect's own exporter.
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Agent, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Redacted, Schema, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { analyst, textOf } from "../support/runs.ts"

const KeyValue = Schema.Struct({ key: Schema.String, value: Schema.Record(Schema.String, Schema.Unknown) })
const Point = Schema.Struct({
  attributes: Schema.Array(KeyValue),
  explicitBounds: Schema.optionalKey(Schema.Array(Schema.Number))
})
const Points = Schema.optionalKey(
  Schema.Struct({ dataPoints: Schema.Array(Point), isMonotonic: Schema.optionalKey(Schema.Boolean) })
)
const Traces = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({
      scopeSpans: Schema.Array(
        Schema.Struct({
          spans: Schema.Array(
            Schema.Struct({
              name: Schema.String,
              kind: Schema.Number,
              attributes: Schema.Array(KeyValue),
              status: Schema.Struct({ code: Schema.Number, message: Schema.optionalKey(Schema.String) })
            })
          )
        })
      )
    })
  )
})
const Metrics = Schema.Struct({
  resourceMetrics: Schema.Array(
    Schema.Struct({
      scopeMetrics: Schema.Array(
        Schema.Struct({
          metrics: Schema.Array(
            Schema.Struct({ name: Schema.String, unit: Schema.String, sum: Points, histogram: Points })
          )
        })
      )
    })
  )
})

const collector = Effect.acquireRelease(
  Effect.promise(
    () =>
      new Promise<{ url: string; bodies: Array<readonly [string, string]>; close: () => void }>((resolve) => {
        const bodies: Array<readonly [string, string]> = []
        const server = createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            bodies.push([request.url ?? "", Buffer.concat(chunks).toString()])
            response.setHeader("content-type", "application/json").end("{}")
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resolve({ url: `http://127.0.0.1:${port}`, bodies, close: () => server.close() })
        })
      })
  ),
  ({ close }) => Effect.sync(close)
)

describe("over OTLP", () => {
  it.live("spans and metrics arrive at a collector under these names", () =>
    Effect.gen(function* () {
      const { bodies, url } = yield* collector
      const Model = OpenAiBackgroundModel.layer({ model: "lorem:20" }).pipe(
        Layer.provide(
          Layer.unwrap(
            Effect.map(ResponsesServer.ResponsesServer, (server) =>
              OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: server.url })
            )
          )
        ),
        Layer.provide(ResponsesServer.layer({ pace: "1 millis", troubles: [{ _tag: "EndEarly", after: 5, times: 1 }] }))
      )
      const updates = yield* Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })).pipe(
        Effect.provide([Model, TokenStore.layerMemory]),
        Effect.provide(
          Otlp.layerJson({ baseUrl: url, resource: { serviceName: "reports" } }).pipe(
            Layer.provide(FetchHttpClient.layer)
          )
        ),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.isAbove(textOf(updates).length, 20)

      const parsed = <S extends Schema.Top & { readonly DecodingServices: never }>(path: string, schema: S) =>
        Effect.forEach(
          bodies.filter(([at]) => at === path),
          ([, body]) => Schema.decodeUnknownEffect(Schema.fromJsonString(schema))(body)
        )
      const valueOf = (attributes: ReadonlyArray<typeof KeyValue.Type>, key: string) =>
        Object.values(attributes.find((attribute) => attribute.key === key)?.value ?? {})[0]

      const spans = (yield* parsed("/v1/traces", Traces))
        .flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans))
        .flatMap((scope) => scope.spans)
        .filter(({ name }) => name === "invoke_agent analyst")
      const [client, ok, error] = [3, 1, 2]
      assert.deepStrictEqual(
        spans.map(({ attributes, kind, status }) => [
          kind,
          status.code,
          valueOf(attributes, "error.type"),
          valueOf(attributes, "baton.attach.how"),
          valueOf(attributes, "gen_ai.provider.name"),
          valueOf(attributes, "gen_ai.request.model"),
          valueOf(attributes, "gen_ai.operation.name")
        ]),
        [
          [client, error, "Disconnected", "create", "openai", "lorem:20", "invoke_agent"],
          [client, ok, undefined, "replay", "openai", "lorem:20", "invoke_agent"]
        ]
      )
      assert.isAbove(Number(valueOf(spans[1]!.attributes, "gen_ai.usage.output_tokens")), 0)

      const metrics = (yield* parsed("/v1/metrics", Metrics))
        .at(-1)!
        .resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)
        .flatMap((scope) => scope.metrics)
      assert.deepStrictEqual(
        metrics
          .map(({ histogram, name, sum, unit }) => [name, unit, histogram !== undefined, sum?.isMonotonic])
          .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
        [
          ["baton.checkpoint.duration", "s", true, undefined],
          ["baton.checkpoint.lag", "s", true, undefined],
          ["baton.reconnects", "1", false, true],
          ["baton.runs", "1", false, true],
          ["baton.updates", "1", false, true],
          ["gen_ai.client.operation.duration", "s", true, undefined],
          ["gen_ai.client.operation.time_to_first_chunk", "s", true, undefined],
          ["gen_ai.client.token.usage", "{token}", true, undefined]
        ]
      )
      const tokens = metrics.find(({ name }) => name === "gen_ai.client.token.usage")?.histogram?.dataPoints ?? []
      assert.deepStrictEqual(
        tokens.map(({ attributes }) => valueOf(attributes, "gen_ai.token.type")),
        ["input", "output"]
      )
    })
  )
})
