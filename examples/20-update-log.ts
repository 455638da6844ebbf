// An update log beside the store. The consumer and all viewers read the log, so the provider is asked once, and everybody
// sees the same updates under the same offsets: at once, late, after a break, and after the end of the run.
// (13-watch.ts does without a log: its viewers share a connection to the provider.)
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, type AgentUpdate, RunPolicy, Runs, TokenStore, UpdateLog } from "@effect-baton/core"
import { Console, Effect, Latch, Option, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const runId = "logged"

/** The name of an update for everybody who reads the run, as `@effect-baton/http` gives it to browsers. */
const idOf = ({ continuationToken }: AgentUpdate.AgentUpdate) =>
  Option.match(continuationToken, { onNone: () => "", onSome: ({ epoch, offset }) => `${offset}.${epoch}` })

/** What a reader saw: each update with its id. */
const seen = <E, R>(reader: string, updates: Stream.Stream<AgentUpdate.AgentUpdate, E, R>) =>
  updates.pipe(
    Stream.map((update) => `${idOf(update)} ${update.text}`),
    Stream.runCollect,
    Effect.tap((lines) => Console.log(`${reader}: ${lines.length} updates`))
  )

/** Reads 100 updates, keeps the id of the last one, and goes on after it. */
const interrupted = Effect.gen(function* () {
  const first = yield* seen("viewer that leaves", Stream.take(Agent.watch(analyst, { runId }), 100))
  const [offset = 0, epoch = 0] = first.at(-1)!.split(" ")[0]!.split(".").map(Number)
  yield* Effect.sleep("2 seconds")
  const rest = yield* seen(`and comes back after ${offset}.${epoch}`, Agent.watch(analyst, { runId, offset, epoch }))
  return [...first, ...rest]
})

const attachments: Array<string> = []
const counting = RunPolicy.layer({ onAttach: ({ how }) => Effect.sync(() => void attachments.push(how)) })

const program = Effect.gen(function* () {
  const begun = yield* Latch.make()
  const updates = Agent.stream(analyst, { input: yield* task, runId })
  const viewer = (name: string) => seen(name, Agent.watch(analyst, { runId }))
  const [consumed, ...viewers] = yield* Effect.all(
    [
      seen(
        "consumer",
        Stream.onFirst(updates, () => begun.open)
      ),
      begun.whenOpen(viewer("viewer")),
      begun.whenOpen(interrupted),
      begun.whenOpen(Effect.delay(viewer("late viewer"), "3 seconds"))
    ],
    { concurrency: "unbounded" }
  )
  const all = [...viewers, yield* viewer("viewer after the end")]
  const alike = all.every((lines) => lines.join() === consumed.join())
  yield* Console.log(`all saw the same updates under the same ids: ${alike}`)
  yield* Console.log(`attachments to the provider: ${attachments.join(", ")}`)

  // The whole output, from the log alone.
  yield* Runs.results({ status: ["completed"] }).pipe(
    Stream.runForEach(({ record, response }) =>
      Console.log(
        `${record.runId}: ${Option.match(response, { onNone: () => "?", onSome: ({ text }) => text.length })} characters`
      )
    )
  )
})

program.pipe(
  Effect.provide([Model, TokenStore.layerMemory, UpdateLog.layerMemory, counting, NodeServices.layer]),
  NodeRuntime.runMain
)
