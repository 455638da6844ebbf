// Three worker processes share six runs over Redis. One of them is killed while you watch, and the others go on with its
// runs: every report is whole, and was paid once.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent } from "@effect-baton/core"
import { Console, Data, Effect, Fiber, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { allFinished, startWorker } from "./child.ts"
import { type Line, position } from "./line.ts"
import { Model, Sandbox } from "./model.ts"
import { RedisPlace, Store } from "./redis.ts"

class WorkersFailed extends Data.TaggedError("WorkersFailed")<{ readonly message: string }> {}

const runIds = ["north", "south", "east", "west", "central", "world"]

// What the workers tell. After SIGKILL the last updates may come again: they are known by their position.
const reports = new Map(runIds.map((runId) => [runId, new Map<string, Line>()]))
const workerOf = new Map<string, string>()
let killed: string | undefined

const startAndFollow = Effect.fnUntraced(function* (name: string) {
  const worker = yield* startWorker
  let updates = 0
  const take = Effect.fnUntraced(function* (update: Line) {
    const { runId, status } = update
    reports.get(runId)?.set(position(update), update)

    const before = workerOf.get(runId)
    workerOf.set(runId, name)
    if (before === undefined) yield* Console.log(`${name} has ${runId}`)
    else if (before !== name) yield* Console.log(`${name} goes on with ${runId}, which ${before} had`)
    if (status === "completed") yield* Console.log(`${name} is done with ${runId}`)

    if (++updates < 200 || killed !== undefined) return
    killed = name
    yield* worker.signal("SIGKILL")
    yield* Console.log(`--- ${name} is killed with SIGKILL. Its runs are free when its leases are over, in 2 seconds`)
  })
  const fiber = yield* Effect.forkChild(Stream.runForEach(worker.updates, take))
  return { stop: Effect.andThen(worker.signal("SIGTERM"), Fiber.join(fiber)) }
})

const program = Effect.gen(function* () {
  const input = yield* task
  yield* Effect.forEach(runIds, (runId) => Agent.start(analyst, { input, runId }), { concurrency: "unbounded" })
  yield* Console.log(`--- started, and left to the workers: ${runIds.join(", ")}`)

  const workers = yield* Effect.forEach(["worker 1", "worker 2", "worker 3"], startAndFollow)
  yield* allFinished
  yield* Effect.forEach(workers, ({ stop }) => stop, { concurrency: "unbounded" })
  yield* Console.log("--- all runs are finished, and the workers are stopped")

  const faults: Array<string> = killed === undefined ? ["no worker was killed"] : []
  for (const [runId, updates] of reports) {
    const { text } = yield* Agent.result(analyst, { runId })
    const lines = [...updates.values()]
    const whole = lines.map((line) => line.text).join("") === text
    const responses = new Set(lines.map((line) => line.responseId)).size
    yield* Console.log(`${runId}: ${lines.length} updates of ${responses} response, whole: ${whole}`)
    if (!whole || responses !== 1) faults.push(runId)
  }
  if (faults.length > 0) return yield* new WorkersFailed({ message: faults.join(", ") })
  yield* Console.log(`workers: ok, ${runIds.length} runs by 3 workers, 1 of them killed, 0 lost, 0 repeated`)
}).pipe(Effect.scoped)

program.pipe(Effect.provide([Model, Sandbox.layer, Store, RedisPlace.layer, NodeServices.layer]), NodeRuntime.runMain)
