import {
  annotationOf,
  citationsOf,
  contentPart,
  deltasOf,
  itemObject,
  itemText,
  type OutputItem,
  wholeItem
} from "./outputItem.ts"
import { paced, type Segment, single } from "./segments.ts"

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
  const deltas = deltasOf(item.script)
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

/** The events between those that add the item and those that end it. */
const inner = (item: OutputItem, obfuscate: boolean): ReadonlyArray<Segment> => {
  const { script } = item
  const place = { item_id: item.id, output_index: item.index }
  const text = () => itemText(item)
  const told = (type: string) => single(type, () => place)
  // A limit of tokens can end the arguments or the code. Then nothing runs.
  const whole = item.doneStatus === "completed"
  switch (script.type) {
    case "message": {
      const inPart = { ...place, content_index: 0 }
      const citations = citationsOf(script)
      return [
        single("response.content_part.added", () => ({ ...inPart, part: contentPart(script, "") })),
        deltaSegment("response.output_text.delta", item, ',"content_index":0', true, obfuscate),
        ...citations.map((citation, index) =>
          single(
            "response.output_text.annotation.added",
            () => ({ ...inPart, annotation_index: index, annotation: annotationOf(citation) }),
            { index: item.index, tells: "citation" }
          )
        ),
        single("response.output_text.done", () => ({ ...inPart, text: text(), logprobs: [] })),
        single("response.content_part.done", () => ({ ...inPart, part: contentPart(script, text(), citations.length) }))
      ]
    }
    case "refusal": {
      const inPart = { ...place, content_index: 0 }
      return [
        single("response.content_part.added", () => ({ ...inPart, part: contentPart(script, "") })),
        deltaSegment("response.refusal.delta", item, ',"content_index":0', false, obfuscate),
        single("response.refusal.done", () => ({ ...inPart, refusal: text() })),
        single("response.content_part.done", () => ({ ...inPart, part: contentPart(script, text()) }))
      ]
    }
    case "function_call": {
      const { name } = script
      return [
        deltaSegment("response.function_call_arguments.delta", item, "", false, obfuscate),
        single("response.function_call_arguments.done", () => ({ ...place, name, arguments: text() }))
      ]
    }
    case "custom_tool_call":
      return [
        deltaSegment("response.custom_tool_call_input.delta", item, "", false, obfuscate),
        single("response.custom_tool_call_input.done", () => ({ ...place, input: text() }))
      ]
    case "reasoning": {
      if (script.deltas.length === 0) return []
      const inPart = { ...place, summary_index: 0 }
      const part = (summary: string) => ({ type: "summary_text", text: summary })
      return [
        single("response.reasoning_summary_part.added", () => ({ ...inPart, part: part("") })),
        deltaSegment("response.reasoning_summary_text.delta", item, ',"summary_index":0', false, obfuscate),
        single("response.reasoning_summary_text.done", () => ({ ...inPart, text: text() })),
        single("response.reasoning_summary_part.done", () => ({ ...inPart, part: part(text()) }))
      ]
    }
    case "web_search_call":
      return [
        told("response.web_search_call.in_progress"),
        told("response.web_search_call.searching"),
        paced(told("response.web_search_call.completed"))
      ]
    case "mcp_list_tools":
      return [
        told("response.mcp_list_tools.in_progress"),
        paced(told(`response.mcp_list_tools.${script.error === undefined ? "completed" : "failed"}`))
      ]
    case "mcp_call":
      return [
        told("response.mcp_call.in_progress"),
        deltaSegment("response.mcp_call_arguments.delta", item, "", false, obfuscate),
        single("response.mcp_call_arguments.done", () => ({ ...place, arguments: text() })),
        ...(whole ? [paced(told(`response.mcp_call.${script.error === undefined ? "completed" : "failed"}`))] : [])
      ]
    case "mcp_approval_request":
      return []
    case "code_interpreter_call":
      return [
        told("response.code_interpreter_call.in_progress"),
        deltaSegment("response.code_interpreter_call_code.delta", item, "", false, obfuscate),
        single("response.code_interpreter_call_code.done", () => ({ ...place, code: text() })),
        ...(whole
          ? [
              told("response.code_interpreter_call.interpreting"),
              paced(told("response.code_interpreter_call.completed"))
            ]
          : [])
      ]
  }
}

/** The events of one output item, from the first to the last. */
export const itemSegments = (item: OutputItem, obfuscate: boolean): ReadonlyArray<Segment> => [
  single(
    "response.output_item.added",
    () => ({
      output_index: item.index,
      item: itemObject(item, { deltas: 0, citations: 0, status: "in_progress" })
    }),
    { index: item.index, tells: "added" }
  ),
  ...inner(item, obfuscate),
  single("response.output_item.done", () => ({ output_index: item.index, item: itemObject(item, wholeItem(item)) }), {
    index: item.index,
    tells: "done"
  })
]
