import * as Effect from "effect/Effect"
import { type ApiError, badRequest } from "../apiError.ts"
import { type Json, stringOf } from "../json.ts"

const kinds = [
  { call: "function_call", output: "function_call_output", words: "function call" },
  { call: "custom_tool_call", output: "custom_tool_call_output", words: "custom tool call" }
]

const refuse = (message: string) => Effect.fail(badRequest(message, null, "input"))

/**
 * Checks that every output belongs to a call before it, that every call has
 * its output, and that every request for approval has its answer.
 */
export const checkPairs = (items: ReadonlyArray<Json>): Effect.Effect<void, ApiError> =>
  Effect.suspend(() => {
    for (const { call, output, words } of kinds) {
      const open = new Set<string>()
      const closed = new Set<string>()
      for (const item of items) {
        const id = stringOf(item["call_id"]) ?? ""
        if (item["type"] === call && item["status"] !== "incomplete") open.add(id)
        if (item["type"] !== output) continue
        if (!open.has(id)) return refuse(`No tool call found for ${words} output with call_id ${id}.`)
        closed.add(id)
      }
      const left = [...open].find((id) => !closed.has(id))
      if (left !== undefined) return refuse(`No tool output found for ${words} ${left}.`)
    }
    const asked = new Set<string>()
    const answered = new Set<string>()
    for (const item of items) {
      if (item["type"] === "mcp_approval_request") asked.add(stringOf(item["id"]) ?? "")
      if (item["type"] !== "mcp_approval_response") continue
      const id = stringOf(item["approval_request_id"]) ?? ""
      if (!asked.has(id)) return refuse(`No MCP approval request found for MCP approval response with id ${id}.`)
      answered.add(id)
    }
    const waiting = [...asked].filter((id) => !answered.has(id))
    return waiting.length === 0
      ? Effect.void
      : refuse(`The following MCP approval requests do not have an approval: ${waiting.join(", ")}`)
  })
