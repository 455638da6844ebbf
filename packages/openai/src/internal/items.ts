import type { Lane, Metadata, SnapshotItem, TextLane } from "@effect-baton/core/BackgroundModel"
import type { ResponseOutputItem } from "openai/resources/responses/responses"
import * as Calls from "./calls.ts"
import { isMissing, isRecord, type Json, textOf } from "./fields.ts"
import { isFinished, none, type Read, type Seen } from "./itemEnd.ts"
import * as Lanes from "./lanes.ts"
import * as Outputs from "./outputs.ts"
import * as ProviderCalls from "./providerCalls.ts"

const text = (lane: number, value: string, metadata: Metadata, kind: "text" | "reasoning"): TextLane => ({
  lane,
  kind,
  text: value,
  metadata
})

const citations = (annotations: unknown, lane: number): ReadonlyArray<Lane> => {
  if (isMissing(annotations)) return []
  if (!Array.isArray(annotations)) return [Lanes.unread(lane)]
  return annotations.length === 0 ? [] : [{ lane, kind: "sources", sources: annotations.map(Lanes.source) }]
}

const content = (part: unknown, lane: number, item: Json): ReadonlyArray<Lane> => {
  const type = isRecord(part) ? part["type"] : undefined
  if (!isRecord(part) || typeof type !== "string") return [Lanes.unread(lane)]
  if (type !== "output_text" && type !== "refusal") return []
  const refusal = type === "refusal"
  const value = part[refusal ? "refusal" : "text"]
  const own =
    typeof value === "string"
      ? text(lane, value, Lanes.textMetadata(item["id"], item["phase"], refusal), "text")
      : Lanes.unread(lane)
  return refusal ? [own] : [own, ...citations(part["annotations"], Lanes.second + lane)]
}

const message = (item: Json): Read => {
  const parts = item["content"]
  if (!Array.isArray(parts)) return undefined
  const lanes = parts.slice(0, Lanes.second).flatMap((part, lane) => content(part, lane, item))
  if (typeof item["phase"] !== "string" || lanes.some(({ lane }) => lane === 0)) return lanes
  // Before a message ends, only the event that announces it tells its phase: so the first text begins with that event.
  return [text(0, "", Lanes.textMetadata(item["id"], item["phase"], false), "text"), ...lanes]
}

const reasoningTexts = (parts: unknown, offset: number, item: Json): ReadonlyArray<Lane> => {
  if (isMissing(parts)) return []
  if (!Array.isArray(parts)) return [Lanes.unread(offset)]
  return parts.slice(0, Lanes.second).map((part: unknown, k) => {
    const value = isRecord(part) ? part["text"] : undefined
    const lane = offset + k
    return typeof value === "string"
      ? text(lane, value, Lanes.reasoningMetadata(item["id"], lane), "reasoning")
      : Lanes.unread(lane)
  })
}

// The sealed content (`encrypted_content`) is final only at the item's end, after its texts have ended. So an empty text in
// a lane of its own carries it.
const seal = (item: Json): ReadonlyArray<Lane> => {
  const encryptedContent = item["encrypted_content"]
  if (typeof encryptedContent !== "string" || encryptedContent === "") return []
  const metadata = Lanes.metadata({ itemId: textOf(item["id"]), encryptedContent })
  return [text(Lanes.sealLane, "", metadata, "reasoning")]
}

const reasoning = (item: Json, seen: Seen): Read => [
  ...reasoningTexts(item["summary"], 0, item),
  ...reasoningTexts(item["content"], Lanes.second, item),
  ...(isFinished(item, seen) ? seal(item) : [])
]

/** The seal of the beginning of a conversation, in whose place it is sent from then on. */
const compaction = (item: Json, seen: Seen): Read => {
  const { encrypted_content: encryptedContent, id, type } = item
  if (!isFinished(item, seen)) return []
  if (typeof encryptedContent !== "string") return undefined
  const metadata = Lanes.metadata({ itemId: textOf(id), type, encryptedContent })
  return [text(Lanes.sealLane, "", metadata, "reasoning")]
}

// If the SDK learns a type of item, this table no longer compiles: decide which parts the item becomes.
const readers: Readonly<Record<ResponseOutputItem["type"], (item: Json, seen: Seen) => Read>> = {
  message,
  reasoning,
  compaction,
  function_call: Calls.functionCall,
  custom_tool_call: Calls.customCall,
  computer_call: Calls.computer,
  local_shell_call: Calls.localShell,
  shell_call: Calls.shell,
  apply_patch_call: Calls.applyPatch,
  mcp_approval_request: Calls.approvalRequest,
  tool_search_call: ProviderCalls.toolSearch,
  web_search_call: ProviderCalls.webSearch,
  file_search_call: ProviderCalls.fileSearch,
  code_interpreter_call: ProviderCalls.codeInterpreter,
  image_generation_call: ProviderCalls.imageGeneration,
  mcp_call: ProviderCalls.mcpCall,
  mcp_list_tools: ProviderCalls.mcpListTools,
  program: ProviderCalls.program,
  function_call_output: Outputs.functionOutput,
  custom_tool_call_output: Outputs.customOutput,
  computer_call_output: Outputs.computer,
  local_shell_call_output: Outputs.localShell,
  shell_call_output: Outputs.shell,
  apply_patch_call_output: Outputs.applyPatch,
  tool_search_output: Outputs.toolSearch,
  program_output: Outputs.program,
  // No part can say these: they are raw.
  mcp_approval_response: none,
  additional_tools: none
}

const lanesOf = (item: Json, seen: Seen): Read => {
  const { type } = item
  if (typeof type !== "string") return undefined
  return Object.hasOwn(readers, type) ? readers[type as ResponseOutputItem["type"]](item, seen) : []
}

/** The lanes of an item that an event announces: the texts that it already holds, and a call's parameters. */
export const added = (raw: unknown): ReadonlyArray<TextLane> =>
  (isRecord(raw) ? (lanesOf(raw, "under way") ?? []) : []).filter((lane): lane is TextLane =>
    ["text", "reasoning", "params"].includes(lane.kind)
  )

/** The lanes of an item that an event finishes, or undefined if the item cannot be read. */
export const finished = (raw: unknown): ReadonlyArray<Lane> | undefined =>
  isRecord(raw) ? lanesOf(raw, "at its end") : undefined

/** An item of a response, as a snapshot shows it. */
export const shown = (raw: unknown, seen: Seen): SnapshotItem => {
  const item = isRecord(raw) ? raw : {}
  const lanes = lanesOf(item, seen)
  const done = isFinished(item, seen)
  return lanes === undefined ? { lanes: [], done, unread: true } : { lanes, done }
}
