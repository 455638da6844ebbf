// Three worker processes share six runs over Redis. One of them is killed with SIGKILL while you watch, and its runs go on
// elsewhere: every report is whole, and bought once.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent } from "@effect-baton/core"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Console, Data, Effect, Fiber, Layer, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { allFinished, startWorker } from "./child.ts"
import { type Line, position } from "./line.ts"
import { modelOf, Sandbox } from "./model.ts"
import { RedisPlace, Store } from "./redis.ts"

class WorkersFailed extends Data.TaggedError("WorkersFailed")<{ readonly message: string }> {}

const runIds = ["north", "south", "east", "west", "central", "world"]
const killAfter = 400

/** What the workers got of one run. */
class Report {
  worker: string | undefined
  over = false
  again = 0
  shown = 0
  readonly texts = new Map<string, string>()

  get text() {
    return [...this.texts.values()].join("")
  }

  /** Takes an update in, and gives the lines of text that are complete by it. */
  add(worker: string, update: Line): ReadonlyArray<string> {
    this.worker = worker
    this.over ||= update.status === "completed"
    if (this.texts.has(position(update))) this.again++
    this.texts.set(position(update), update.text)
    if (!update.text.includes("\n")) return []
    const fresh = this.text.slice(this.shown)
    const end = fresh.lastIndexOf("\n")
    this.shown += end + 1
    return fresh.slice(0, end).split("\n")
  }
}

const program = Effect.gen(function* () {
  const server = yield* ResponsesServer.ResponsesServer
  const reports = new Map(runIds.map((runId) => [runId, new Report()]))
  let killed: string | undefined

  yield* Console.log("A sandbox server on this machine plays the model; runs are kept in Redis.")
  const input = yield* task
  yield* Effect.forEach(runIds, (runId) => Agent.start(analyst, { input, runId }), { concurrency: "unbounded" })
  yield* Console.log(`--- started, and left alone: ${runIds.join(", ")}`)

  const follow = Effect.fnUntraced(function* (name: string) {
    const worker = yield* startWorker
    let count = 0
    const take = Effect.fnUntraced(function* (report: Report, update: Line) {
      const { worker: before } = report
      const lines = report.add(name, update)
      if (before !== name) {
        yield* Console.log(`--- ${name} has ${update.runId}${before === undefined ? "" : `, which ${before} had`}`)
        if ([...reports.values()].every((other) => other.worker !== undefined)) yield* server.setPace("4 millis")
      }
      for (const line of lines) if (line !== "") yield* Console.log(`${name} | ${update.runId} | ${line}`)
      if (++count < killAfter || killed !== undefined) return
      killed = name
      yield* Console.log(`--- ${name} is killed with SIGKILL`)
      yield* worker.signal("SIGKILL")
    })
    const told = Effect.gen(function* () {
      yield* Stream.runForEach(worker.updates, (update) => {
        const report = reports.get(update.runId)
        return report === undefined ? Effect.void : take(report, update)
      })
      const left = [...reports].filter(([, report]) => report.worker === name && !report.over)
      if (left.length > 0) {
        const runs = left.map(([runId]) => runId).join(" and ")
        yield* Console.log(`--- ${name} is gone. It had ${runs}: others take them when its leases are over`)
      }
    })
    const fiber = yield* Effect.forkChild(told)
    return Effect.andThen(worker.signal("SIGTERM"), Fiber.join(fiber))
  })

  const stops = yield* Effect.forEach(["worker 1", "worker 2", "worker 3"], follow)
  yield* allFinished
  yield* Effect.all(stops, { concurrency: "unbounded" })
  yield* Console.log("--- no run is unfinished; the workers are told to stop\n")

  const { responses } = yield* server.ledger
  const faults: Array<string> = []
  for (const [runId, { again, text, worker }] of reports) {
    const bought = responses.filter(({ metadata }) => metadata["baton_run_id"] === runId)
    const whole = text === bought[0]?.outputText
    yield* Console.log(
      `${runId}: finished by ${worker}, ${text.length} characters, ${whole ? "equal to" : "NOT equal to"} the server's; ` +
        `bought ${bought.length} times; ${again} updates came again`
    )
    if (!whole || bought.length !== 1) faults.push(runId)
  }
  if (killed === undefined) faults.push("nobody was killed")
  if (faults.length > 0) return yield* new WorkersFailed({ message: faults.join(", ") })
  yield* Console.log(`workers: ok, ${runIds.length} runs by 3 workers, 1 of them killed, 0 lost, 0 repeated`)
}).pipe(Effect.scoped)

const Model = modelOf.pipe(
  Layer.provideMerge(Sandbox.own),
  // Slow until every run is in the hands of a worker.
  Layer.provideMerge(ResponsesServer.layer({ pace: "200 millis" }))
)

program.pipe(Effect.provide([Model, Store, RedisPlace.layer, NodeServices.layer]), NodeRuntime.runMain)
