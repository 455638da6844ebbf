import * as Effect from "effect/Effect"
import { type ApiError, badRequest, invalidType, invalidValue } from "../apiError.ts"
import type { Included } from "../outputItem.ts"

const known = [
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "message.input_image.image_url",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
  "reasoning.encrypted_content",
  "message.output_text.logprobs"
]

// The sandbox has nothing to show for them.
const notMade = new Set(["web_search_call.results", "message.output_text.logprobs"])

/** Checks the `include` of a request. */
export const parseIncluded = Effect.fnUntraced(function* (value: unknown): Effect.fn.Return<Included, ApiError> {
  const asked: ReadonlyArray<unknown> = Array.isArray(value) ? value : []
  if (value !== undefined && value !== null && !Array.isArray(value)) {
    return yield* invalidType("include", "an array", value)
  }
  for (const [index, one] of asked.entries()) {
    if (!known.includes(String(one))) return yield* invalidValue(`include[${index}]`, one, known)
    if (notMade.has(String(one))) {
      return yield* badRequest(
        `The sandbox does not include '${String(one)}'.`,
        "unsupported_value",
        `include[${index}]`
      )
    }
  }
  return {
    sources: asked.includes("web_search_call.action.sources"),
    outputs: asked.includes("code_interpreter_call.outputs"),
    encrypted: asked.includes("reasoning.encrypted_content")
  }
})
