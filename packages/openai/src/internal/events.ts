import type { ModelEvent, ModelPart, SnapshotLane } from "@effect-baton/core/BackgroundModel"
import type { RunStatus } from "@effect-baton/core/Run"
import { Predicate, Result } from "effect"
import type { AiError, Response } from "effect/ai"
import * as Lanes from "./lanes.ts"
import * as Snapshot from "./snapshot.ts"

type Json = Lanes.Json

const none: ReadonlyArray<ModelPart> = []

// Deltas come by the hundred thousand: they are read by plain property reads, and what is not as expected passes raw.
const isIndex = (value: unknown): value is number => typeof value === "number" && value >= 0

const withParts = (raw: Json, parts: ReadonlyArray<ModelPart>): ModelEvent => {
  const sequenceNumber = raw["sequence_number"]
  return typeof sequenceNumber === "number" ? { sequenceNumber, parts, raw } : { parts, raw }
}

const textDelta = (raw: Json): ModelEvent => {
  const { content_index: lane, delta, output_index: item } = raw
  if (typeof delta !== "string" || !isIndex(item) || !isIndex(lane)) return withParts(raw, none)
  const part = { type: "text-delta", id: Lanes.laneId(raw["item_id"], item, lane), delta } as const
  return withParts(raw, [{ item, lane, part }])
}

const reasoningDelta = (raw: Json, index: unknown, offset: number): ModelEvent => {
  const { delta, output_index: item } = raw
  if (typeof delta !== "string" || !isIndex(item) || !isIndex(index)) return withParts(raw, none)
  const lane = offset + index
  const part = { type: "reasoning-delta", id: Lanes.laneId(raw["item_id"], item, lane), delta } as const
  return withParts(raw, [{ item, lane, part }])
}

const paramsDelta = (raw: Json): ModelEvent => {
  const { delta, output_index: item } = raw
  if (typeof delta !== "string" || !isIndex(item)) return withParts(raw, none)
  const part = { type: "tool-params-delta", id: Lanes.callItemId(raw["item_id"], item), delta } as const
  return withParts(raw, [{ item, lane: 0, part }])
}

const inLane = (
  raw: Json,
  index: unknown,
  offset: number,
  parts: (id: string) => ReadonlyArray<Response.StreamPartEncoded>,
  whole?: unknown
): ModelEvent => {
  const item = raw["output_index"]
  if (!isIndex(item) || !isIndex(index)) return withParts(raw, none)
  const lane = offset + index
  const id = Lanes.laneId(raw["item_id"], item, lane)
  return withParts(
    raw,
    parts(id).map((part) => Lanes.place(item, lane, part, whole))
  )
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "")

const contentPart = (raw: Json, done: boolean): ModelEvent => {
  const part = raw["part"]
  const index = raw["content_index"]
  if (!Predicate.isObject(part)) return withParts(raw, none)
  const { refusal, text, type } = part as Json
  switch (type) {
    case "output_text":
    case "refusal": {
      const whole = type === "refusal" ? refusal : text
      return done
        ? inLane(raw, index, 0, (id) => [{ type: "text-end", id }], whole)
        : inLane(raw, index, 0, (id) => Lanes.textLane(id, textOf(whole), type === "refusal", true))
    }
    case "reasoning_text":
      return reasoningPart(raw, index, Lanes.second, text, done)
    default:
      return withParts(raw, none)
  }
}

const reasoningPart = (raw: Json, index: unknown, offset: number, text: unknown, done: boolean): ModelEvent =>
  done
    ? inLane(raw, index, offset, (id) => [{ type: "reasoning-end", id }], text)
    : inLane(raw, index, offset, (id) => Lanes.reasoningLane(id, textOf(text), true))

const summaryPart = (raw: Json, done: boolean): ModelEvent => {
  const part = raw["part"]
  const text = Predicate.isObject(part) ? (part as Json)["text"] : undefined
  return reasoningPart(raw, raw["summary_index"], 0, text, done)
}

const annotation = (raw: Json): ModelEvent => {
  const { annotation: cited, annotation_index: index } = raw
  return inLane(raw, raw["content_index"], Lanes.second, (id) => {
    const source =
      Predicate.isObject(cited) && isIndex(index) ? Lanes.source(cited as Json, `${id}:${index}`) : undefined
    return source === undefined ? [] : [source]
  })
}

const paramsDone = (raw: Json, whole: unknown): ModelEvent => {
  const item = raw["output_index"]
  if (!isIndex(item)) return withParts(raw, none)
  const end = { type: "tool-params-end", id: Lanes.callItemId(raw["item_id"], item) } as const
  return withParts(raw, [Lanes.place(item, 0, end, whole)])
}

const placed = (lanes: ReadonlyArray<SnapshotLane>): ReadonlyArray<ModelPart> =>
  lanes.flatMap(({ item, lane, parts }) => parts.map((part) => Lanes.place(item, lane, part)))

const outputItem = (raw: Json, done: boolean): ModelEvent => {
  const item = raw["output_index"]
  if (!isIndex(item)) return withParts(raw, none)
  if (!done) return withParts(raw, placed(Snapshot.itemAdded(raw["item"], item)))
  const { rest, whole } = Snapshot.itemDone(raw["item"], item)
  return { ...withParts(raw, placed(rest)), closes: item, lanes: whole }
}

const responseStatuses: ReadonlySet<unknown> = new Set<RunStatus>(["queued", "in_progress"])

const underWay = (raw: Json, status: RunStatus): ModelEvent => {
  const response = raw["response"]
  if (!Predicate.isObject(response)) return { ...withParts(raw, none), status }
  const { id, status: said } = response as Json
  // A background response is queued when it is created, others are in progress at once: the response says which.
  return {
    ...withParts(raw, none),
    status: responseStatuses.has(said) ? (said as RunStatus) : status,
    ...(typeof id === "string" ? { responseId: id } : undefined)
  }
}

const over = (raw: Json, status: RunStatus, context: Snapshot.Context): ModelEvent | AiError.AiError => {
  const response = raw["response"]
  // The event's name decides where the response itself does not say how it ended.
  const body = Predicate.isObject(response) && !("status" in response) ? { ...response, status } : response
  return Result.match(Snapshot.decode(body, context), {
    onFailure: (error): ModelEvent | AiError.AiError => error,
    onSuccess: (snapshot) => {
      const ended = snapshot.status === "completed" || snapshot.status === "incomplete"
      return {
        ...withParts(raw, ended && snapshot.finish !== undefined ? [{ part: snapshot.finish }] : none),
        status: snapshot.status,
        responseId: snapshot.responseId,
        terminal: snapshot
      }
    }
  })
}

/** The error in an `error` event: nested in recordings, flat in the SDK's type. */
export const errorOf = (raw: Json): Json => (Predicate.isObject(raw["error"]) ? (raw["error"] as Json) : raw)

// Not an end: `response.failed` follows, or the stream goes on.
const errorEvent = (raw: Json): ModelEvent => {
  const { code, message, param, type } = errorOf(raw)
  const error = { type: type ?? "error", code: code ?? null, message: message ?? null, param: param ?? null }
  return withParts(raw, [{ part: { type: "error", error } }])
}

/**
 * Decodes one event, without regard to the events before it: a resumed stream never sees them. Fails, as a value, only
 * where the response of a terminal event cannot be read.
 */
export const decode = (raw: Json, context: Snapshot.Context): ModelEvent | AiError.AiError => {
  switch (raw["type"]) {
    case "response.output_text.delta":
    case "response.refusal.delta":
      return textDelta(raw)
    case "response.reasoning_summary_text.delta":
      return reasoningDelta(raw, raw["summary_index"], 0)
    case "response.reasoning_text.delta":
      return reasoningDelta(raw, raw["content_index"], Lanes.second)
    case "response.function_call_arguments.delta":
    case "response.custom_tool_call_input.delta":
      return paramsDelta(raw)
    case "response.output_item.added":
      return outputItem(raw, false)
    case "response.output_item.done":
      return outputItem(raw, true)
    // The part's own events, and not `output_text.done` and its like, bound a lane: they come for every kind of content.
    case "response.content_part.added":
      return contentPart(raw, false)
    case "response.content_part.done":
      return contentPart(raw, true)
    case "response.reasoning_summary_part.added":
      return summaryPart(raw, false)
    case "response.reasoning_summary_part.done":
      return summaryPart(raw, true)
    case "response.output_text.annotation.added":
      return annotation(raw)
    case "response.function_call_arguments.done":
      return paramsDone(raw, raw["arguments"])
    case "response.custom_tool_call_input.done":
      return paramsDone(raw, raw["input"])
    case "keepalive":
      return { ...withParts(raw, none), keepalive: true }
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
      return errorEvent(raw)
    case undefined:
      return Predicate.isObject(raw["error"]) ? errorEvent(raw) : withParts(raw, none)
    default:
      return withParts(raw, none)
  }
}
