import type { AgentUpdate } from "@effect-baton/core"
import { Option, Schema } from "effect"

/** An update as one process of the demo tells another: its position in the run, and its text. */
export const Line = Schema.Struct({
  responseId: Schema.String,
  sequenceNumber: Schema.Int,
  skip: Schema.Int,
  text: Schema.String,
  status: Schema.String
})

const LineJson = Schema.fromJsonString(Line)

export const decodeLine = Schema.decodeEffect(LineJson)

export const encodeLine = (update: AgentUpdate.AgentUpdate) =>
  Schema.encodeEffect(LineJson)({
    responseId: update.responseId,
    sequenceNumber: update.sequenceNumber ?? -1,
    skip: Option.match(update.continuationToken, { onNone: () => 0, onSome: (token) => token.skip }),
    text: update.text,
    status: update.status
  })
