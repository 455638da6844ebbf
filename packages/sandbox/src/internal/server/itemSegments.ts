import type { Deltas, ScriptItem } from "../../ResponseScript.ts"
import { type Segment, single } from "./segments.ts"

/** One output item of a response, with the fields that its events and snapshots need. */
export interface OutputItem {
  readonly id: string
  readonly index: number
  readonly script: ScriptItem
  /** The status of the finished item. */
  readonly doneStatus: "completed" | "incomplete"
}

const joined = (deltas: Deltas, count: number): string => {
  const pieces: Array<string> = []
  for (let index = 0; index < count; index++) pieces.push(deltas.at(index) ?? "")
  return pieces.join("")
}

export const itemText = (item: OutputItem, deltas = item.script.deltas.length): string =>
  joined(item.script.deltas, deltas)

const contentPart = (type: "message" | "refusal", text: string) =>
  type === "message" ? { type: "output_text", annotations: [], logprobs: [], text } : { type: "refusal", refusal: text }

/** The item in a response object after `deltas` of its deltas. */
export const itemObject = (item: OutputItem, deltas: number, status: string): { readonly [key: string]: unknown } => {
  const text = itemText(item, deltas)
  switch (item.script.type) {
    case "message":
    case "refusal":
      return {
        id: item.id,
        type: "message",
        status,
        content: deltas === 0 && status === "in_progress" ? [] : [contentPart(item.script.type, text)],
        role: "assistant"
      }
    case "function_call":
      return {
        id: item.id,
        type: "function_call",
        status,
        arguments: text,
        call_id: item.script.callId,
        name: item.script.name
      }
    case "reasoning":
      return {
        id: item.id,
        type: "reasoning",
        summary: text === "" ? [] : [{ type: "summary_text", text }]
      }
  }
}

const padding = "hQm3ZrT8xKcVb2NwLpJy6GfDs9AeUoRi4tYkMnXvBzCqWlSj7HdFgPa5EuIO1T0q"

// The padding depends only on the event's position, so that a replay equals
// the original.
const obfuscation = (sequence: number, length: number): string => {
  const start = (sequence * 7) % 48
  return padding.slice(start, start + 16 - (length % 16))
}

const deltaSegment = (
  type: string,
  item: OutputItem,
  place: string,
  logprobs: boolean,
  obfuscate: boolean
): Segment => {
  const { deltas } = item.script
  const head = `{"type":"${type}","sequence_number":`
  const middle = `,"item_id":"${item.id}","output_index":${item.index}${place},"delta":`
  const tail = logprobs ? ',"logprobs":[]' : ""
  return {
    count: deltas.length,
    type,
    paced: true,
    ephemeral: false,
    offset: 0,
    item: { index: item.index, tells: "delta" },
    json: (sequence, offset) => {
      const delta = deltas.at(offset) ?? ""
      const start = head + sequence + middle + JSON.stringify(delta) + tail
      return obfuscate ? `${start},"obfuscation":"${obfuscation(sequence, delta.length)}"}` : `${start}}`
    }
  }
}

/** The events of one output item, from the first to the last. */
export const itemSegments = (item: OutputItem, obfuscate: boolean): ReadonlyArray<Segment> => {
  const place = { item_id: item.id, output_index: item.index }
  const added = single(
    "response.output_item.added",
    () => ({ output_index: item.index, item: itemObject(item, 0, "in_progress") }),
    { index: item.index, tells: "added" }
  )
  const done = single(
    "response.output_item.done",
    () => ({ output_index: item.index, item: itemObject(item, item.script.deltas.length, item.doneStatus) }),
    { index: item.index, tells: "done" }
  )
  switch (item.script.type) {
    case "message":
    case "refusal": {
      const { type } = item.script
      const inPart = { ...place, content_index: 0 }
      return [
        added,
        single("response.content_part.added", () => ({ ...inPart, part: contentPart(type, "") })),
        ...(type === "message"
          ? [
              deltaSegment("response.output_text.delta", item, ',"content_index":0', true, obfuscate),
              single("response.output_text.done", () => ({ ...inPart, text: itemText(item), logprobs: [] }))
            ]
          : [
              deltaSegment("response.refusal.delta", item, ',"content_index":0', false, obfuscate),
              single("response.refusal.done", () => ({ ...inPart, refusal: itemText(item) }))
            ]),
        single("response.content_part.done", () => ({ ...inPart, part: contentPart(type, itemText(item)) })),
        done
      ]
    }
    case "function_call": {
      const { name } = item.script
      return [
        added,
        deltaSegment("response.function_call_arguments.delta", item, "", false, obfuscate),
        single("response.function_call_arguments.done", () => ({ ...place, name, arguments: itemText(item) })),
        done
      ]
    }
    case "reasoning": {
      if (item.script.deltas.length === 0) return [added, done]
      const inPart = { ...place, summary_index: 0 }
      const part = (text: string) => ({ type: "summary_text", text })
      return [
        added,
        single("response.reasoning_summary_part.added", () => ({ ...inPart, part: part("") })),
        deltaSegment("response.reasoning_summary_text.delta", item, ',"summary_index":0', false, obfuscate),
        single("response.reasoning_summary_text.done", () => ({ ...inPart, text: itemText(item) })),
        single("response.reasoning_summary_part.done", () => ({ ...inPart, part: part(itemText(item)) })),
        done
      ]
    }
  }
}
