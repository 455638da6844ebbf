import { type Json, textOf } from "./fields.ts"
import { isFinished, type Read, type Seen } from "./itemEnd.ts"
import * as Lanes from "./lanes.ts"

// Items that are results of calls. They are in a response if the provider ran the call. An item that does not name its call
// becomes no parts.

const output = (item: Json, id: unknown, name: string, result: Json, seen: Seen): Read => {
  const status = item["status"] ?? undefined
  if (typeof id !== "string" || !isFinished(item, seen)) return []
  const failed = status === "failed" || status === "incomplete"
  const call = { callId: id, name, fields: { itemId: textOf(item["id"]) } }
  return [Lanes.toolResult(call, { status, ...result }, failed)]
}

export const functionOutput = (item: Json, seen: Seen): Read =>
  output(item, item["call_id"], textOf(item["name"]) ?? "function", { output: item["output"] }, seen)

export const customOutput = (item: Json, seen: Seen): Read =>
  output(item, item["call_id"], "custom", { output: item["output"] }, seen)

export const computer = (item: Json, seen: Seen): Read => {
  const { acknowledged_safety_checks, call_id, output: said } = item
  return output(item, call_id, "computer", { output: said, acknowledged_safety_checks }, seen)
}

export const localShell = (item: Json, seen: Seen): Read => {
  const { call_id, id, output: said } = item
  // In the SDK, `id` is the id of the call.
  return output(item, textOf(call_id) ?? id, "local_shell", { output: said }, seen)
}

export const shell = (item: Json, seen: Seen): Read => {
  const { call_id, max_output_length, output: said } = item
  return output(item, call_id, "shell", { output: said, max_output_length: max_output_length ?? undefined }, seen)
}

export const applyPatch = (item: Json, seen: Seen): Read =>
  output(item, item["call_id"], "apply_patch", { output: item["output"] ?? undefined }, seen)

/** If the provider ran the search, the item does not name the call: its own id stands in its place. */
export const toolSearch = (item: Json, seen: Seen): Read =>
  output(item, textOf(item["call_id"]) ?? item["id"], "tool_search", { tools: item["tools"] }, seen)

export const program = (item: Json, seen: Seen): Read =>
  output(item, item["call_id"], "programmatic_tool_calling", { result: item["result"] }, seen)
