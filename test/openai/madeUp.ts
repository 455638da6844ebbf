import { Schema } from "effect"

// Made-up responses: what a server that speaks the Responses API could send, with everything that servers leave out,
// number otherwise or say at the end only.

export type Json = { readonly [key: string]: unknown }

const Piece = Schema.Literals(["a", "bc", "é", "\ud83d", "\ude80", " ", "", "word "])
const Pieces = Schema.Array(Piece).check(Schema.isMaxLength(4))
const Flag = Schema.Boolean

/** Which of the events of an item do not come. */
const Missing = Schema.Struct({ added: Flag, begins: Flag, deltas: Flag, tail: Flag, ends: Flag, done: Flag })

const Item = Schema.Struct({
  what: Schema.TaggedUnion({
    Message: { texts: Schema.Array(Pieces).check(Schema.isMaxLength(3)), cited: Flag },
    Reasoning: { texts: Schema.Array(Pieces).check(Schema.isMaxLength(2)) },
    Call: { input: Pieces, custom: Flag },
    Code: { input: Pieces },
    Image: {},
    Search: {}
  }),
  missing: Missing
})

/** What a response says, and how its server tells it. */
export const MadeUp = Schema.Struct({
  items: Schema.Array(Item).check(Schema.isMaxLength(5)),
  indices: Schema.Literals(["normal", "zero", "absent", "doubled"]),
  ids: Schema.Literals(["fixed", "fresh"]),
  interleaved: Flag,
  keepalive: Flag,
  shows: Schema.Literals(["all", "nothing", "no reasoning"]),
  status: Schema.Literals(["completed", "incomplete", "failed", "cancelled"])
})
export type MadeUp = typeof MadeUp.Type
type ItemOf = MadeUp["items"][number]

/** The recording of a made-up response. */
export interface Recorded {
  readonly events: ReadonlyArray<Json>
  /** The response as a look shows it in the end. */
  readonly response: Json
  /** The texts that were said, of output and of reasoning. */
  readonly texts: ReadonlyArray<string>
}

const joined = (pieces: ReadonlyArray<string>): string => pieces.join("").toWellFormed()

const citation = (k: number): Json => ({
  type: "url_citation",
  url: `https://example.com/${k}`,
  title: `Source ${k}`,
  start_index: 0,
  end_index: 1
})

const image = Buffer.from("image").toString("base64")

/** The item as it is in the end. */
const finished = ({ what }: ItemOf, i: number, status: string): Json => {
  const id = `item_${i}`
  switch (what._tag) {
    case "Message":
      return {
        type: "message",
        id,
        role: "assistant",
        status,
        content: what.texts.map((pieces) => ({
          type: "output_text",
          text: joined(pieces),
          annotations: what.cited ? [citation(0), citation(1)] : []
        }))
      }
    case "Reasoning":
      return {
        type: "reasoning",
        id,
        status,
        summary: what.texts.map((pieces) => ({ type: "summary_text", text: joined(pieces) }))
      }
    case "Call":
      return {
        type: what.custom ? "custom_tool_call" : "function_call",
        id,
        status,
        call_id: `call_${i}`,
        name: "tool",
        [what.custom ? "input" : "arguments"]: joined(what.input)
      }
    case "Code":
      return {
        type: "code_interpreter_call",
        id,
        status,
        code: joined(what.input),
        container_id: "cntr_1",
        outputs: [{ type: "logs", logs: "x" }]
      }
    case "Image":
      return { type: "image_generation_call", id, status, result: image, output_format: "png" }
    case "Search":
      return { type: "web_search_call", id, status, action: { type: "search", query: "x" } }
  }
}

/** The item as it is announced. */
const announced = (item: ItemOf, i: number): Json => {
  const whole = finished(item, i, "in_progress")
  switch (item.what._tag) {
    case "Message":
      return { ...whole, content: [] }
    case "Reasoning":
      return { ...whole, summary: [] }
    case "Call":
      return { ...whole, [item.what.custom ? "input" : "arguments"]: "" }
    case "Code":
      return { ...whole, code: "", outputs: null }
    case "Image":
      return { ...whole, result: null }
    case "Search":
      return whole
  }
}

interface Said {
  readonly item: number
  readonly event: Json
}

/** The events of one item, without their numbers. */
const eventsOf = (item: ItemOf, i: number, keeps: (what: keyof ItemOf["missing"]) => boolean): ReadonlyArray<Said> => {
  const said: Array<Said> = []
  const say = (type: string, more: Json) => said.push({ item: i, event: { type: `response.${type}`, ...more } })
  const { what } = item
  if (keeps("added")) say("output_item.added", { item: announced(item, i) })
  const texts = "texts" in what ? what.texts : "input" in what ? [what.input] : []
  for (const [k, pieces] of texts.entries()) {
    const text = joined(pieces)
    const at: Json =
      what._tag === "Message" ? { content_index: k } : what._tag === "Reasoning" ? { summary_index: k } : {}
    const name =
      what._tag === "Message"
        ? "output_text"
        : what._tag === "Reasoning"
          ? "reasoning_summary_text"
          : what._tag === "Code"
            ? "code_interpreter_call_code"
            : what._tag === "Call" && what.custom
              ? "custom_tool_call_input"
              : "function_call_arguments"
    const part = what._tag === "Message" ? "content_part" : "reasoning_summary_part"
    const partType = what._tag === "Message" ? "output_text" : "summary_text"
    const hasPart = what._tag === "Message" || what._tag === "Reasoning"
    if (hasPart && keeps("begins")) say(`${part}.added`, { ...at, part: { type: partType, text: "" } })
    const kept = keeps("deltas") ? (keeps("tail") ? pieces : pieces.slice(0, -1)) : []
    for (const delta of kept) say(`${name}.delta`, { ...at, delta })
    if (what._tag === "Message" && what.cited && keeps("deltas")) {
      for (const n of keeps("tail") ? [0, 1] : [0]) {
        say("output_text.annotation.added", { ...at, annotation_index: n, annotation: citation(n) })
      }
    }
    if (keeps("ends")) {
      const field = what._tag === "Code" ? "code" : what._tag !== "Call" ? "text" : what.custom ? "input" : "arguments"
      say(`${name}.done`, { ...at, [field]: text })
      if (hasPart) say(`${part}.done`, { ...at, part: { type: partType, text } })
    }
  }
  if (keeps("done")) say("output_item.done", { item: finished(item, i, "completed") })
  return said
}

const withoutHalves = (item: ItemOf): ItemOf => {
  const { what } = item
  const whole = (pieces: ReadonlyArray<typeof Piece.Type>) =>
    pieces.map((piece) => (piece.isWellFormed() ? piece : "a"))
  return {
    ...item,
    what:
      "texts" in what
        ? { ...what, texts: what.texts.map(whole) }
        : "input" in what
          ? { ...what, input: whole(what.input) }
          : what
  }
}

/** Takes turns between the events of neighbours. */
const woven = (lists: ReadonlyArray<ReadonlyArray<Said>>): ReadonlyArray<Said> => {
  const longest = Math.max(0, ...lists.map(({ length }) => length))
  return Array.from({ length: longest }, (_, k) => lists.flatMap((list) => list.slice(k, k + 1))).flat()
}

/** Makes the recording of a made-up response. */
export const record = (madeUp: MadeUp): Recorded => {
  const { ids, indices, keepalive, shows, status } = madeUp
  // Texts that are matched in their order must hold something to be told by: half a character does not.
  const items = shows === "no reasoning" ? madeUp.items.map(withoutHalves) : madeUp.items
  // Without an index that tells items apart, something else must: that an item is announced, and that one is finished.
  const isTold = indices === "normal"
  const lists = items.map((item, i) =>
    eventsOf(item, i, (what) => !item.missing[what] || (!isTold && (what === "added" || what === "done")))
  )
  const canWeave = shows !== "no reasoning" && (isTold || (indices === "absent" && ids === "fixed"))
  const said = madeUp.interleaved && canWeave ? woven(lists) : lists.flat()
  let fresh = 0
  const named = ({ event, item }: Said): Json => {
    const id = ids === "fresh" ? `fresh_${fresh++}` : `item_${item}`
    const index =
      indices === "normal" ? item : indices === "zero" ? 0 : indices === "doubled" ? Math.floor(item / 2) : undefined
    return {
      ...event,
      ...("item" in event ? { item: { ...(event["item"] as Json), id } } : { item_id: id }),
      ...(index === undefined ? {} : { output_index: index })
    }
  }
  const ending = status === "completed" ? "completed" : "incomplete"
  const shown = items.flatMap((item, i) => (shows === "no reasoning" && item.what._tag === "Reasoning" ? [] : [i]))
  const response: Json = {
    id: "resp_1",
    object: "response",
    status,
    background: true,
    error: status === "failed" ? { code: "server_error", message: "It failed." } : null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    output:
      shows === "nothing" ? [] : shown.map((i) => finished(items[i]!, i, ending === "completed" ? ending : "completed"))
  }
  const head = [
    { type: "response.created", response: { id: "resp_1", status: "queued", background: true } },
    { type: "response.in_progress", response: { id: "resp_1", status: "in_progress", background: true } }
  ]
  const events: ReadonlyArray<Json> = [...head, ...said.map(named), { type: `response.${status}`, response }]
  return {
    // A keepalive takes a number, and is not replayed.
    events: events.map((event, i) => ({ ...event, sequence_number: keepalive && i > 3 ? i + 2 : i })),
    response,
    texts: items.flatMap(({ what }) => ("texts" in what ? what.texts.map(joined) : [])).filter((text) => text !== "")
  }
}
