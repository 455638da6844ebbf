// Open a run again that ended without success. It keeps its id, so that everything that knows the run still finds it, but
// it is a new attempt at the provider: it costs again, and tokens from before are refused. Here the run was cancelled; it
// is the same for one that failed or expired.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Console, Effect, Option, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const runId = "report"
  const input = yield* task
  const first = yield* Agent.start(analyst, { input, runId })
  const { status } = yield* Agent.cancel(analyst, { runId })
  yield* Console.log(`--- the run is ${status}. It is opened again:`)

  // The input is needed again, because only `Agent.enqueue` keeps it. Another input would be refused.
  const second = yield* Agent.retry(analyst, { runId, input })
  yield* Agent.resume(analyst, { runId }).pipe(
    Stream.runForEach((update) => Effect.sync(() => process.stdout.write(update.text)))
  )

  const responses = [first, second].map(({ responseId }) => Option.getOrElse(responseId, () => "none"))
  yield* Console.log(`--- one run, two responses at the provider: ${responses.join(" and ")}`)
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
