// Stop a run. Leaving its stream does not stop it: the run goes on at the provider, and costs money. `Agent.cancel` does:
// it records the wish, repeats it until the provider has taken it, and answers how the run really ended.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Console, Effect, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const runId = "unwanted"
  yield* Agent.stream(analyst, { input: yield* task, runId }).pipe(
    Stream.take(50),
    Stream.runForEach((update) => Effect.sync(() => process.stdout.write(update.text)))
  )
  const left = yield* Agent.poll(analyst, { runId })
  yield* Console.log(`\n--- the stream is left, and the run is ${left.status}`)

  // Any process may do this, also while another one streams the run. A run that was faster is completed, not cancelled.
  const stopped = yield* Agent.cancel(analyst, { runId })
  yield* Console.log(`--- the run is stopped: ${stopped.status}`)

  // What was written until then comes, and then the stream fails: a stopped report does not look like a whole one.
  yield* Agent.resume(analyst, { runId }).pipe(
    Stream.runForEach((update) => Effect.sync(() => process.stdout.write(update.text))),
    Effect.catchReason("AgentError", "RunCancelled", ({ message }) => Console.log(`\n--- ${message}`))
  )
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
