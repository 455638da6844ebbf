import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Response from "effect/ai/Response"
import type { AgentUpdate } from "../../AgentUpdate.ts"

type Part = NonNullable<AgentUpdate["part"]>

const decodeOther = Schema.decodeUnknownOption(Response.StreamPart())

/**
 * The decoded form of a stream part. Deltas come by the hundred thousand, and are built without the Schema; a part that
 * does not decode is none, and its update still has the raw event.
 */
export const decodePart = (part: Response.StreamPartEncoded): Part | undefined => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return Response.makePart(part.type, part)
    default:
      return Option.getOrUndefined(decodeOther(part))
  }
}
