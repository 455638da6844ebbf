// The position is kept in files: run this twice. The first process breaks off, the second goes on by the run's id.
//
// Both need the same provider: OpenAI, if OPENAI_API_KEY is set, or a sandbox that outlives the first process.
//
//   pnpm sandbox --port 8787 --pace "5 millis" &
//   SANDBOX_URL=http://127.0.0.1:8787/v1 pnpm exec node examples/03-another-process.ts
//   SANDBOX_URL=http://127.0.0.1:8787/v1 pnpm exec node examples/03-another-process.ts
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { Config, Console, Data, Effect, Option, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

class NoProvider extends Data.TaggedError("NoProvider")<{ readonly message: string }> {}

const program = Effect.gen(function* () {
  const runId = yield* Config.String("RUN_ID").pipe(Config.withDefault("report-2026"))
  const outlives = yield* Config.all([
    Config.option(Config.Redacted("OPENAI_API_KEY")),
    Config.option(Config.String("SANDBOX_URL"))
  ]).pipe(Config.map((given) => given.some((one) => Option.isSome<unknown>(one))))
  if (!outlives) {
    return yield* new NoProvider({
      message:
        "A sandbox of this process would end with it. Start one, and name it in SANDBOX_URL, as the comment says."
    })
  }
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
