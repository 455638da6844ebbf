import type { Metadata, SingleLane, SourceWithoutId, TextLane, UnreadLane } from "@effect-baton/core/BackgroundModel"
import { defined, type Json, textOf } from "./fields.ts"

/**
 * Numbers of the lanes of an item:
 *
 * - message: content part `j` is lane `j`, its citations are lane `1000 + j`
 * - reasoning: summary `k` is lane `k`, reasoning text `k` is lane `1000 + k`, the sealed content is lane 2000
 * - call: the parameters are lane 0, the call itself is lane 1
 *
 * Events and snapshots must use the same numbers, because stored tokens contain them.
 */
export const second = 1000
export const sealLane = 2000
const callLane = 1

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

/** A call that the caller carries out: of a function, or of a custom tool (whose input is a text). */
export interface Call {
  readonly itemId: string | undefined
  readonly callId: string
  readonly name: string
  /** The parameters as text, unless the server sent them parsed. */
  readonly input: string | undefined
  readonly params: unknown
  readonly custom: boolean
}

export const paramsLane = ({ callId, input, itemId, name }: Call): TextLane | UnreadLane =>
  input === undefined
    ? unread(0)
    : { lane: 0, kind: "params", text: input, name, metadata: metadata({ callId, itemId }) }

export const toolCall = ({ callId, custom, itemId, name, params }: Call): SingleLane => ({
  lane: callLane,
  kind: "single",
  part: {
    type: "tool-call",
    id: callId,
    name,
    params,
    metadata: metadata({ itemId, custom: custom ? true : undefined })
  }
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
