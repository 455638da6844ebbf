// The desk orders reports, and needs only the store: it has neither a model nor a key. A worker opens each report when its
// time has come. The last report is cancelled before that. With a shared store, desk and worker can be two processes.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Runs, RunState, TokenStore } from "@effect-baton/core"
import { Console, DateTime, Effect, type FileSystem, Layer, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const desk: Effect.Effect<void, unknown, TokenStore.TokenStore | FileSystem.FileSystem> = Effect.gen(function* () {
  const input = yield* task
  const soon = DateTime.add(yield* DateTime.now, { seconds: 2 })
  yield* Agent.enqueue(analyst, { input, runId: "report-1", labels: { customer: "north" } })
  yield* Agent.enqueue(analyst, { input, runId: "report-2", labels: { customer: "north" }, notBefore: soon })
  yield* Agent.enqueue(analyst, { input, runId: "report-3", labels: { customer: "south" }, notBefore: soon })
  // The same id and input again is the same run.
  yield* Agent.enqueue(analyst, { input, runId: "report-1" })
  yield* Console.log(`${yield* Runs.cancel({ labels: { customer: "south" } })} report is cancelled before its time`)

  for (const runId of ["report-1", "report-2", "report-3"]) {
    const record = yield* Runs.wait(runId, { until: (seen) => RunState.fold(seen).delivered })
    yield* Console.log(`${runId} of ${record.labels?.customer}: ${RunState.statusOfRecord(record)}`)
  }
  const { cancelled, completed } = yield* Runs.count()
  yield* Console.log(`${completed} completed, ${cancelled} cancelled`)
})

const Worker = Runs.worker([analyst], {
  concurrency: 10,
  handle: ({ runId, updates }) =>
    updates.pipe(
      Stream.runFold(
        () => 0,
        (length, { text }) => length + text.length
      ),
      Effect.flatMap((length) => Console.log(`the worker wrote ${runId}, ${length} characters`)),
      Effect.catchReason("AgentError", "RunCancelled", () => Console.log(`the worker has nothing to do for ${runId}`))
    )
})

desk.pipe(
  Effect.provide(Layer.provide(Worker, Model)),
  Effect.provide([TokenStore.layerMemory, NodeServices.layer]),
  NodeRuntime.runMain
)
