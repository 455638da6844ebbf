import * as Effect from "effect/Effect"
import { type ApiError, badRequest, invalidType, invalidValue } from "../apiError.ts"
import { isJson, type Json, stringOf } from "../json.ts"
import type { OfferedTool, ToolChoice } from "./offeredTool.ts"

const param = "tool_choice"

const modes = ["none", "auto", "required"]

const types = [
  "allowed_tools",
  "function",
  "custom",
  "mcp",
  "code_interpreter",
  "web_search",
  "web_search_2025_08_26",
  "web_search_preview",
  "web_search_preview_2025_03_11"
]

// The API knows them, but no request can offer them here.
const neverOffered = [
  "file_search",
  "computer",
  "computer_use",
  "computer_use_preview",
  "image_generation",
  "shell",
  "apply_patch",
  "programmatic_tool_calling"
]

const matching = (tools: ReadonlyArray<OfferedTool>, choice: Json): OfferedTool | undefined =>
  tools.find((tool) => {
    switch (tool.type) {
      case "function":
      case "custom":
        return choice["type"] === tool.type && choice["name"] === tool.name
      case "mcp":
        return choice["type"] === "mcp" && choice["server_label"] === tool.label
      case "web_search":
        return choice["type"] === tool.declared || choice["type"] === "web_search"
      case "code_interpreter":
        return choice["type"] === "code_interpreter"
    }
  })

const find = Effect.fnUntraced(function* (
  tools: ReadonlyArray<OfferedTool>,
  choice: unknown
): Effect.fn.Return<OfferedTool, ApiError> {
  if (!isJson(choice)) return yield* invalidType(param, "one of a string or object", choice)
  const type = stringOf(choice["type"]) ?? ""
  if (![...types, ...neverOffered].includes(type) || type === "allowed_tools") {
    return yield* invalidValue(`${param}.type`, choice["type"], [...types, ...neverOffered])
  }
  const found = matching(tools, choice)
  if (found === undefined)
    return yield* badRequest(`Tool choice '${type}' not found in 'tools' parameter.`, null, param)
  const name = stringOf(choice["name"])
  return found.type === "mcp" && name !== undefined && found.allowed?.includes(name) === false
    ? yield* badRequest(`Tool choice '${type}' not found in 'tools' parameter.`, null, param)
    : found
})

/** Checks the tool choice of a request against the tools that it offers. */
export const parseChoice = Effect.fnUntraced(function* (
  value: unknown,
  tools: ReadonlyArray<OfferedTool>
): Effect.fn.Return<ToolChoice, ApiError> {
  const open = (mode: ToolChoice["mode"], among = tools): ToolChoice => ({ mode, among, mcpTool: undefined })
  if (value === undefined || value === null || value === "auto") return open("auto")
  if (value === "none") return open("none", [])
  if (value === "required") {
    return tools.length === 0
      ? yield* badRequest("Tool choice 'required' must be specified with 'tools' parameter.", null, param)
      : open("required")
  }
  if (!isJson(value)) return yield* invalidValue(param, value, modes)
  if (value["type"] !== "allowed_tools") {
    const tool = yield* find(tools, value)
    return { mode: "required", among: [tool], mcpTool: tool.type === "mcp" ? stringOf(value["name"]) : undefined }
  }
  const { mode } = value
  if (mode !== "auto" && mode !== "required") return yield* invalidValue(`${param}.mode`, mode, ["auto", "required"])
  const listed = value["tools"]
  if (!Array.isArray(listed)) return yield* invalidType(`${param}.tools`, "an array", listed)
  return open(mode, yield* Effect.forEach(listed, (one: unknown) => find(tools, one)))
})
