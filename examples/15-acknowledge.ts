// Save the updates in batches. By default an update counts as finished when the next one is pulled, so a batch that is still
// being collected would count as finished, and a crash would lose it. With `acknowledge: "manual"` you say so yourself, once
// the batch is saved. Everything that pulls ahead needs this: grouped, buffer, mapEffect with concurrency, merge, …
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { Console, Data, Effect, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

class DatabaseAway extends Data.TaggedError("DatabaseAway")<{}> {}

// Stands for a table of your database. It is away when the fourth batch comes.
const rows: Array<string> = []
let away = true

const save = Effect.fnUntraced(function* (batch: ReadonlyArray<AgentUpdate.Delivery>) {
  if (away && rows.length >= 300) return yield* new DatabaseAway()
  rows.push(...batch.map(({ update }) => update.text))
  // From here on the batch does not come again.
  yield* Effect.forEach(batch, ({ acknowledge }) => acknowledge, { discard: true })
})

const program = Effect.gen(function* () {
  const input = yield* task
  // The same call starts the run and continues it.
  const saveAll = Agent.stream(analyst, { input, runId: "report", acknowledge: "manual" }).pipe(
    Stream.grouped(100),
    Stream.runForEach(save)
  )

  yield* saveAll.pipe(
    Effect.catchTag("DatabaseAway", () => Console.log(`${rows.length} updates are saved, and the database is away`))
  )
  away = false
  yield* saveAll
  yield* Console.log(`${rows.length} updates are saved`)

  const { text } = yield* Agent.result(analyst, { runId: "report" })
  yield* Console.log(`the rows are the whole report, each word once: ${rows.join("") === text}`)
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
