// One process starts runs and asks for their results; another, a worker, follows them. They share Redis and nothing else.
// The worker gets each report as it is written. This process asks for the results only after the worker is done: asking
// records the end of a run, and a run that is over before a worker took it is not handed to one.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent } from "@effect-baton/core"
import { Console, Effect, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { allFinished, startWorker } from "./child.ts"
import { Model, Sandbox } from "./model.ts"
import { RedisPlace, Store } from "./redis.ts"

const runIds = ["report-1", "report-2"]

const program = Effect.gen(function* () {
  const worker = yield* startWorker
  const updates = new Map<string, number>()
  yield* worker.updates.pipe(
    Stream.runForEach(({ runId, status }) => {
      const count = (updates.get(runId) ?? 0) + 1
      updates.set(runId, count)
      return status === "completed" ? Console.log(`the worker got ${runId} in ${count} updates`) : Effect.void
    }),
    Effect.forkChild
  )

  const input = yield* task
  for (const runId of runIds) {
    const { status } = yield* Agent.start(analyst, { input, runId })
    yield* Console.log(`${runId} is started: ${status}`)
  }
  yield* allFinished
  yield* Console.log("the worker is done with both")
  for (const runId of runIds) {
    const { status, text } = yield* Agent.result(analyst, { runId })
    yield* Console.log(`the result of ${runId}: ${status}, ${text.length} characters`)
  }
}).pipe(Effect.scoped)

program.pipe(Effect.provide([Model, Sandbox.layer, Store, RedisPlace.layer, NodeServices.layer]), NodeRuntime.runMain)
