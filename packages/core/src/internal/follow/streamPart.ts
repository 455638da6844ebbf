import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { TextLane } from "../../BackgroundModel.ts"

type Part = NonNullable<AgentUpdate["part"]>

const decodeOther = Schema.decodeUnknownOption(Response.StreamPart())

// What all deltas have in common. Parts share their metadata, so that nobody may change it.
const empty = { id: "", delta: "", metadata: Object.freeze({}) }
const templates = {
  text: Response.makePart("text-delta", empty),
  reasoning: Response.makePart("reasoning-delta", empty),
  params: Response.makePart("tool-params-delta", empty)
}

/** A piece of a text. They come by the hundred thousand, and are built without the Schema. */
export const deltaPart = (id: string, kind: TextLane["kind"], delta: string): Part => ({
  ...templates[kind],
  id,
  delta
})

/** The decoded form of a stream part; a part that does not decode is none, and its update still has the raw event. */
export const decodePart = (part: Response.StreamPartEncoded): Part | undefined => {
  switch (part.type) {
    case "text-delta":
      return deltaPart(part.id, "text", part.delta)
    case "reasoning-delta":
      return deltaPart(part.id, "reasoning", part.delta)
    case "tool-params-delta":
      return deltaPart(part.id, "params", part.delta)
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
      return Response.makePart(part.type, part)
    default:
      return Option.getOrUndefined(decodeOther(part))
  }
}
