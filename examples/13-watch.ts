// A second viewer beside the consumer. One consumer advances the run and keeps its position. Viewers only read along, from
// the start or from a token: any number of them, at any time, without a lease and without moving the position.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, type AgentError, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { Console, Effect, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

/** Reads a stream to its end, and says now and then how far it is. */
const read = <R>(reader: string, updates: Stream.Stream<AgentUpdate.AgentUpdate, AgentError.AgentError, R>) =>
  updates.pipe(
    Stream.zipWithIndex,
    Stream.tap(([, index]) => ((index + 1) % 250 === 0 ? Console.log(`${reader}: ${index + 1} updates`) : Effect.void)),
    Stream.runFold(
      () => "",
      (text, [update]) => text + update.text
    ),
    Effect.tap((text) => Console.log(`${reader}: the end, ${text.length} characters`))
  )

const program = Effect.gen(function* () {
  const runId = "watched"
  yield* Agent.start(analyst, { input: yield* task, runId })

  const [consumed, watched, watchedLate] = yield* Effect.all(
    [
      read("consumer", Agent.resume(analyst, { runId })),
      read("viewer", Agent.watch(analyst, { runId })),
      // This one comes when the report is half written, and still sees all of it.
      Effect.delay(read("late viewer", Agent.watch(analyst, { runId })), "3 seconds")
    ],
    { concurrency: "unbounded" }
  )
  yield* Console.log(`all three have the same text: ${consumed === watched && consumed === watchedLate}`)
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
