import type * as Response from "effect/ai/Response"
import type { SnapshotItem } from "../../BackgroundModel.ts"

/** The tool calls that a response asks for, in order. */
export const toolCallsIn = (items: ReadonlyArray<SnapshotItem>): ReadonlyArray<Response.ToolCallPartEncoded> =>
  items.flatMap(({ lanes }) =>
    lanes.flatMap((lane) => (lane.kind === "single" && lane.part.type === "tool-call" ? [lane.part] : []))
  )
