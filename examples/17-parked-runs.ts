// A run whose `handle` fails again and again is parked: workers leave it alone, and it says why. When the cause is gone,
// `Runs.retry` gives it back to them. The report itself is not written, or paid, a second time.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Runs, RunState, TokenStore } from "@effect-baton/core"
import { Console, Data, Effect, Layer, Schedule, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

class DiskFull extends Data.TaggedError("DiskFull")<{ readonly message: string }> {}

let full = true

const Worker = Runs.worker([analyst], {
  concurrency: 10,
  maxAttempts: 3,
  retry: Schedule.spaced("500 millis"),
  handle: ({ agent, attempt, runId, updates }) =>
    Effect.gen(function* () {
      yield* Stream.runDrain(updates)
      // The whole output, also in a later attempt, which gets only the updates that are not finished with.
      const { text } = yield* Agent.result(agent, { runId })
      yield* Console.log(`attempt ${attempt}: saving ${text.length} characters`)
      if (full) return yield* new DiskFull({ message: "the disk is full" })
      yield* Console.log(`${runId} is saved`)
    })
})

const program = Effect.gen(function* () {
  const runId = "report"
  yield* Agent.enqueue(analyst, { input: yield* task, runId })
  yield* Runs.wait(runId, { until: ({ parked }) => parked !== null })
  yield* Runs.list({ parked: true }).pipe(
    Stream.runForEach((run) => Console.log(`--- ${run.runId} is parked: ${run.parked?.reason}`))
  )

  full = false
  yield* Console.log("--- the disk has room again; the run is given back to the workers")
  yield* Runs.retry(runId)
  const done = yield* Runs.wait(runId, { until: (record) => RunState.fold(record).delivered })
  yield* Console.log(`--- ${runId}: ${RunState.statusOfRecord(done)}`)
})

program.pipe(
  Effect.provide(Layer.provide(Worker, Model)),
  Effect.provide([TokenStore.layerMemory, NodeServices.layer]),
  NodeRuntime.runMain
)
