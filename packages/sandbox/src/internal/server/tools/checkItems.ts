import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type ApiError, badRequest, invalidType, invalidValue, missingParameter } from "../apiError.ts"
import { isEncryptedContent } from "../encryptedContent.ts"
import { isJson, type Json, stringOf } from "../json.ts"

const fieldsOf: { readonly [type: string]: ReadonlyArray<string> } = {
  message: ["role", "content"],
  function_call: ["call_id", "name", "arguments"],
  function_call_output: ["call_id", "output"],
  custom_tool_call: ["call_id", "name", "input"],
  custom_tool_call_output: ["call_id", "output"],
  reasoning: ["summary"],
  web_search_call: ["id"],
  code_interpreter_call: ["id"],
  mcp_list_tools: ["server_label", "tools"],
  mcp_call: ["server_label", "name", "arguments"],
  mcp_approval_request: ["id", "server_label", "name", "arguments"],
  mcp_approval_response: ["approval_request_id", "approve"],
  item_reference: ["id"]
}

// Items of tools that the sandbox does not run.
const notRun = [
  "additional_tools",
  "apply_patch_call",
  "apply_patch_call_output",
  "compaction",
  "compaction_trigger",
  "computer_call",
  "computer_call_output",
  "configuration_update",
  "file_search_call",
  "image_generation_call",
  "local_shell_call",
  "local_shell_call_output",
  "program",
  "program_output",
  "shell_call",
  "shell_call_output",
  "tool_search_call",
  "tool_search_output"
]

const checkItem = Effect.fnUntraced(function* (item: unknown, at: string): Effect.fn.Return<Json, ApiError> {
  if (!isJson(item)) return yield* invalidType(at, "an object", item)
  const type = stringOf(item["type"]) ?? (item["type"] === undefined && "role" in item ? "message" : undefined)
  if (type !== undefined && notRun.includes(type)) {
    return yield* badRequest(`The sandbox does not take items of type '${type}'.`, "unsupported_value", `${at}.type`)
  }
  const fields = type === undefined ? undefined : fieldsOf[type]
  if (fields === undefined) {
    return yield* item["type"] === undefined
      ? missingParameter(`${at}.type`)
      : invalidValue(`${at}.type`, item["type"], [...Object.keys(fieldsOf), ...notRun])
  }
  const missing = fields.find((field) => item[field] === undefined || item[field] === null)
  if (missing !== undefined) return yield* missingParameter(`${at}.${missing}`)
  if (type === "mcp_approval_response" && !Predicate.isBoolean(item["approve"])) {
    return yield* invalidType(`${at}.approve`, "a boolean", item["approve"])
  }
  const encrypted = item["encrypted_content"]
  if (type === "reasoning" && Predicate.isString(encrypted) && !isEncryptedContent(encrypted, stringOf(item["id"]))) {
    const shown = encrypted.length > 12 ? `${encrypted.slice(0, 8)}...${encrypted.slice(-4)}` : encrypted
    return yield* badRequest(
      `The encrypted content ${shown} could not be verified.`,
      "invalid_encrypted_content",
      `${at}.encrypted_content`
    )
  }
  return item
})

/** Checks that each input item is one that the sandbox understands, with its fields. */
export const checkItems = (items: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Json>, ApiError> =>
  Effect.forEach(items, (item, index) => checkItem(item, `input[${index}]`))
