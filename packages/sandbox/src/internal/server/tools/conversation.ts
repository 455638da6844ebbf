import { contentText } from "../contentText.ts"
import { type Json, stringOf } from "../json.ts"

/** The items before a response, and what the last prompt in them asks for. */
export interface Conversation {
  readonly items: ReadonlyArray<Json>
  /** The text of the last message of the user. */
  readonly prompt: string
  /** The items after that message. */
  readonly since: ReadonlyArray<Json>
}

export const isCall = (item: Json): boolean => item["type"] === "function_call" || item["type"] === "custom_tool_call"

export const isOutput = (item: Json): boolean =>
  item["type"] === "function_call_output" || item["type"] === "custom_tool_call_output"

export const conversationOf = (items: ReadonlyArray<Json>): Conversation => {
  const at = items.findLastIndex((item) => item["role"] === "user")
  const prompt = items[at]
  return {
    items,
    prompt: prompt === undefined ? "" : contentText(prompt["content"]),
    since: items.slice(at + 1)
  }
}

/** One answer to a request for approval. */
export interface Approval {
  readonly requestId: string
  readonly approve: boolean
  readonly reason: string | undefined
  readonly request: Json
}

/** The approvals that no response went on from yet. */
export const openApprovals = ({ items }: Conversation): ReadonlyArray<Approval> =>
  items.flatMap((item, at) => {
    const requestId = stringOf(item["approval_request_id"])
    if (item["type"] !== "mcp_approval_response" || requestId === undefined) return []
    const request = items.find((one) => one["type"] === "mcp_approval_request" && one["id"] === requestId)
    const goneOn = items
      .slice(at + 1)
      .some(
        (later) =>
          later["role"] === "assistant" || (later["type"] === "mcp_call" && later["approval_request_id"] === requestId)
      )
    return request === undefined || goneOn
      ? []
      : [{ requestId, approve: item["approve"] === true, reason: stringOf(item["reason"]), request }]
  })
