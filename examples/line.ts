import type { AgentUpdate } from "@effect-baton/core"
import { Option, Schema } from "effect"

/** An update as one process of the examples tells another: its run, its position in the run, and its text. */
export const Line = Schema.Struct({
  runId: Schema.String,
  responseId: Schema.String,
  sequenceNumber: Schema.Int,
  skip: Schema.Int,
  text: Schema.String,
  status: Schema.String
})
export type Line = typeof Line.Type

const LineJson = Schema.fromJsonString(Line)

export const decodeLine = Schema.decodeEffect(LineJson)

export const encodeLine = (update: AgentUpdate.AgentUpdate) =>
  Schema.encodeEffect(LineJson)({
    runId: update.runId,
    responseId: update.responseId,
    sequenceNumber: update.sequenceNumber ?? -1,
    skip: Option.match(update.continuationToken, { onNone: () => 0, onSome: (token) => token.skip }),
    text: update.text,
    status: update.status
  })

/** Who gets an update again knows it by this. */
export const position = (line: Line) => `${line.sequenceNumber}.${line.skip}`
