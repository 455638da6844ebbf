import type { AgentUpdate } from "@effect-baton/core"
import { Effect, Option, Schema } from "effect"
import { writeLine } from "../support/writeLine.ts"

/** What a child says: the milliseconds since the epoch, and what it did then. */
export const Line = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({
      did: Schema.tag("update"),
      run: Schema.String,
      at: Schema.Number,
      position: Schema.String,
      text: Schema.String,
      last: Schema.Boolean
    }),
    Schema.Struct({ did: Schema.Literals(["write", "written"]), at: Schema.Number }),
    Schema.Struct({ did: Schema.tag("reach"), at: Schema.Number, place: Schema.String }),
    Schema.Struct({ did: Schema.tag("end"), at: Schema.Number })
  ])
)

export type Line = typeof Line.Type

export const decodeLine = Schema.decodeEffect(Line)
const encodeLine = Schema.encodeEffect(Line)

type Said<L extends Line> = L extends Line ? Omit<L, "at"> : never

/** Says on a line what this child did just now. */
export const say = (line: Said<Line>) =>
  Effect.flatMap(encodeLine({ ...line, at: performance.timeOrigin + performance.now() } as Line), writeLine).pipe(
    Effect.orDie
  )

/** Says that an update is finished with. */
export const sayUpdate = (update: AgentUpdate.AgentUpdate) =>
  say({
    did: "update",
    run: update.runId,
    position: `${update.sequenceNumber}.${Option.match(update.continuationToken, { onNone: () => 0, onSome: (token) => token.skip })}`,
    text: update.text,
    last: Option.isNone(update.continuationToken)
  })
