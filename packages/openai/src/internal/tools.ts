import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import * as Tool from "effect/ai/Tool"
import type { Tool as ApiTool } from "openai/resources/responses/responses"
import { isMissing, isRecord } from "./fields.ts"
import { parametersOf } from "./toolSchema.ts"

// The ids of tools that the provider defines, without `openai.`, and the API's types. Of a type that is not here, a tool is
// written with the raw options of a request. A type that the SDK learns makes this table fail to compile.
const types = {
  apply_patch: "apply_patch",
  code_interpreter: "code_interpreter",
  computer: "computer",
  computer_use: "computer",
  computer_use_preview: "computer_use_preview",
  custom: "custom",
  file_search: "file_search",
  image_generation: "image_generation",
  local_shell: "local_shell",
  mcp: "mcp",
  namespace: "namespace",
  programmatic_tool_calling: "programmatic_tool_calling",
  shell: "shell",
  tool_search: "tool_search",
  web_search: "web_search",
  web_search_2025_08_26: "web_search_2025_08_26",
  web_search_preview: "web_search_preview",
  web_search_preview_2025_03_11: "web_search_preview_2025_03_11"
} as const satisfies Record<Exclude<ApiTool["type"], "function">, ApiTool["type"]> &
  Record<string, Exclude<ApiTool["type"], "function">>

// Without these, the API refuses the tool.
const required: Readonly<Record<string, ReadonlyArray<string>>> = {
  code_interpreter: ["container"],
  computer_use_preview: ["display_height", "display_width", "environment"],
  file_search: ["vector_store_ids"],
  mcp: ["server_label"],
  namespace: ["description", "name", "tools"]
}

const refuse = (name: string, why: string) =>
  Effect.fail(
    new AiError.InvalidRequestError({ parameter: "tools", description: `The tool '${name}' cannot be sent: ${why}` })
  )

type Written = Effect.Effect<ApiTool, AiError.AiErrorReason>

const functionTool = (tool: Tool.Any): Written => {
  const parameters = parametersOf(tool)
  if (Result.isFailure(parameters)) return refuse(tool.name, parameters.failure)
  const description = Tool.getDescription(tool)
  return Effect.succeed({
    type: "function",
    name: tool.name,
    ...parameters.success,
    ...(description === undefined ? undefined : { description })
  })
}

/** The API's type of a tool that OpenAI defines; undefined for all others. */
const typeOf = (tool: Tool.Any): (typeof types)[keyof typeof types] | undefined => {
  if (!Tool.isProviderDefined(tool) || !tool.id.startsWith("openai.")) return undefined
  const id = tool.id.slice("openai.".length)
  return Object.hasOwn(types, id) ? types[id as keyof typeof types] : undefined
}

/**
 * The name by which the model calls a custom tool. A `providerName` that is the type of all custom tools is no name of one.
 */
const customName = (tool: Tool.AnyProviderDefined): string =>
  tool.providerName === "custom" ? tool.name : tool.providerName

const argumentsOf = (tool: Tool.AnyProviderDefined): Effect.Effect<object, AiError.AiErrorReason> => {
  if (isMissing(tool.args) || tool.argsSchema.ast._tag === "Void") return Effect.succeed({})
  const decode = Schema.decodeUnknownEffect(tool.argsSchema as Schema.Codec<unknown>)
  return Effect.matchEffect(decode(tool.args), {
    onFailure: (error) => refuse(tool.name, `its arguments do not fit: ${error.message}`),
    onSuccess: (args) => (isRecord(args) ? Effect.succeed(args) : refuse(tool.name, "its arguments are not an object"))
  })
}

const providerTool = (tool: Tool.AnyProviderDefined): Written => {
  const type = typeOf(tool)
  if (type === undefined) {
    const known = Object.keys(types).map((id) => `openai.${id}`)
    return refuse(tool.name, `its id '${tool.id}' is none of ${known.join(", ")}`)
  }
  return Effect.flatMap(argumentsOf(tool), (args): Written => {
    const missing = (required[type] ?? []).filter((key) => !(key in args))
    if (missing.length > 0) return refuse(tool.name, `its arguments lack ${missing.join(", ")}`)
    const name = type === "custom" ? { name: customName(tool) } : undefined
    return Effect.succeed({ ...args, type, ...name } as ApiTool)
  })
}

// Calls say which tool they mean only by these names.
const nameOf = (tool: ApiTool): string => (tool.type === "function" || tool.type === "custom" ? tool.name : tool.type)

/** The tools of a request, after those of the raw options. Fails if one of them cannot be written. */
export const toTools = (
  tools: ReadonlyArray<Tool.Any>,
  raw: ReadonlyArray<ApiTool>
): Effect.Effect<Array<ApiTool>, AiError.AiErrorReason> =>
  Effect.flatMap(
    Effect.forEach(tools, (tool) => (Tool.isProviderDefined(tool) ? providerTool(tool) : functionTool(tool))),
    (own) => {
      const all = [...raw, ...own]
      const names = all.map(nameOf)
      // The API finds out about raw options. Servers for MCP are told apart by their labels.
      const twice = own.find((tool) => tool.type !== "mcp" && names.filter((name) => name === nameOf(tool)).length > 1)
      return twice === undefined
        ? Effect.succeed(all)
        : refuse(nameOf(twice), "another tool has the same name, so that a call could mean either")
    }
  )

/**
 * The types of the items with which the model calls these tools, by the names that results have: the tool's name in the
 * toolkit, or the provider's. Functions are left out.
 */
export const callTypes = (tools: ReadonlyArray<Tool.Any>, raw: ReadonlyArray<ApiTool>): ReadonlyMap<string, string> => {
  const itemType = (type: ApiTool["type"]) =>
    type === "custom" ? "custom_tool_call" : type.startsWith("computer") ? "computer_call" : `${type}_call`
  const named = [
    ...raw.filter(({ type }) => type !== "function").map((tool) => [nameOf(tool), itemType(tool.type)] as const),
    ...tools.flatMap((tool) => {
      const type = typeOf(tool)
      if (type === undefined || !Tool.isProviderDefined(tool)) return []
      const names = [
        tool.name,
        type === "custom" ? customName(tool) : type,
        ...(type.startsWith("computer") ? ["computer"] : [])
      ]
      return names.map((name) => [name, itemType(type)] as const)
    })
  ]
  const functions = new Set([
    ...raw.flatMap((tool) => (tool.type === "function" ? [tool.name] : [])),
    ...tools.filter((tool) => !Tool.isProviderDefined(tool)).map(({ name }) => name)
  ])
  return new Map(named.filter(([name]) => !functions.has(name)))
}
