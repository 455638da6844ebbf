import type { ModelSnapshot, SnapshotLane } from "@effect-baton/core/BackgroundModel"
import { isOver, RunStatus } from "@effect-baton/core/Run"
import { Result, Schema, SchemaTransformation } from "effect"
import { AiError, type Response } from "effect/ai"
import * as Lanes from "./lanes.ts"
import { reasonOf } from "./reasons.ts"

/** What decoding needs to know to speak of errors. */
export interface Context {
  /** The operation, for the error's `method`. */
  readonly method: string
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string
}

export const module = "OpenAiBackgroundModel"

// Lenient on purpose: fields come and go at the provider. What a lane is made of must be there and of its type; the
// rest may be missing, null, or new.
const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const Text = Schema.String
const Fields = Schema.Record(Schema.String, Schema.Unknown)

// Items and contents of kinds without lanes. A known kind never passes as one of these, whatever it lacks.
const other = (known: RegExp) =>
  Text.check(Schema.makeFilter((type: string) => !known.test(type))).pipe(
    Schema.decodeTo(
      Schema.Literal("other"),
      SchemaTransformation.transform({ decode: () => "other" as const, encode: (): string => "other" })
    )
  )

const Message = Schema.Struct({
  type: Schema.Literal("message"),
  id: maybe(Text),
  status: maybe(Text),
  content: Schema.Array(
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("output_text"), text: Text, annotations: maybe(Schema.Array(Fields)) }),
      Schema.Struct({ type: Schema.Literal("refusal"), refusal: Text }),
      Schema.Struct({ type: other(/^(output_text|refusal)$/) })
    ])
  )
})

const Texts = Schema.Array(Schema.Struct({ text: Text }))
const Reasoning = Schema.Struct({
  type: Schema.Literal("reasoning"),
  id: maybe(Text),
  status: maybe(Text),
  summary: maybe(Texts),
  content: maybe(Texts)
})

const ofCalls = { id: maybe(Text), call_id: Text, name: Text, status: maybe(Text) }
const FunctionCall = Schema.Struct({ type: Schema.Literal("function_call"), arguments: Text, ...ofCalls })
const CustomToolCall = Schema.Struct({ type: Schema.Literal("custom_tool_call"), input: Text, ...ofCalls })

const ImageGenerationCall = Schema.Struct({
  type: Schema.Literal("image_generation_call"),
  id: Text,
  result: maybe(Text),
  output_format: maybe(Text)
})

const Other = Schema.Struct({
  type: other(/^(message|reasoning|function_call|custom_tool_call|image_generation_call)$/)
})

const Item = Schema.Union([Message, Reasoning, FunctionCall, CustomToolCall, ImageGenerationCall, Other])
type Item = typeof Item.Type

const decodeItem = Schema.decodeUnknownResult(Item)

const Snapshot = Schema.Struct({
  id: Text,
  status: RunStatus,
  model: maybe(Text),
  service_tier: maybe(Text),
  output: maybe(Schema.Array(Item)),
  error: maybe(Schema.Struct({ code: maybe(Text), message: maybe(Text), param: maybe(Text), type: maybe(Text) })),
  incomplete_details: maybe(Schema.Struct({ reason: maybe(Text) })),
  usage: maybe(
    Schema.Struct({
      input_tokens: maybe(Schema.Int),
      output_tokens: maybe(Schema.Int),
      input_tokens_details: maybe(
        Schema.Struct({ cached_tokens: maybe(Schema.Int), cache_write_tokens: maybe(Schema.Int) })
      ),
      output_tokens_details: maybe(Schema.Struct({ reasoning_tokens: maybe(Schema.Int) }))
    })
  )
})
type Snapshot = typeof Snapshot.Type

const decodeSnapshot = Schema.decodeUnknownResult(Snapshot)

const callOf = (item: Item): Lanes.Call | undefined => {
  if (item.type !== "function_call" && item.type !== "custom_tool_call") return undefined
  const custom = item.type === "custom_tool_call"
  return {
    itemId: item.id ?? undefined,
    callId: item.call_id,
    name: item.name,
    input: custom ? item.input : item.arguments,
    custom
  }
}

// A model may write parameters that are no JSON. They go on as text: the toolkit refuses them by the tool's schema, which
// the model is told, instead of the run failing here.
const paramsOf = (call: Lanes.Call): unknown => {
  if (call.custom) return call.input
  if (call.input.trim() === "") return {}
  return Result.getOrElse(
    Result.try((): unknown => JSON.parse(call.input)),
    () => call.input
  )
}

/** The parts of a finished item that its `response.output_item.done` delivers. */
const finishedParts = (item: Item, index: number): ReadonlyArray<SnapshotLane> => {
  if (item.type === "image_generation_call") {
    return typeof item.result === "string" && item.result !== ""
      ? [{ item: index, lane: 0, parts: [Lanes.imageFile(item.id, item.output_format, item.result)] }]
      : []
  }
  const call = callOf(item)
  // A limit cut the parameters of an incomplete call short: nobody may carry it out.
  return call === undefined || ("status" in item && item.status === "incomplete")
    ? []
    : [{ item: index, lane: Lanes.callLane, parts: [Lanes.toolCall(call, paramsOf(call))] }]
}

/** The start of a call's parameters, as `response.output_item.added` delivers it. */
export const itemAdded = (raw: unknown, index: number): ReadonlyArray<SnapshotLane> =>
  Result.match(decodeItem(raw), {
    onFailure: () => [],
    onSuccess: (item) => {
      const call = callOf(item)
      return call === undefined ? [] : [{ item: index, lane: 0, parts: Lanes.paramsLane(call, index, true) }]
    }
  })

const sourcesLane = (
  annotations: ReadonlyArray<Lanes.Json> | null | undefined,
  itemId: string | null | undefined,
  item: number,
  lane: number
): ReadonlyArray<SnapshotLane> => {
  const id = Lanes.laneId(itemId, item, lane)
  const parts = (annotations ?? []).flatMap((annotation, index) => Lanes.source(annotation, `${id}:${index}`) ?? [])
  return parts.length === 0 ? [] : [{ item, lane, parts }]
}

const lanesOf = (item: Item, index: number, over: boolean): ReadonlyArray<SnapshotLane> => {
  const open = !over && "status" in item && item.status === "in_progress"
  switch (item.type) {
    case "message":
      return item.content.flatMap((part, lane) => {
        const id = Lanes.laneId(item.id, index, lane)
        if ("refusal" in part) return [{ item: index, lane, parts: Lanes.textLane(id, part.refusal, true, open) }]
        if (!("text" in part)) return []
        return [
          { item: index, lane, parts: Lanes.textLane(id, part.text, false, open) },
          ...sourcesLane(part.annotations, item.id, index, Lanes.second + lane)
        ]
      })
    case "reasoning": {
      const at = (offset: number) => (part: { readonly text: string }, k: number) => ({
        item: index,
        lane: offset + k,
        parts: Lanes.reasoningLane(Lanes.laneId(item.id, index, offset + k), part.text, open)
      })
      return [...(item.summary ?? []).map(at(0)), ...(item.content ?? []).map(at(Lanes.second))]
    }
    case "function_call":
    case "custom_tool_call": {
      const call = callOf(item)
      const params = call === undefined ? [] : [{ item: index, lane: 0, parts: Lanes.paramsLane(call, index, open) }]
      return open ? params : [...params, ...finishedParts(item, index)]
    }
    default:
      return finishedParts(item, index)
  }
}

/** What `response.output_item.done` delivers, and the whole item; nothing where the item cannot be read. */
export const itemDone = (
  raw: unknown,
  index: number
): { readonly rest: ReadonlyArray<SnapshotLane>; readonly whole: ReadonlyArray<SnapshotLane> } =>
  Result.match(decodeItem(raw), {
    onFailure: () => ({ rest: [], whole: [] }),
    onSuccess: (item) => ({ rest: finishedParts(item, index), whole: lanesOf(item, index, true) })
  })

// Absent keys instead of undefined ones: parts are stored as JSON.
const defined = <A extends object>(fields: A): { [K in keyof A]?: Exclude<A[K], undefined | null> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)) as {
    [K in keyof A]?: Exclude<A[K], undefined | null>
  }

const usageOf = (usage: Snapshot["usage"]): Response.FinishPartEncoded["usage"] => {
  const { input_tokens: input, output_tokens: output } = usage ?? {}
  const cached = usage?.input_tokens_details?.cached_tokens
  const reasoning = usage?.output_tokens_details?.reasoning_tokens
  return {
    inputTokens: defined({
      total: input,
      uncached: input == null ? undefined : input - (cached ?? 0),
      cacheRead: cached,
      cacheWrite: usage?.input_tokens_details?.cache_write_tokens
    }),
    outputTokens: defined({
      total: output,
      text: output == null ? undefined : output - (reasoning ?? 0),
      reasoning
    })
  }
}

const incompleteReasons: Readonly<Record<string, Response.FinishReason>> = {
  max_output_tokens: "length",
  content_filter: "content-filter"
}

const finishReason = (snapshot: Snapshot, lanes: ReadonlyArray<SnapshotLane>): Response.FinishReason => {
  if (snapshot.status === "completed") {
    return lanes.some(({ parts }) => parts.some(({ type }) => type === "tool-call")) ? "tool-calls" : "stop"
  }
  if (snapshot.status === "failed") return "error"
  const reason = snapshot.incomplete_details?.reason
  return snapshot.status === "incomplete" && reason == null ? "unknown" : (incompleteReasons[reason ?? ""] ?? "other")
}

const finishOf = (snapshot: Snapshot, lanes: ReadonlyArray<SnapshotLane>): Response.FinishPartEncoded => ({
  type: "finish",
  reason: finishReason(snapshot, lanes),
  usage: usageOf(snapshot.usage),
  metadata: {
    openai: defined({
      responseId: snapshot.id,
      model: snapshot.model,
      serviceTier: snapshot.service_tier,
      incompleteReason: snapshot.incomplete_details?.reason
    })
  }
})

const failureOf = (snapshot: Snapshot, context: Context): AiError.AiError => {
  const { code, message, param, type } = snapshot.error ?? {}
  return AiError.make({
    module,
    method: context.method,
    reason: reasonOf({
      code: code ?? undefined,
      type: type ?? undefined,
      parameter: param ?? undefined,
      message: context.redact(message ?? "The provider ended the response as failed and gave no reason.")
    })
  })
}

/** Decodes a response object. Fails with `InvalidResponseError` where it is none. */
export const decode = (raw: unknown, context: Context): Result.Result<ModelSnapshot, AiError.AiError> =>
  Result.match(decodeSnapshot(raw), {
    onFailure: (error) =>
      Result.fail(
        AiError.make({
          module,
          method: context.method,
          reason: new AiError.InvalidResponseError({ description: context.redact(error.message) })
        })
      ),
    onSuccess: (snapshot) => {
      const over = isOver(snapshot.status)
      const lanes = (snapshot.output ?? []).flatMap((item, index) => lanesOf(item, index, over))
      return Result.succeed({
        responseId: snapshot.id,
        status: snapshot.status,
        lanes,
        ...(over ? { finish: finishOf(snapshot, lanes) } : undefined),
        ...(snapshot.model == null ? undefined : { model: snapshot.model }),
        ...(snapshot.status === "failed" ? { error: failureOf(snapshot, context) } : undefined),
        raw
      })
    }
  })
