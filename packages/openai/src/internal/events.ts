import type { Metadata, ModelEvent, Statement, TextLane } from "@effect-baton/core/BackgroundModel"
import type { RunStatus } from "@effect-baton/core/Run"
import * as AiError from "effect/ai/AiError"
import { defined, isMissing, isRecord, type Json, recordOf, textOf } from "./fields.ts"
import * as Items from "./items.ts"
import * as Lanes from "./lanes.ts"
import { reasonOf } from "./reasons.ts"
import * as Snapshot from "./snapshot.ts"

const none: ReadonlyArray<Statement> = []

const withStatements = (raw: Json, statements: ReadonlyArray<Statement>): ModelEvent => {
  const sequenceNumber = raw["sequence_number"]
  // A number that is not a safe integer could not be stored, nor sent as `starting_after`.
  return typeof sequenceNumber === "number" && Number.isSafeInteger(sequenceNumber) && sequenceNumber >= 0
    ? { sequenceNumber, statements, raw }
    : { statements, raw }
}

// The lane of an index inside the item. A missing index means the first; an index that a position cannot hold has no lane.
const laneAt = (index: unknown, offset: number): number | undefined =>
  Lanes.isInnerIndex(index) ? offset + index : isMissing(index) ? offset : undefined

// A run can have hundreds of thousands of deltas: they are read property by property, and an unexpected one stays raw.
const delta = (raw: Json, kind: TextLane["kind"], lane: number | undefined): ModelEvent => {
  const { delta: text, output_index: at } = raw
  if (typeof text !== "string" || lane === undefined) return withStatements(raw, none)
  const index = Lanes.isItemIndex(at) ? at : undefined
  const itemId = index === undefined ? textOf(raw["item_id"]) : undefined
  return withStatements(raw, [{ _tag: "Delta", index, itemId, lane, kind, delta: text }])
}

// The item's id is used only if there is no index: some servers change ids within a response.
const itemOf = (raw: Json) => {
  const at = raw["output_index"]
  return Lanes.isItemIndex(at)
    ? { index: at, itemId: undefined }
    : { index: undefined, itemId: textOf(raw["item_id"]) ?? textOf(recordOf(raw["item"])["id"]) }
}

const started = (
  raw: Json,
  kind: TextLane["kind"],
  lane: number | undefined,
  text: unknown,
  metadata: Metadata
): ModelEvent =>
  lane === undefined
    ? withStatements(raw, none)
    : withStatements(raw, [
        { _tag: "LaneStarted", ...itemOf(raw), lane: { lane, kind, text: textOf(text) ?? "", metadata } }
      ])

const laneEnded = (raw: Json, kind: TextLane["kind"], lane: number, text: unknown, metadata: Metadata): Statement => ({
  _tag: "LaneEnded",
  ...itemOf(raw),
  lane,
  kind,
  ...(typeof text === "string" ? { text } : undefined),
  metadata
})

const textEnded = (raw: Json, text: unknown, refusal: boolean): ModelEvent => {
  const lane = laneAt(raw["content_index"], 0)
  if (lane === undefined) return withStatements(raw, none)
  return withStatements(raw, [
    laneEnded(raw, "text", lane, text, Lanes.textMetadata(raw["item_id"], undefined, refusal))
  ])
}

const reasoningEnded = (raw: Json, text: unknown, lane: number | undefined): ModelEvent =>
  lane === undefined
    ? withStatements(raw, none)
    : withStatements(raw, [laneEnded(raw, "reasoning", lane, text, Lanes.reasoningMetadata(raw["item_id"], lane))])

const reasoningStarted = (raw: Json, text: unknown, lane: number | undefined): ModelEvent =>
  started(raw, "reasoning", lane, text, Lanes.reasoningMetadata(raw["item_id"], lane ?? 0))

// Citations without an event of their own may be listed in the event that ends their text.
const cited = (raw: Json, annotations: unknown): ReadonlyArray<Statement> => {
  const lane = laneAt(raw["content_index"], Lanes.second)
  if (!Array.isArray(annotations) || annotations.length === 0 || lane === undefined) return none
  const sources = { lane, kind: "sources", from: 0, sources: annotations.map(Lanes.source) } as const
  return [{ _tag: "PartAdded", ...itemOf(raw), lane: sources }]
}

const contentPart = (raw: Json, done: boolean): ModelEvent => {
  const part = recordOf(raw["part"])
  const index = raw["content_index"]
  const { refusal, text, type } = part
  switch (type) {
    case "output_text":
    case "refusal": {
      const refused = type === "refusal"
      const whole = refused ? refusal : text
      if (!done) {
        const metadata = Lanes.textMetadata(raw["item_id"], undefined, refused)
        return started(raw, "text", laneAt(index, 0), whole, metadata)
      }
      const event = textEnded(raw, whole, refused)
      return { ...event, statements: [...cited(raw, part["annotations"]), ...event.statements] }
    }
    case "reasoning_text": {
      const lane = laneAt(index, Lanes.second)
      return done ? reasoningEnded(raw, text, lane) : reasoningStarted(raw, text, lane)
    }
    default:
      return withStatements(raw, none)
  }
}

const annotation = (raw: Json): ModelEvent => {
  const { annotation: citation, annotation_index: index, content_index } = raw
  const lane = laneAt(content_index, Lanes.second)
  if (lane === undefined || (!isMissing(index) && !Lanes.isInnerIndex(index))) return withStatements(raw, none)
  const from = isMissing(index) ? undefined : { from: index }
  const sources = { lane, kind: "sources", ...from, sources: [Lanes.source(citation)] } as const
  return withStatements(raw, [{ _tag: "PartAdded", ...itemOf(raw), lane: sources }])
}

const paramsEnded = (raw: Json, text: unknown): ModelEvent =>
  withStatements(raw, [laneEnded(raw, "params", 0, text, Lanes.metadata({ itemId: textOf(raw["item_id"]) }))])

// No snapshot has an image that is not finished. A consumer that shows it replaces it with the next one, and with the file.
const partialImage = (raw: Json): ModelEvent => {
  const { background, item_id, output_format, partial_image_b64, partial_image_index, quality, size } = raw
  if (typeof item_id !== "string" || typeof partial_image_b64 !== "string") return withStatements(raw, none)
  const part = {
    type: "tool-result",
    id: item_id,
    name: "image_generation",
    result: defined({ partial_image_b64, partial_image_index, background, output_format, quality, size }),
    isFailure: false,
    providerExecuted: true,
    preliminary: true,
    metadata: Lanes.metadata({ itemId: item_id })
  } as const
  return withStatements(raw, [{ _tag: "Preliminary", ...itemOf(raw), part }])
}

const itemDone = (raw: Json): ModelEvent => {
  const lanes = Items.finished(raw["item"])
  const item = itemOf(raw)
  return withStatements(raw, [
    lanes === undefined ? { _tag: "ItemDone", ...item } : { _tag: "ItemDone", ...item, lanes }
  ])
}

const underWay = (raw: Json, status: RunStatus): ModelEvent => {
  const { background, id, status: said } = recordOf(raw["response"])
  return {
    ...withStatements(raw, none),
    // A background response is queued when it is created, any other is in progress at once: the response's status says.
    status: said === "queued" || said === "in_progress" ? said : status,
    ...(typeof id === "string" && id !== "" ? { responseId: id } : undefined),
    ...(typeof background === "boolean" ? { background } : undefined)
  }
}

const over = (raw: Json, named: RunStatus, context: Snapshot.Context): ModelEvent => {
  const terminal = Snapshot.terminal(raw["response"], named, context)
  const { background, responseId, status } = terminal
  return {
    ...withStatements(raw, none),
    status,
    ...(responseId === "" ? undefined : { responseId }),
    ...(background === undefined ? undefined : { background }),
    terminal
  }
}

/** The content of an `error` event: nested in recordings, flat in the SDK's type, a plain text from some servers. */
export const saidIn = (raw: Json, redact: Snapshot.Context["redact"]) => {
  const error = raw["error"]
  // The `type` of a flat error is the type of the event.
  const flat = { ...raw, type: undefined }
  const said = isRecord(error) || (typeof error === "string" && error !== "") ? error : flat
  return Snapshot.errorOf(said, "The provider reported an error and gave no reason.", redact)
}

// An `error` event does not end the response: `response.failed` follows, or the stream continues.
const errorEvent = (raw: Json, { method, redact }: Snapshot.Context): ModelEvent => ({
  ...withStatements(raw, none),
  error: AiError.make({ module: Snapshot.module, method, reason: reasonOf(saidIn(raw, redact)) })
})

/** Decodes one event without the events before it: a resumed stream never sees them. */
export const decode = (raw: Json, context: Snapshot.Context): ModelEvent => {
  switch (raw["type"]) {
    case "response.output_text.delta":
    case "response.refusal.delta":
      return delta(raw, "text", laneAt(raw["content_index"], 0))
    case "response.reasoning_summary_text.delta":
      return delta(raw, "reasoning", laneAt(raw["summary_index"], 0))
    case "response.reasoning_text.delta":
      return delta(raw, "reasoning", laneAt(raw["content_index"], Lanes.second))
    case "response.function_call_arguments.delta":
    case "response.custom_tool_call_input.delta":
    case "response.mcp_call_arguments.delta":
    case "response.code_interpreter_call_code.delta":
      return delta(raw, "params", 0)
    case "response.output_item.added":
      return withStatements(raw, [{ _tag: "ItemAdded", ...itemOf(raw), lanes: Items.added(raw["item"]) }])
    case "response.output_item.done":
      return itemDone(raw)
    case "response.content_part.added":
      return contentPart(raw, false)
    case "response.content_part.done":
      return contentPart(raw, true)
    case "response.output_text.done":
      return textEnded(raw, raw["text"], false)
    case "response.refusal.done":
      return textEnded(raw, raw["refusal"], true)
    case "response.reasoning_summary_part.added":
      return reasoningStarted(raw, recordOf(raw["part"])["text"], laneAt(raw["summary_index"], 0))
    case "response.reasoning_summary_part.done":
      return reasoningEnded(raw, recordOf(raw["part"])["text"], laneAt(raw["summary_index"], 0))
    case "response.reasoning_summary_text.done":
      return reasoningEnded(raw, raw["text"], laneAt(raw["summary_index"], 0))
    case "response.reasoning_text.done":
      return reasoningEnded(raw, raw["text"], laneAt(raw["content_index"], Lanes.second))
    case "response.output_text.annotation.added":
      return annotation(raw)
    case "response.function_call_arguments.done":
    case "response.mcp_call_arguments.done":
      return paramsEnded(raw, raw["arguments"])
    case "response.custom_tool_call_input.done":
      return paramsEnded(raw, raw["input"])
    case "response.code_interpreter_call_code.done":
      return paramsEnded(raw, raw["code"])
    case "response.image_generation_call.partial_image":
      return partialImage(raw)
    case "keepalive":
      return { ...withStatements(raw, none), keepalive: true }
    case "response.created":
    case "response.queued":
      return underWay(raw, "queued")
    case "response.in_progress":
      return underWay(raw, "in_progress")
    case "response.completed":
      return over(raw, "completed", context)
    case "response.incomplete":
      return over(raw, "incomplete", context)
    case "response.failed":
      return over(raw, "failed", context)
    case "response.cancelled":
      return over(raw, "cancelled", context)
    case "error":
      return errorEvent(raw, context)
    case undefined:
      return isMissing(raw["error"]) ? withStatements(raw, none) : errorEvent(raw, context)
    default:
      return withStatements(raw, none)
  }
}
