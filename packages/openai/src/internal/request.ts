import type { BackgroundModel, ModelRequest } from "@effect-baton/core/BackgroundModel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as AiError from "effect/ai/AiError"
import type { ResponseCreateParamsBase } from "openai/resources/responses/responses"
import type { Params } from "../ResponseParams.ts"
import { toInput } from "./prompt.ts"
import { callTypes, toTools } from "./tools.ts"

/** The key in a response's metadata that holds the id of its run. */
const runIdKey = "baton_run_id"

/** The body of a create request: the layer's parameters, overridden by the request's, then by the fields of the run. */
export const build = (
  request: ModelRequest,
  params: Params,
  stream: boolean
): Effect.Effect<ResponseCreateParamsBase, AiError.AiErrorReason> => {
  // The type is open because core knows no provider. The provider refuses fields that it does not know.
  const own = request.options as Params | undefined
  const raw = [...(params.tools ?? []), ...(own?.tools ?? [])]
  const { tools = [] } = request
  const converted = Effect.all([toTools(tools, raw), toInput(request.prompt, callTypes(tools, raw))])
  const conversation = own?.conversation ?? params.conversation
  return Effect.map(converted, ([allTools, input]) => ({
    ...params,
    ...own,
    ...(allTools.length === 0 ? undefined : { tools: allTools }),
    metadata: { ...params.metadata, ...own?.metadata, [runIdKey]: request.runId },
    ...(request.instructions === undefined ? undefined : { instructions: request.instructions }),
    // A conversation already contains the earlier responses, and the API refuses both fields together.
    ...(request.previousResponseId === undefined || conversation != null
      ? undefined
      : { previous_response_id: request.previousResponseId }),
    input,
    background: request.background,
    stream
  }))
}

/**
 * How a request with these options must be opened. A response with a completion window (a lower price, for an answer within
 * hours) cannot be opened as a stream. With `store: false` the API keeps no response that a later one could continue.
 */
export const demands = (
  options: ModelRequest["options"],
  params: Params
): ReturnType<BackgroundModel["Service"]["demands"]> => {
  const merged = { ...params, ...options } as Params
  const kept = merged.store === false ? { stored: false } : {}
  const hours = /^([1-9]\d*)h$/.exec(merged.background_options?.completion_window ?? "")?.[1]
  return hours === undefined
    ? { streamed: true, ...kept }
    : { streamed: false, window: Duration.hours(Number(hours)), ...kept }
}
