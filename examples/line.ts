import type { AgentUpdate } from "@effect-baton/core"
import { Option, Schema, Stream } from "effect"

/** An update as one process of the examples tells another: its run, its position in the run, and what it says. */
export const Line = Schema.Struct({
  runId: Schema.String,
  responseId: Schema.String,
  sequenceNumber: Schema.Int,
  skip: Schema.Int,
  part: Schema.String,
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
    part: update.part?.type ?? "",
    text: update.text,
    status: update.status
  })

/** An update that comes again has the same position. */
export const position = (line: Line) => `${line.sequenceNumber}.${line.skip}`

const cutOff = "\0"

/** The lines of a text. The last one is not among them if it has no end: a killed process could not finish it. */
export const wholeLines = <E, R>(text: Stream.Stream<string, E, R>) =>
  text.pipe(
    Stream.concat(Stream.succeed(cutOff)),
    Stream.splitLines,
    Stream.filter((line) => !line.endsWith(cutOff))
  )
