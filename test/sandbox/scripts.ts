/** Scripts with items of every kind and with every end. */
import type { ResponseScript, ScriptEnd, ScriptItem } from "@effect-baton/sandbox/ResponseScript"

const deltas = ["One", " two", " three"]

const items: { readonly [Type in ScriptItem["type"]]: Extract<ScriptItem, { readonly type: Type }> } = {
  message: { type: "message", deltas },
  refusal: { type: "refusal", deltas },
  function_call: { type: "function_call", name: "weather", callId: "call_1", deltas: ['{"city":', '"Oslo"}'] },
  custom_tool_call: { type: "custom_tool_call", name: "note", callId: "call_2", deltas },
  reasoning: { type: "reasoning", deltas },
  web_search_call: {
    type: "web_search_call",
    query: "rain in Oslo",
    sources: [{ title: "Oslo", url: "https://example.com/oslo" }]
  },
  mcp_list_tools: { type: "mcp_list_tools", serverLabel: "docs", tools: [{ name: "search" }] },
  mcp_call: { type: "mcp_call", serverLabel: "docs", name: "search", deltas: ['{"q":', '"Oslo"}'], output: "Rain." },
  mcp_approval_request: {
    type: "mcp_approval_request",
    serverLabel: "docs",
    name: "search",
    arguments: "{}",
    output: "Rain."
  },
  code_interpreter_call: { type: "code_interpreter_call", deltas: ["print(", "1 + 1)"], logs: "2" }
}

export const ends: { readonly [Status in ScriptEnd["status"]]: Extract<ScriptEnd, { readonly status: Status }> } = {
  completed: { status: "completed" },
  incomplete: { status: "incomplete", reason: "content_filter" },
  failed: { status: "failed", code: "rate_limit_exceeded", message: "Slow down." },
  cancelled: { status: "cancelled" }
}

const failures: ReadonlyArray<ScriptItem> = [
  { type: "mcp_list_tools", serverLabel: "docs", tools: [], error: "The server does not answer." },
  { type: "mcp_call", serverLabel: "docs", name: "search", deltas: ["{}"], output: "", error: "No such page." }
]

const cited: ScriptItem = {
  type: "message",
  deltas,
  citations: [{ title: "Two", url: "https://example.com/two", start: 4, end: 7 }]
}

export const everything: ReadonlyArray<ScriptItem> = [
  ...Object.values(items),
  ...failures,
  cited,
  { type: "message", deltas: [] },
  { type: "reasoning", deltas: [] }
]

/** What a request offers so that every item of a script is shown whole. */
export const offered = {
  tools: [
    { type: "function", name: "weather" },
    { type: "custom", name: "note" },
    { type: "web_search" },
    { type: "mcp", server_label: "docs", server_url: "https://example.com/mcp" },
    { type: "code_interpreter", container: { type: "auto" } }
  ],
  include: ["web_search_call.action.sources", "code_interpreter_call.outputs", "reasoning.encrypted_content"]
}

export const scripts: { readonly [model: string]: ResponseScript } = {
  ...Object.fromEntries(Object.entries(items).map(([type, item]) => [type, { items: [item] }])),
  ...Object.fromEntries(Object.entries(ends).map(([status, end]) => [status, { items: [items.message], end }])),
  nothing: { items: [] },
  everything: { items: everything }
}
