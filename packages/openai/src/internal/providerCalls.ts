import type { Lane } from "@effect-baton/core/BackgroundModel"
import { mcpParams } from "./calls.ts"
import { defined, isMissing, isRecord, type Json, textOf } from "./fields.ts"
import { isFinished, isRun, isWhole, type Read, type Seen } from "./itemEnd.ts"
import * as Lanes from "./lanes.ts"

// Calls that the provider runs: each is a call and its result, once both are known. An item without an id becomes no parts.

interface Ran {
  readonly id: unknown
  readonly name: string
  readonly params: unknown
  readonly result: Json
  readonly failed?: boolean
}

const callOf = (item: Json, { id, name, params }: Pick<Ran, "id" | "name" | "params">): Lanes.Call | undefined =>
  typeof id === "string"
    ? { callId: id, name, params, provider: true, fields: { itemId: textOf(item["id"]) } }
    : undefined

const ran = (item: Json, what: Ran): ReadonlyArray<Lane> => {
  const call = callOf(item, what)
  if (call === undefined) return []
  const failed = what.failed ?? item["status"] === "failed"
  return [Lanes.toolCall(call), Lanes.toolResult(call, what.result, failed)]
}

export const webSearch = (item: Json, seen: Seen): Read => {
  const { action, id, status } = item
  if (!isRun(item, seen)) return []
  return ran(item, { id, name: "web_search", params: defined({ action }), result: { status, action } })
}

export const fileSearch = (item: Json, seen: Seen): Read => {
  const { id, queries, results, status } = item
  if (!isRun(item, seen)) return []
  const result = { status, queries, results: results ?? null }
  return ran(item, { id, name: "file_search", params: defined({ queries }), result })
}

export const codeInterpreter = (item: Json, seen: Seen): Read => {
  const { container_id, id, outputs, status } = item
  const code = isMissing(item["code"]) ? "" : item["code"]
  const what = { id, name: "code_interpreter", params: defined({ code, container_id }) }
  const call = callOf(item, what)
  if (call === undefined) return []
  const own = Lanes.paramsLane(call, textOf(code))
  return isRun(item, seen) ? [own, ...ran(item, { ...what, result: { status, outputs: outputs ?? null } })] : [own]
}

/** Whether a call has its output. Some servers give it no status. */
const hasOutput = ({ error, output, status }: Json, seen: Seen): boolean =>
  isMissing(status) && seen !== "under way" && !(isMissing(output) && isMissing(error))

export const mcpCall = (item: Json, seen: Seen): Read => {
  const { approval_request_id, error, id, name, output, server_label, status } = item
  const input = isMissing(item["arguments"]) ? "" : item["arguments"]
  // If it was approved, it is the call that was asked for.
  const callId = textOf(approval_request_id) ?? id
  const what = { id: callId, name: "mcp", params: mcpParams({ ...item, arguments: input }) }
  const call = callOf(item, what)
  if (call === undefined) return []
  const own = Lanes.paramsLane(call, textOf(input))
  if (!isRun(item, seen) && !hasOutput(item, seen)) return [own]
  const failed = status === "failed" || !isMissing(error)
  const said = { output: output ?? undefined, error: error ?? undefined }
  const result = { type: "mcp_call", name, server_label, arguments: input, ...said }
  return [own, ...ran(item, { ...what, result, failed })]
}

/** The tools of a server, which the provider asks for before the first call. */
export const mcpListTools = (item: Json, seen: Seen): Read => {
  const { error, id, server_label, tools } = item
  if (!isFinished(item, seen)) return []
  const result = { server_label, tools, error: error ?? undefined }
  const params = defined({ server_label })
  return ran(item, { id, name: "mcp_list_tools", params, result, failed: !isMissing(error) })
}

/** A search among the tools that are not loaded yet. The caller answers it if the tool says so. */
export const toolSearch = (item: Json, seen: Seen): Read => {
  const { arguments: params, call_id, execution, id } = item
  const callId = textOf(call_id) ?? id
  const isCallers = execution === "client"
  if (typeof callId !== "string") return isCallers ? undefined : []
  if (!isWhole(item, seen)) return []
  const fields = { itemId: textOf(id), type: isCallers ? "tool_search_call" : undefined }
  return [Lanes.toolCall({ callId, name: "tool_search", params: params ?? {}, provider: !isCallers, fields })]
}

/** A program of the model that calls tools. */
export const program = (item: Json, seen: Seen): Read => {
  const { call_id, code, fingerprint } = item
  const params = defined({ code, fingerprint })
  const call = callOf(item, { id: call_id, name: "programmatic_tool_calling", params })
  return call === undefined || !isWhole(item, seen) ? [] : [Lanes.toolCall(call)]
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const dataUrl = /^data:([a-z]+\/[a-z0-9.+-]+)[^,]*;base64,/i

const image = ({ id, output_format: format, result }: Json): ReadonlyArray<Lane> => {
  if (isMissing(result) || result === "") return []
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

/** The image is a file. The result says how it was made. */
export const imageGeneration = (item: Json, seen: Seen): Read => {
  if (!isFinished(item, seen)) return []
  const { action, background, error, id, output_format, quality, revised_prompt, size, status } = item
  const file = image(item)
  if (!isRun(item, seen)) return file
  const known = { action, background, output_format, quality, revised_prompt, size, error }
  const result = { status, ...Object.fromEntries(Object.entries(known).filter(([, value]) => !isMissing(value))) }
  const failed = status === "failed" || isRecord(error)
  const [call, ...rest] = ran(item, { id, name: "image_generation", params: {}, result, failed })
  return call === undefined ? file : [call, ...file, ...rest]
}
