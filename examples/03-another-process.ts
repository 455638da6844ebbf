// The position is kept in files: run this twice. The first process breaks off, the second goes on by the run's id.
//
//   pnpm sandbox --port 8787 --pace "5 millis" &      (not needed with OPENAI_API_KEY)
//   SANDBOX_URL=http://127.0.0.1:8787/v1 pnpm exec node examples/03-another-process.ts
//   SANDBOX_URL=http://127.0.0.1:8787/v1 pnpm exec node examples/03-another-process.ts
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const runId = yield* Config.String("RUN_ID").pipe(Config.withDefault("report-2026"))
  const print = Stream.runForEach((update: AgentUpdate.AgentUpdate) =>
    Effect.sync(() => process.stdout.write(update.text))
  )

  yield* Agent.resume(analyst, { runId }).pipe(
    print,
    Effect.andThen(Console.log("\n--- the report is complete")),
    Effect.catchReason("AgentError", "RunNotFound", () =>
      Effect.gen(function* () {
        yield* Agent.stream(analyst, { input: yield* task, runId }).pipe(Stream.take(100), print)
        yield* Console.log("\n--- broken off after 100 updates. Run me again: I go on exactly here.")
      })
    )
  )
})

program.pipe(
  Effect.provide([Model, TokenStore.layerFile({ directory: ".baton/examples" })]),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
