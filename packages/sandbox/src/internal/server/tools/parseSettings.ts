import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type ApiError, badRequest } from "../apiError.ts"
import type { Json } from "../json.ts"
import type { ToolSettings } from "./offeredTool.ts"
import { parseChoice } from "./parseChoice.ts"
import { parseTools } from "./parseTools.ts"

/** Checks what a request says about tools. */
export const parseSettings = Effect.fnUntraced(function* (
  body: Json,
  model: string
): Effect.fn.Return<ToolSettings, ApiError> {
  const tools = yield* parseTools(body["tools"], model)
  const choice = yield* parseChoice(body["tool_choice"], tools)
  // These two models only write text.
  if (choice.mode === "required" && /^(?:echo|lorem:\d+)$/.test(model)) {
    return yield* badRequest(`The model '${model}' of the sandbox does not call tools.`, null, "tool_choice")
  }
  const most = body["max_tool_calls"]
  if (Predicate.isNumber(most) && !(Number.isInteger(most) && most >= 1)) {
    return yield* badRequest(
      `Invalid 'max_tool_calls': integer below minimum value. Expected a value >= 1, but got ${most} instead.`,
      "integer_below_min_value",
      "max_tool_calls"
    )
  }
  return {
    tools,
    choice,
    parallel: body["parallel_tool_calls"] !== false,
    maxCalls: Predicate.isNumber(most) ? most : Number.POSITIVE_INFINITY
  }
})
