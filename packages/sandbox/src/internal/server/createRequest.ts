import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { ModelInput } from "../../ResponseScript.ts"
import { type ApiError, badRequest, invalidType, missingParameter, notFound } from "./apiError.ts"
import { contentText } from "./contentText.ts"
import { isJson, type Json, kindOf } from "./json.ts"
import type { Included } from "./outputItem.ts"
import { checkItems } from "./tools/checkItems.ts"
import { parseIncluded } from "./tools/included.ts"
import type { ToolSettings } from "./tools/offeredTool.ts"
import { parseSettings } from "./tools/parseSettings.ts"

/** The checked body of `POST /responses`. `body` keeps every field, for the response object. */
export interface CreateRequest {
  readonly body: Json
  readonly model: string
  readonly items: ReadonlyArray<Json>
  readonly instructions: string
  readonly tools: ToolSettings
  readonly included: Included
  readonly metadata: { readonly [key: string]: string }
  readonly background: boolean
  readonly stream: boolean
  readonly store: boolean
  readonly obfuscate: boolean
  readonly previousResponseId: string | undefined
  readonly conversation: string | undefined
  readonly maxOutputTokens: number | undefined
}

const isMetadata = (value: unknown): value is { readonly [key: string]: string } =>
  Predicate.isObject(value) && !Array.isArray(value) && Object.values(value).every(Predicate.isString)

const checks: ReadonlyArray<readonly [field: string, check: (value: unknown) => boolean, expected: string]> = [
  ["model", Predicate.isString, "a string"],
  ["input", Predicate.or(Predicate.isString, Array.isArray), "one of a string or array of input items"],
  ["stream", Predicate.isBoolean, "a boolean"],
  ["background", Predicate.isBoolean, "a boolean"],
  ["store", Predicate.isBoolean, "a boolean"],
  ["instructions", Predicate.or(Predicate.isString, Array.isArray), "a string"],
  ["metadata", isMetadata, "an object with string values"],
  ["previous_response_id", Predicate.isString, "a string"],
  ["conversation", Predicate.or(Predicate.isString, Predicate.isObject), "one of a string or object"],
  ["max_output_tokens", Predicate.isNumber, "an integer"],
  ["parallel_tool_calls", Predicate.isBoolean, "a boolean"],
  ["max_tool_calls", Predicate.isNumber, "an integer"],
  ["temperature", Predicate.isNumber, "a number"],
  ["top_p", Predicate.isNumber, "a number"]
]

const field = <A>(value: unknown, refine: (value: unknown) => value is A): A | undefined =>
  refine(value) ? value : undefined

/** An input item as a model sees it, if it sees it. */
export const toInput = (item: Json): ReadonlyArray<ModelInput> => {
  switch (item["type"]) {
    case "function_call_output":
    case "custom_tool_call_output":
      return [{ type: item["type"], callId: String(item["call_id"]), output: contentText(item["output"]) }]
    case "mcp_approval_response":
      return [
        {
          type: "mcp_approval_response",
          requestId: String(item["approval_request_id"]),
          approve: item["approve"] === true
        }
      ]
    default:
      return Predicate.isString(item["role"])
        ? [{ type: "message", role: item["role"], text: contentText(item["content"]) }]
        : []
  }
}

/** Checks the body of a request as the API does, and picks the fields that the sandbox uses. */
export const parseCreate = Effect.fnUntraced(function* (
  json: unknown,
  deployment: string | undefined
): Effect.fn.Return<CreateRequest, ApiError> {
  if (!isJson(json)) {
    return yield* badRequest(`Invalid type for request body: expected an object, but got ${kindOf(json)} instead.`)
  }
  const body = json
  for (const [name, check, expected] of checks) {
    const value = body[name]
    if (value !== undefined && value !== null && !check(value)) {
      return yield* invalidType(name, expected, value)
    }
  }
  const model = field(body["model"], Predicate.isString) ?? deployment ?? ""
  if (model === "") return yield* missingParameter("model")
  if (model.startsWith("unknown")) {
    return yield* notFound(`The model '${model}' does not exist or you do not have access to it.`, "model_not_found")
  }
  const rawInput = body["input"]
  const rawItems: ReadonlyArray<unknown> = Predicate.isString(rawInput)
    ? rawInput === ""
      ? []
      : [{ role: "user", content: rawInput }]
    : Array.isArray(rawInput)
      ? rawInput
      : []
  if (rawItems.length === 0) return yield* missingParameter("input")
  // A recording says itself what was accepted.
  const recorded = model.startsWith("transcript:")
  const items = recorded ? rawItems.filter(isJson) : yield* checkItems(rawItems)
  const previousResponseId = field(body["previous_response_id"], Predicate.isString)
  const rawConversation = body["conversation"]
  const conversation = Predicate.isString(rawConversation)
    ? rawConversation
    : Predicate.isObject(rawConversation)
      ? field((rawConversation as { readonly id?: unknown }).id, Predicate.isString)
      : undefined
  if (previousResponseId !== undefined && conversation !== undefined) {
    return yield* badRequest(
      "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'previous_response_id' or 'conversation'.",
      "mutually_exclusive_parameters"
    )
  }
  const streamOptions = body["stream_options"]
  return {
    body,
    model,
    items,
    instructions: field(body["instructions"], Predicate.isString) ?? "",
    tools: yield* parseSettings(recorded ? {} : body, model),
    included: yield* parseIncluded(recorded ? undefined : body["include"]),
    metadata: field(body["metadata"], isMetadata) ?? {},
    background: body["background"] === true,
    stream: body["stream"] === true,
    store: body["store"] !== false,
    obfuscate: !(
      Predicate.isObject(streamOptions) &&
      (streamOptions as { readonly include_obfuscation?: unknown }).include_obfuscation === false
    ),
    previousResponseId,
    conversation,
    maxOutputTokens: field(body["max_output_tokens"], Predicate.isNumber)
  }
})

// Fields that a listed part always has, although its request may leave them out.
const listedPart = (part: unknown): unknown =>
  Predicate.hasProperty(part, "type") && part.type === "output_text"
    ? { annotations: [], logprobs: [], ...part }
    : Predicate.hasProperty(part, "type") && part.type === "input_image"
      ? { detail: "auto", ...part }
      : part

const contentParts = (role: string, content: unknown): unknown =>
  Predicate.isString(content)
    ? [listedPart({ type: role === "assistant" ? "output_text" : "input_text", text: content })]
    : Array.isArray(content)
      ? content.map(listedPart)
      : content

/** The items of a request, in the form of `GET …/input_items`. */
export const listedItems = (
  responseId: string,
  items: CreateRequest["items"]
): ReadonlyArray<{ readonly [key: string]: unknown }> =>
  items.map((item, index) => {
    const id = item["id"] ?? `${Predicate.isString(item["role"]) ? "msg" : "item"}_${responseId.slice(5)}${index}`
    return Predicate.isString(item["role"])
      ? {
          id,
          type: "message",
          status: "completed",
          content: contentParts(item["role"], item["content"]),
          role: item["role"]
        }
      : { id, status: "completed", ...item }
  })
