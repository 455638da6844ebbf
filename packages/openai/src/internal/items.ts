import type { Lane, Metadata, SnapshotItem, TextLane } from "@effect-baton/core/BackgroundModel"
import * as Result from "effect/Result"
import { isMissing, isRecord, type Json, textOf } from "./fields.ts"
import * as Lanes from "./lanes.ts"

/**
 * Where an item was found: in the event that finishes it, in a response that is over, or in a response that is under way.
 * In a response that was cut short, an item is complete only if it says so.
 */
export type Seen = "at its end" | "over" | "cut short" | "under way"

// The lanes of an item, or undefined if the item cannot be read.
type Read = ReadonlyArray<Lane> | undefined

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

// A model may write parameters that are not JSON. They are passed on as text: the tool's schema refuses them and the model
// gets that error, instead of the run failing here.
const paramsOf = (input: string, custom: boolean): unknown => {
  if (custom) return input
  if (input.trim() === "") return {}
  return Result.getOrElse(
    Result.try((): unknown => JSON.parse(input)),
    () => input
  )
}

const callOf = (item: Json, custom: boolean): Lanes.Call | undefined => {
  const { call_id: callId, id, name } = item
  const input = item[custom ? "input" : "arguments"]
  if (typeof callId !== "string" || typeof name !== "string") return undefined
  const common = { itemId: textOf(id), callId, name, custom }
  if (typeof input === "string") return { ...common, input, params: paramsOf(input, custom) }
  // Some servers send parsed parameters. Their original text is then unknown.
  return isRecord(input) && !custom ? { ...common, input: undefined, params: input } : undefined
}

// A call that was cut short must not be carried out: its parameters may not be what the model meant.
const isWhole = ({ status }: Json, seen: Seen): boolean =>
  isMissing(status) ? seen === "at its end" || seen === "over" : status === "completed"

const call = (item: Json, custom: boolean, seen: Seen): Read => {
  const told = callOf(item, custom)
  if (told === undefined) return undefined
  const params = Lanes.paramsLane(told)
  return isWhole(item, seen) ? [params, Lanes.toolCall(told)] : [params]
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const dataUrl = /^data:([a-z]+\/[a-z0-9.+-]+)[^,]*;base64,/i

const image = (item: Json, seen: Seen): Read => {
  const { id, output_format: format, result } = item
  if (isMissing(result) || result === "" || !isFinished(item, seen)) return []
  if (typeof result !== "string") return [Lanes.unread(0)]
  // Some servers give a data URL. Only the start of a long text is searched.
  const head = dataUrl.exec(result.slice(0, 200))
  const data = result.slice(head?.[0].length ?? 0).replace(/[\r\n]+/g, "")
  if (data === "") return []
  if (data.length % 4 !== 0 || !base64.test(data)) return [Lanes.unread(0)]
  const named = typeof format === "string" && /^[a-z0-9.+-]+$/i.test(format) ? format : "png"
  const mediaType = head?.[1] ?? (named === "svg" ? "image/svg+xml" : `image/${named}`)
  return [Lanes.imageFile(textOf(id), mediaType, data)]
}

const lanesOf = (item: Json, seen: Seen): Read => {
  switch (item["type"]) {
    case "message":
      return message(item)
    case "reasoning":
      return reasoning(item, seen)
    case "function_call":
      return call(item, false, seen)
    case "custom_tool_call":
      return call(item, true, seen)
    case "image_generation_call":
      return image(item, seen)
    default:
      return typeof item["type"] === "string" ? [] : undefined
  }
}

const ends: ReadonlySet<unknown> = new Set(["completed", "incomplete", "failed", "cancelled"])

const isFinished = (item: Json, seen: Seen): boolean => seen !== "under way" || ends.has(item["status"])

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
  const { environment, execution, status, type } = item
  if (!asking.has(type)) return false
  if (type === "tool_search_call") return execution === "client"
  if (type === "shell_call") return !isRecord(environment) || environment["type"] !== "container_reference"
  const cut = status === "in_progress" || status === "incomplete"
  return (type !== "function_call" && type !== "custom_tool_call") || !cut
}

/** Whether a completed response waits for its caller. */
export const waits = (output: ReadonlyArray<unknown>): boolean => {
  const items = output.filter(isRecord)
  const done = answered(items)
  return items.some((item) => asks(item) && !done.has(item["call_id"] ?? item["id"]) && !done.has(item["id"]))
}
