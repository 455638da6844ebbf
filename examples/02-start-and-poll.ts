// Start a report in the background, and poll every five seconds until its token is gone.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Console, Effect, Option, Schedule } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const started = yield* Agent.start(analyst, { input: yield* task })
  yield* Console.log(`accepted: ${started.status}`)

  const report = yield* Agent.poll(analyst, { runId: started.runId }).pipe(
    Effect.tap((response) => Console.log(`polled: ${response.status}`)),
    Effect.repeat({
      schedule: Schedule.spaced("5 seconds"),
      while: (response) => Option.isSome(response.continuationToken)
    })
  )
  yield* Console.log(report.text)
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
