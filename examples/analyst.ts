import { Agent } from "@effect-baton/core"
import { Effect, FileSystem } from "effect"

/** An agent is a value: give it to as many runs as you like. */
export const analyst = Agent.make("sales-analyst", {
  instructions: "You are a sales analyst. You write clear Markdown reports.",
  background: true
})

/** The task: a report on the figures in sales.csv. */
export const task = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const csv = yield* fs.readFileString(new URL("sales.csv", import.meta.url).pathname)
  return `Write a sales report on these figures.\n\n${csv}`
})
