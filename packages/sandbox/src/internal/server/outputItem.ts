import type { Deltas, ScriptItem } from "../../ResponseScript.ts"
import { encryptedContent } from "./encryptedContent.ts"

/** The parts of items that are shown only to requests that ask for them. */
export interface Included {
  readonly sources: boolean
  readonly outputs: boolean
  readonly encrypted: boolean
}

/** One output item of a response, with the fields that its events and snapshots need. */
export interface OutputItem {
  readonly id: string
  readonly index: number
  readonly script: ScriptItem
  /** The status of the finished item. */
  readonly doneStatus: "completed" | "incomplete"
  readonly included: Included
}

/** How far the events of an item have come. */
export interface Reached {
  readonly deltas: number
  readonly citations: number
  readonly status: "in_progress" | "completed" | "incomplete"
}

/** The item as its last event shows it. */
export const wholeItem = (item: OutputItem): Reached => ({
  deltas: deltasOf(item.script).length,
  citations: citationsOf(item.script).length,
  status: item.doneStatus
})

export const deltasOf = (script: ScriptItem): Deltas => ("deltas" in script ? script.deltas : [])

export const citationsOf = (script: ScriptItem) => (script.type === "message" ? (script.citations ?? []) : [])

const prefixes: { readonly [Type in ScriptItem["type"]]: string } = {
  message: "msg",
  refusal: "msg",
  function_call: "fc",
  custom_tool_call: "ctc",
  reasoning: "rs",
  web_search_call: "ws",
  mcp_list_tools: "mcpl",
  mcp_call: "mcp",
  mcp_approval_request: "mcpr",
  code_interpreter_call: "ci"
}

const idPrefix = "resp_"

/** The id of an item, from which `placeOf` finds its response again. */
export const itemId = (responseId: string, type: ScriptItem["type"], index: number): string =>
  `${prefixes[type]}_${responseId.slice(idPrefix.length)}${index.toString(16).padStart(2, "0")}`

/** The response of an item, and the item's index in it. */
export const placeOf = (id: string): { readonly responseId: string; readonly index: number } | undefined => {
  const [, responseId, index] = /^[a-z]+_([0-9a-f]{48})([0-9a-f]{2,})$/.exec(id) ?? []
  return responseId === undefined || index === undefined
    ? undefined
    : { responseId: idPrefix + responseId, index: Number.parseInt(index, 16) }
}

/** The text of the first `count` deltas. */
export const joined = (deltas: Deltas, count = deltas.length): string => {
  const pieces: Array<string> = []
  for (let index = 0; index < count; index++) pieces.push(deltas.at(index) ?? "")
  return pieces.join("")
}

export const itemText = (item: OutputItem, deltas = deltasOf(item.script).length): string =>
  joined(deltasOf(item.script), deltas)

/** A citation as an annotation of a message. */
export const annotationOf = ({ end, start, title, url }: ReturnType<typeof citationsOf>[number]) => ({
  type: "url_citation",
  start_index: start,
  end_index: end,
  title,
  url
})

export const contentPart = (script: ScriptItem, text: string, citations = 0) =>
  script.type === "refusal"
    ? { type: "refusal", refusal: text }
    : {
        type: "output_text",
        annotations: citationsOf(script).slice(0, citations).map(annotationOf),
        logprobs: [],
        text
      }

/** The item in a response object. */
export const itemObject = (item: OutputItem, reached: Reached): { readonly [key: string]: unknown } => {
  const { id, included, script } = item
  const { deltas, status } = reached
  const text = itemText(item, deltas)
  const over = status === "completed"
  switch (script.type) {
    case "message":
    case "refusal":
      return {
        id,
        type: "message",
        status,
        content: deltas === 0 && status === "in_progress" ? [] : [contentPart(script, text, reached.citations)],
        role: "assistant"
      }
    case "function_call":
      return { id, type: "function_call", status, arguments: text, call_id: script.callId, name: script.name }
    case "custom_tool_call":
      return { id, type: "custom_tool_call", status, call_id: script.callId, input: text, name: script.name }
    case "reasoning":
      return {
        id,
        type: "reasoning",
        summary: text === "" ? [] : [{ type: "summary_text", text }],
        ...(included.encrypted ? { encrypted_content: encryptedContent(id, text) } : {})
      }
    case "web_search_call":
      return {
        id,
        type: "web_search_call",
        status: status === "incomplete" ? "failed" : status,
        action: {
          type: "search",
          query: script.query,
          queries: [script.query],
          ...(included.sources && over ? { sources: script.sources.map(({ url }) => ({ type: "url", url })) } : {})
        }
      }
    case "mcp_list_tools":
      return {
        id,
        type: "mcp_list_tools",
        server_label: script.serverLabel,
        tools: over
          ? script.tools.map(({ description = null, inputSchema = { type: "object" }, name }) => ({
              name,
              description,
              input_schema: inputSchema,
              annotations: { read_only: false }
            }))
          : [],
        ...(script.error === undefined || !over ? {} : { error: script.error })
      }
    case "mcp_call":
      return {
        id,
        type: "mcp_call",
        status: over && script.error !== undefined ? "failed" : status,
        approval_request_id: script.approvalRequestId ?? null,
        arguments: text,
        error:
          over && script.error !== undefined
            ? { type: "mcp_tool_execution_error", content: [{ type: "text", text: script.error }] }
            : null,
        name: script.name,
        output: over && script.error === undefined ? script.output : null,
        server_label: script.serverLabel
      }
    case "mcp_approval_request":
      return {
        id,
        type: "mcp_approval_request",
        arguments: script.arguments,
        name: script.name,
        server_label: script.serverLabel
      }
    case "code_interpreter_call":
      return {
        id,
        type: "code_interpreter_call",
        status,
        code: text,
        container_id: `cntr_${id.slice(id.indexOf("_") + 1)}`,
        outputs: included.outputs && over && script.logs !== "" ? [{ type: "logs", logs: script.logs }] : null
      }
  }
}
