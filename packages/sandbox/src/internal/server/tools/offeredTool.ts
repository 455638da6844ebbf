import type { Json } from "../json.ts"

/** A tool that a request offers, after it was checked. */
export type OfferedTool =
  | {
      readonly type: "function"
      readonly name: string
      readonly description: string
      readonly parameters: Json
    }
  | { readonly type: "custom"; readonly name: string; readonly description: string }
  | { readonly type: "web_search"; readonly declared: string; readonly domains: ReadonlyArray<string> }
  | {
      readonly type: "mcp"
      readonly label: string
      readonly description: string
      /** The tools of the server that the request allows. Undefined: all. */
      readonly allowed: ReadonlyArray<string> | undefined
      readonly needsApproval: (tool: string) => boolean
    }
  | { readonly type: "code_interpreter" }

export type Offered<Type extends OfferedTool["type"]> = Extract<OfferedTool, { readonly type: Type }>

/** The tools of one type. */
export const offeredOf = <Type extends OfferedTool["type"]>(
  tools: ReadonlyArray<OfferedTool>,
  type: Type
): ReadonlyArray<Offered<Type>> => tools.filter((tool): tool is Offered<Type> => tool.type === type)

/** Which tools the model may call, and whether it must. */
export interface ToolChoice {
  readonly mode: "none" | "auto" | "required"
  readonly among: ReadonlyArray<OfferedTool>
  /** The tool of an MCP server that was chosen by name. */
  readonly mcpTool: string | undefined
}

/** Everything that a request says about tools. */
export interface ToolSettings {
  readonly tools: ReadonlyArray<OfferedTool>
  readonly choice: ToolChoice
  readonly parallel: boolean
  /** How many calls of tools of the provider one response may make. */
  readonly maxCalls: number
}
