import { Schema } from "effect"

/** What a child says: the milliseconds since the epoch, and what it did then. */
export const Line = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({
      did: Schema.tag("update"),
      at: Schema.Number,
      position: Schema.String,
      text: Schema.String,
      last: Schema.Boolean
    }),
    Schema.Struct({ did: Schema.Literals(["write", "written"]), at: Schema.Number }),
    Schema.Struct({ did: Schema.tag("end"), at: Schema.Number })
  ])
)

export type Line = typeof Line.Type

export const decodeLine = Schema.decodeEffect(Line)
export const encodeLine = Schema.encodeEffect(Line)
