import { isHosted } from "./calls.ts"
import { isRecord, type Json, textOf } from "./fields.ts"
import { isWhole } from "./itemEnd.ts"

// Items that the caller must answer before the model can continue.
const asking: ReadonlySet<unknown> = new Set([
  "function_call",
  "custom_tool_call",
  "mcp_approval_request",
  "computer_call",
  "local_shell_call",
  "shell_call",
  "apply_patch_call",
  "tool_search_call"
])

// A call that the provider ran itself, for example in a container, is followed by its output.
const answered = (items: ReadonlyArray<Json>): ReadonlySet<unknown> =>
  new Set(
    items.flatMap(({ approval_request_id, call_id, id, type }) => {
      if (type === "mcp_approval_response") return [approval_request_id]
      return textOf(type)?.endsWith("_output") === true ? [call_id ?? id] : []
    })
  )

const asks = (item: Json): boolean => {
  const { execution, type } = item
  if (!asking.has(type) || !isWhole(item, "over")) return false
  if (type === "tool_search_call") return execution === "client"
  return type !== "shell_call" || !isHosted(item)
}

/** Whether a completed response waits for its caller. */
export const waits = (output: ReadonlyArray<unknown>): boolean => {
  const items = output.filter(isRecord)
  const done = answered(items)
  return items.some((item) => asks(item) && !done.has(item["call_id"] ?? item["id"]) && !done.has(item["id"]))
}
