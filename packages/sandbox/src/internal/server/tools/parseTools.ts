import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type ApiError, badRequest, invalidType, invalidValue, missingParameter } from "../apiError.ts"
import { isJson, type Json, kindOf, stringOf, stringsOf } from "../json.ts"
import type { OfferedTool } from "./offeredTool.ts"
import { parseMcpTool } from "./parseMcpTool.ts"
import { strictProblem } from "./strictSchema.ts"

type Parsing<A> = Effect.Effect<A, ApiError>

const searches = ["web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"]

// What the API knows, and the sandbox does not run.
const notRun = [
  "file_search",
  "computer",
  "computer_use",
  "computer_use_preview",
  "image_generation",
  "local_shell",
  "shell",
  "apply_patch",
  "tool_search",
  "namespace",
  "programmatic_tool_calling"
]

const known = ["function", "custom", ...searches, "mcp", "code_interpreter", ...notRun]

/** Checks the name of a function or of a custom tool. */
const nameOf = Effect.fnUntraced(function* (tool: Json, at: string): Effect.fn.Return<string, ApiError> {
  const name = tool["name"]
  const param = `${at}.name`
  if (name === undefined || name === null) return yield* missingParameter(param)
  if (!Predicate.isString(name)) return yield* invalidType(param, "a string", name)
  if (name === "") {
    return yield* badRequest(
      `Invalid '${param}': empty string. Expected a string with minimum length 1, but got an empty string instead.`,
      "empty_string",
      param
    )
  }
  if (name.length > 128) {
    return yield* badRequest(
      `Invalid '${param}': string too long. Expected a string with maximum length 128, but got a string with length ${name.length} instead.`,
      "string_above_max_length",
      param
    )
  }
  if (!/^[a-zA-Z0-9_-]+$/.test(name)) {
    return yield* badRequest(
      `Invalid '${param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`,
      "invalid_value",
      param
    )
  }
  return name
})

// Options of tools that only make sense together with something that the sandbox does not run.
const refuseOptions = (tool: Json, at: string): Parsing<void> => {
  const refuse = (option: string) =>
    Effect.fail(badRequest(`The sandbox does not run tools with '${option}'.`, "unsupported_value", `${at}.${option}`))
  if (tool["async"] === true) return refuse("async")
  if (tool["defer_loading"] === true) return refuse("defer_loading")
  return Array.isArray(tool["allowed_callers"]) && !tool["allowed_callers"].includes("direct")
    ? refuse("allowed_callers")
    : Effect.void
}

const functionTool = Effect.fnUntraced(function* (tool: Json, at: string): Effect.fn.Return<OfferedTool, ApiError> {
  const name = yield* nameOf(tool, at)
  const param = `${at}.parameters`
  const parameters = tool["parameters"] ?? { type: "object", properties: {} }
  if (!isJson(parameters)) return yield* invalidType(param, "an object", parameters)
  const wrong = (problem: string) =>
    badRequest(`Invalid schema for function '${name}': ${problem}`, "invalid_function_parameters", param)
  if (parameters["type"] !== "object" && Object.keys(parameters).length > 0) {
    const type = stringOf(parameters["type"]) ?? "None"
    return yield* wrong(`schema must be a JSON Schema of 'type: "object"', got 'type: "${type}"'.`)
  }
  const strict = tool["strict"]
  if (strict !== undefined && strict !== null && !Predicate.isBoolean(strict)) {
    return yield* invalidType(`${at}.strict`, "a boolean", strict)
  }
  const problem = strict === true ? strictProblem(parameters) : undefined
  if (problem !== undefined) return yield* wrong(problem)
  yield* refuseOptions(tool, at)
  return { type: "function", name, description: stringOf(tool["description"]) ?? "", parameters }
})

const customTool = Effect.fnUntraced(function* (tool: Json, at: string): Effect.fn.Return<OfferedTool, ApiError> {
  const name = yield* nameOf(tool, at)
  const format = tool["format"] ?? { type: "text" }
  if (!isJson(format)) return yield* invalidType(`${at}.format`, "an object", format)
  if (format["type"] === "grammar") {
    return yield* badRequest(
      "The sandbox does not run custom tools with a grammar: its model cannot follow one.",
      "unsupported_value",
      `${at}.format.type`
    )
  }
  if (format["type"] !== "text") return yield* invalidValue(`${at}.format.type`, format["type"], ["text", "grammar"])
  yield* refuseOptions(tool, at)
  return { type: "custom", name, description: stringOf(tool["description"]) ?? "" }
})

const searchTool = Effect.fnUntraced(function* (tool: Json, at: string): Effect.fn.Return<OfferedTool, ApiError> {
  const size = tool["search_context_size"]
  const sizes = ["low", "medium", "high"]
  if (size !== undefined && size !== null && !sizes.includes(String(size))) {
    return yield* invalidValue(`${at}.search_context_size`, size, sizes)
  }
  const filters = isJson(tool["filters"]) ? tool["filters"] : {}
  return {
    type: "web_search",
    declared: String(tool["type"]),
    domains: stringsOf(filters["allowed_domains"])
  }
})

const codeTool = Effect.fnUntraced(function* (tool: Json, at: string): Effect.fn.Return<OfferedTool, ApiError> {
  const container = tool["container"]
  if (container === undefined || container === null) return yield* missingParameter(`${at}.container`)
  if (Predicate.isString(container)) {
    return yield* badRequest(`Container with id '${container}' not found.`, null, `${at}.container`)
  }
  if (!isJson(container)) return yield* invalidType(`${at}.container`, "one of a string or object", container)
  if (container["type"] !== "auto") return yield* invalidValue(`${at}.container.type`, container["type"], ["auto"])
  const files = container["file_ids"]
  if (Array.isArray(files) && files.length > 0) {
    return yield* badRequest(`File '${String(files[0])}' not found.`, null, `${at}.container.file_ids`)
  }
  return { type: "code_interpreter" }
})

const parseTool = Effect.fnUntraced(function* (
  tool: unknown,
  at: string,
  model: string
): Effect.fn.Return<OfferedTool, ApiError> {
  if (!isJson(tool)) return yield* invalidType(at, "an object", tool)
  const type = tool["type"]
  if (type === undefined || type === null) return yield* missingParameter(`${at}.type`)
  if (type === "function") return yield* functionTool(tool, at)
  if (type === "custom") return yield* customTool(tool, at)
  if (type === "mcp") return yield* parseMcpTool(tool, at)
  if (type === "code_interpreter") return yield* codeTool(tool, at)
  if (searches.includes(String(type))) return yield* searchTool(tool, at)
  if (!notRun.includes(String(type))) return yield* invalidValue(`${at}.type`, type, known)
  if (type === "file_search" && stringsOf(tool["vector_store_ids"]).length === 0) {
    return yield* missingParameter(`${at}.vector_store_ids`)
  }
  return yield* badRequest(
    `Hosted tool '${String(type)}' is not supported with ${model}. The sandbox does not run it.`,
    null,
    "tools"
  )
})

const keyOf = (tool: OfferedTool): string | undefined =>
  tool.type === "function" || tool.type === "custom" ? tool.name : tool.type === "mcp" ? `mcp ${tool.label}` : tool.type

/** Checks the tools of a request as the API does, and refuses those that the sandbox does not run. */
export const parseTools = Effect.fnUntraced(function* (
  value: unknown,
  model: string
): Effect.fn.Return<ReadonlyArray<OfferedTool>, ApiError> {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) {
    return yield* badRequest(
      `Invalid type for 'tools': expected an array, but got ${kindOf(value)} instead.`,
      "invalid_type",
      "tools"
    )
  }
  const tools = yield* Effect.forEach(value, (tool: unknown, index) => parseTool(tool, `tools[${index}]`, model))
  const keys = tools.map(keyOf)
  const twice = keys.findIndex((key, index) => keys.indexOf(key) < index)
  const again = tools[twice]
  if (again === undefined) return tools
  return yield* again.type === "mcp"
    ? badRequest(`Duplicate server_label found: '${again.label}'.`, "invalid_value", `tools[${twice}].server_label`)
    : badRequest(
        `Duplicate tool found: '${keys[twice]}'. The names of tools must be unique.`,
        "invalid_value",
        again.type === "function" || again.type === "custom" ? `tools[${twice}].name` : `tools[${twice}]`
      )
})
