import type { AgentUpdate } from "@effect-baton/core"
import { Option, Schema } from "effect"

/** An update that a worker's consumer finished with, as it is written to the run's file. */
export const Line = Schema.Struct({
  worker: Schema.String,
  /** Milliseconds of the host's monotonic clock. */
  at: Schema.Number,
  position: Schema.String,
  text: Schema.String
})
export type Line = typeof Line.Type

const LineJson = Schema.fromJsonString(Line)
const encode = Schema.encodeSync(LineJson)
export const decodeLine = Schema.decodeSync(LineJson)

export const encodeLine = (worker: string, update: AgentUpdate.AgentUpdate): string =>
  encode({
    worker,
    at: Number(process.hrtime.bigint()) / 1e6,
    position: `${update.sequenceNumber}.${Option.match(update.continuationToken, { onNone: () => 0, onSome: (token) => token.skip })}`,
    text: update.text
  })
