import type { McpApprovalRequestItem, McpCallItem, McpListToolsItem } from "../../../ResponseScript.ts"
import { splitDeltas } from "../../../ResponseScript.ts"
import type { Offered, OfferedTool } from "./offeredTool.ts"
import { offeredOf } from "./offeredTool.ts"

/** A call of a tool of an MCP server, before it is known whether it needs an approval. */
export interface McpRequest {
  readonly server: Offered<"mcp">
  readonly name: string
  readonly json: string
  readonly answer: string | undefined
}

const failure = /^error:\s*/i

const outcome = ({ answer, json, name }: McpRequest) =>
  answer !== undefined && failure.test(answer)
    ? { output: "", error: answer.replace(failure, "") }
    : { output: answer ?? `${name} got ${json}` }

/** The server that has a tool, which the prompt names alone or after the server's label and a slash. */
export const serverOf = (
  tools: ReadonlyArray<OfferedTool>,
  named: string
): { readonly server: Offered<"mcp">; readonly name: string } | undefined => {
  for (const server of offeredOf(tools, "mcp")) {
    const name = named.startsWith(`${server.label}/`) ? named.slice(server.label.length + 1) : named
    if (!name.includes("/") && server.allowed?.includes(name) !== false) return { server, name }
  }
  return undefined
}

/**
 * The list of a server's tools. The sandbox does not connect to the server: it
 * lists the tools that the request allows, or else those that are called.
 */
export const listing = (server: Offered<"mcp">, called: ReadonlyArray<string>): McpListToolsItem => ({
  type: "mcp_list_tools",
  serverLabel: server.label,
  tools: [...new Set(server.allowed ?? (called.length > 0 ? called : ["echo"]))].map((name) => ({
    name,
    description: `${name} of ${server.label}`,
    inputSchema: { type: "object", properties: {}, additionalProperties: true }
  }))
})

/** The item of a call: the call, or the request for its approval. */
export const mcpItem = (request: McpRequest): McpCallItem | McpApprovalRequestItem => {
  const common = { serverLabel: request.server.label, name: request.name, ...outcome(request) }
  return request.server.needsApproval(request.name)
    ? { type: "mcp_approval_request", arguments: request.json, ...common }
    : { type: "mcp_call", deltas: splitDeltas(request.json), ...common }
}

/** What the model is told of a call. */
export const told = ({ error, name, output }: McpCallItem): string =>
  error === undefined ? output : `${name} failed: ${error}`
