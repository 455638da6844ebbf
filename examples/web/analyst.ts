// The analyst of the page: it looks into the books, and asks before it sends a report to anybody.
import { Agent, ToolCall } from "@effect-baton/core"
import { Console, Effect, FileSystem, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const lookUp = Tool.make("lookUp", {
  description: "Looks up in our books what a region has sold.",
  parameters: Schema.Struct({ region: Schema.String }),
  success: Schema.Struct({ months: Schema.Finite, revenue: Schema.Finite })
})

const sendReport = Tool.make("sendReport", {
  description: "Sends the report that you have written.",
  parameters: Schema.Struct({ to: Schema.String }),
  success: Schema.String,
  needsApproval: true,
  dependencies: [ToolCall.ToolCall]
})

const toolkit = Toolkit.make(lookUp, sendReport)

export const analyst = Agent.make("sales-analyst", {
  instructions:
    "You are a sales analyst. You look up each region that the user names. Then you write a clear Markdown report, and " +
    "send it if the user says to whom.",
  background: true,
  toolkit
})

const handlers = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const csv = yield* fs.readFileString(new URL("../sales.csv", import.meta.url).pathname)
  const rows = csv.split("\n").map((line) => line.split(","))
  return {
    lookUp: ({ region }: typeof lookUp.parametersSchema.Type) => {
      const sold = rows.filter((row) => row[1] === region).map((row) => Number(row[3]))
      return Effect.succeed({ months: sold.length, revenue: Math.round(sold.reduce((sum, one) => sum + one, 0)) })
    },
    // A service gives the key to its mail service, so that a report is sent once, however often the call is tried.
    sendReport: ({ to }: typeof sendReport.parametersSchema.Type) =>
      ToolCall.ToolCall.pipe(
        Effect.flatMap(({ idempotencyKey }) => Console.log(`[a report to ${to}, with the key ${idempotencyKey}]`)),
        Effect.as(`sent to ${to}`)
      )
  }
})

export const Handlers = Agent.toLayer(analyst, toolkit.toLayer(handlers))
