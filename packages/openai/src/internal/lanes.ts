import type { Metadata, SingleLane, SourceWithoutId, TextLane, UnreadLane } from "@effect-baton/core/BackgroundModel"
import { defined, type Json, textOf } from "./fields.ts"

/**
 * Numbers of the lanes of an item:
 *
 * - message: content part `j` is lane `j`, its citations are lane `1000 + j`
 * - reasoning: summary `k` is lane `k`, reasoning text `k` is lane `1000 + k`, the sealed content is lane 2000
 * - compaction: the sealed content is lane 2000
 * - call: the parameters are lane 0, the call itself is lane 1, its result is lane 2, the request for its approval is lane 3
 * - generated image: the file is lane 0, and the call and its result have the lanes of any call
 * - output of a call: the result is lane 2
 *
 * Events and snapshots must use the same numbers, because stored tokens contain them.
 */
export const second = 1000
export const sealLane = 2000
const callLane = 1
const resultLane = 2
const approvalLane = 3

const mostItems = 1_000_000

/** Whether a value is an item's index that a position can hold. */
export const isItemIndex = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value < mostItems

/** Whether a value is an index inside an item. With larger ones, the lanes of two kinds would overlap. */
export const isInnerIndex = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value < second

/** The metadata of a lane's parts. The end of a lane may know more fields than its start. */
export const metadata = (fields: Json): Metadata => ({ openai: defined(fields) as Metadata[string] })

export const unread = (lane: number): UnreadLane => ({ lane, kind: "unread" })

/** The metadata of a text: its message, the message's phase, and whether it is a refusal. */
export const textMetadata = (itemId: unknown, phase: unknown, refusal: boolean): Metadata =>
  metadata({ itemId: textOf(itemId), phase: textOf(phase), refusal: refusal ? true : undefined })

/** The metadata of a reasoning part. Texts and summaries go back to the provider under different names. */
export const reasoningMetadata = (itemId: unknown, lane: number): Metadata =>
  metadata({ itemId: textOf(itemId), reasoningText: lane < second ? undefined : true })

/** A call of a tool. */
export interface Call {
  readonly callId: string
  readonly name: string
  readonly params: unknown
  /** Whether the provider runs the call. */
  readonly provider: boolean
  /** The metadata of its parts. */
  readonly fields: Json
}

/** The parameters as text. The server may have sent them parsed: then `input` is undefined. */
export const paramsLane = (
  { callId, fields, name, provider }: Omit<Call, "params">,
  input: string | undefined
): TextLane | UnreadLane =>
  input === undefined
    ? unread(0)
    : {
        lane: 0,
        kind: "params",
        text: input,
        name,
        ...(provider ? { providerExecuted: true } : undefined),
        metadata: metadata({ callId, itemId: fields["itemId"] })
      }

export const toolCall = ({ callId, fields, name, params, provider }: Call): SingleLane => ({
  lane: callLane,
  kind: "single",
  part: {
    type: "tool-call",
    id: callId,
    name,
    params,
    ...(provider ? { providerExecuted: true } : undefined),
    metadata: metadata(fields)
  }
})

/** The result of a call that the provider ran. */
export const toolResult = (
  { callId, fields, name }: Pick<Call, "callId" | "fields" | "name">,
  result: object,
  isFailure: boolean
): SingleLane => ({
  lane: resultLane,
  kind: "single",
  part: {
    type: "tool-result",
    id: callId,
    name,
    result: defined(result),
    isFailure,
    providerExecuted: true,
    metadata: metadata(fields)
  }
})

/** The request for the approval of a call. Both have the provider's id of the request. */
export const approvalRequest = ({ callId, fields }: Pick<Call, "callId" | "fields">): SingleLane => ({
  lane: approvalLane,
  kind: "single",
  part: { type: "tool-approval-request", approvalId: callId, toolCallId: callId, metadata: metadata(fields) }
})

export const imageFile = (itemId: string | undefined, mediaType: string, data: string): SingleLane => ({
  lane: 0,
  kind: "single",
  part: { type: "file", mediaType, data, metadata: metadata({ itemId }) }
})

const number = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

/** The source that a citation names, or undefined if its kind is unknown here. */
export const source = (annotation: unknown): SourceWithoutId | undefined => {
  if (typeof annotation !== "object" || annotation === null) return undefined
  const fields = annotation as Json
  const { file_id: fileId, filename, title, type, url } = fields
  if (type === "url_citation") {
    // A text that is not a URL would fail the decoding of the part.
    if (typeof url !== "string" || !URL.canParse(url)) return undefined
    return {
      type: "source",
      sourceType: "url",
      url,
      title: typeof title === "string" ? title : url,
      metadata: metadata({ type, startIndex: number(fields["start_index"]), endIndex: number(fields["end_index"]) })
    }
  }
  if (type !== "file_citation" && type !== "container_file_citation" && type !== "file_path") return undefined
  if (typeof fileId !== "string") return undefined
  const name = typeof filename === "string" ? filename : fileId
  return {
    type: "source",
    sourceType: "document",
    // The API names a cited file's id and name, never its type.
    mediaType: "application/octet-stream",
    title: name,
    fileName: name,
    metadata: metadata({
      type,
      fileId,
      index: number(fields["index"]),
      containerId: textOf(fields["container_id"]),
      startIndex: number(fields["start_index"]),
      endIndex: number(fields["end_index"])
    })
  }
}
