// Observe a run: a span for each attachment to it, and metrics. Metrics are printed at the end. Both go to an OpenTelemetry
// collector if its URL is given:
//
//   OTLP_URL=http://127.0.0.1:4318 node examples/06-observability.ts
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, RunPolicy, TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, Layer, Metric, Option, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const runId = "observed"
  yield* Agent.stream(analyst, { input: yield* task, runId }).pipe(Stream.take(50), Stream.runDrain)
  yield* Agent.resume(analyst, { runId }).pipe(Stream.runDrain)

  for (const metric of yield* Metric.snapshot) {
    const { "baton.attach.how": how, "gen_ai.token.type": type } = metric.attributes ?? {}
    const value =
      metric.type === "Counter"
        ? metric.state.count
        : metric.type === "Histogram"
          ? `${metric.state.count} times, ${Number((metric.state.sum / metric.state.count).toPrecision(3))} on average`
          : ""
    if (/^(baton|gen_ai)\./.test(metric.id)) yield* Console.log(metric.id, how ?? type ?? "", value)
  }
})

// What a span says, as the hook of the policy sees it.
const Hook = RunPolicy.layer({
  onAttach: ({ attempt, how, runId, sequenceNumber }) =>
    Console.log(`attached to ${runId}: ${how}, attempt ${attempt}, after event ${sequenceNumber}`)
})

const Collector = Layer.unwrap(
  Effect.map(Config.option(Config.String("OTLP_URL")), (url) =>
    Option.isNone(url)
      ? Layer.empty
      : Otlp.layerJson({ baseUrl: url.value, resource: { serviceName: "reports" } }).pipe(
          Layer.provide(FetchHttpClient.layer)
        )
  )
)

program.pipe(
  Effect.provide([Model, Hook, TokenStore.layerMemory, NodeServices.layer]),
  Effect.provide(Collector),
  NodeRuntime.runMain
)
