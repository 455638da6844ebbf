import type { ModelPart } from "@effect-baton/core/BackgroundModel"
import type { Response } from "effect/ai"

/** An object as `JSON.parse` gives it. */
export interface Json {
  readonly [key: string]: unknown
}

/**
 * Lanes of an item. Content part `j` of a message is lane `j` and its citations are lane `1000 + j`; of a reasoning item,
 * summary `k` is lane `k` and reasoning text `k` is lane `1000 + k`; of a call, the parameters are lane 0 and the call
 * itself is lane 1. Events and snapshots must number them alike: positions in stored tokens speak of them.
 */
export const second = 1000
export const callLane = 1

/** The id of a lane's parts. An item without an id goes by its index, which events and snapshots agree on too. */
export const laneId = (itemId: unknown, item: number, lane: number): string =>
  `${typeof itemId === "string" ? itemId : item}:${lane}`

/** The id of a call's parameter parts: the item's. */
export const callItemId = (itemId: unknown, item: number): string => (typeof itemId === "string" ? itemId : `${item}`)

type Part = Response.StreamPartEncoded

const textStart = (id: string, refusal: boolean): Part =>
  refusal ? { type: "text-start", id, metadata: { openai: { refusal: true } } } : { type: "text-start", id }

/** A lane of text as a snapshot gives it; `open` where more may come. */
export const textLane = (id: string, text: string, refusal: boolean, open: boolean): ReadonlyArray<Part> => [
  textStart(id, refusal),
  ...(text === "" ? [] : [{ type: "text-delta", id, delta: text } as const]),
  ...(open ? [] : [{ type: "text-end", id } as const])
]

export const reasoningLane = (id: string, text: string, open: boolean): ReadonlyArray<Part> => [
  { type: "reasoning-start", id },
  ...(text === "" ? [] : [{ type: "reasoning-delta", id, delta: text } as const]),
  ...(open ? [] : [{ type: "reasoning-end", id } as const])
]

/** A call that the caller carries out: of a function, or of a custom tool, whose input is a text. */
export interface Call {
  readonly itemId: string | undefined
  readonly callId: string
  readonly name: string
  readonly input: string
  readonly custom: boolean
}

const paramsStart = (call: Call, item: number): Part => ({
  type: "tool-params-start",
  id: callItemId(call.itemId, item),
  name: call.name,
  metadata: { openai: { callId: call.callId } }
})

export const paramsLane = (call: Call, item: number, open: boolean): ReadonlyArray<Part> => {
  const id = callItemId(call.itemId, item)
  return [
    paramsStart(call, item),
    ...(call.input === "" ? [] : [{ type: "tool-params-delta", id, delta: call.input } as const]),
    ...(open ? [] : [{ type: "tool-params-end", id } as const])
  ]
}

/** The whole call, with `params` as its arguments were parsed. */
export const toolCall = (call: Call, params: unknown): Part => ({
  type: "tool-call",
  id: call.callId,
  name: call.name,
  params,
  metadata: {
    openai: {
      ...(call.itemId === undefined ? undefined : { itemId: call.itemId }),
      ...(call.custom ? { custom: true } : undefined)
    }
  }
})

export const imageFile = (itemId: string, format: string | null | undefined, result: string): Part => ({
  type: "file",
  mediaType: format === "svg" ? "image/svg+xml" : `image/${format ?? "png"}`,
  data: result,
  metadata: { openai: { itemId } }
})

// The API names a cited file's id and name, never its type.
const unknownMediaType = "application/octet-stream"

const document = (id: string, type: string, title: string, fileId: string): Part => ({
  type: "source",
  sourceType: "document",
  id,
  mediaType: unknownMediaType,
  title,
  fileName: title,
  metadata: { openai: { type, fileId } }
})

const indices = (annotation: Json) =>
  typeof annotation["start_index"] === "number" && typeof annotation["end_index"] === "number"
    ? { startIndex: annotation["start_index"], endIndex: annotation["end_index"] }
    : undefined

/** The source that a citation names, or nothing where it is of a kind unknown here. */
export const source = (annotation: Json, id: string): Part | undefined => {
  const { type, url, title, file_id: fileId, filename } = annotation
  if (type === "url_citation") {
    // What does not parse as a URL would fail the decoding of the part.
    if (typeof url !== "string" || !URL.canParse(url)) return undefined
    return {
      type: "source",
      sourceType: "url",
      id,
      url,
      title: typeof title === "string" ? title : url,
      metadata: { openai: { type, ...indices(annotation) } }
    }
  }
  if (type === "file_citation" || type === "container_file_citation" || type === "file_path") {
    if (typeof fileId !== "string") return undefined
    return document(id, type, typeof filename === "string" ? filename : fileId, fileId)
  }
  return undefined
}

/** A part in its place; `whole` is the lane's whole text, where the event that ends it says so. */
export const place = (item: number, lane: number, part: Part, whole?: unknown): ModelPart =>
  typeof whole === "string" ? { item, lane, part, whole } : { item, lane, part }
