import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { TextLane } from "../../BackgroundModel.ts"

type Part = NonNullable<AgentUpdate["part"]>

const decodeOther = Schema.decodeUnknownOption(Response.StreamPart())

// The common parts of all deltas. Parts share this metadata object, which must not be changed.
const empty = { id: "", delta: "", metadata: Object.freeze({}) }
const templates = {
  text: Response.makePart("text-delta", empty),
  reasoning: Response.makePart("reasoning-delta", empty),
  params: Response.makePart("tool-params-delta", empty)
}

/** Makes a delta without the Schema: there can be hundreds of thousands of them. */
export const deltaPart = (id: string, kind: TextLane["kind"], delta: string): Part => ({
  ...templates[kind],
  id,
  delta
})

/** Decodes a stream part; undefined if it does not decode. Its update still has the raw event. */
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
