import type { ModelRequest } from "@effect-baton/core/BackgroundModel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as AiError from "effect/ai/AiError"
import type { ResponseCreateParamsBase } from "openai/resources/responses/responses"
import type { Params } from "../ResponseParams.ts"
import { toInput } from "./prompt.ts"

/** The key in a response's metadata that names the run it was made for. */
const runIdKey = "baton_run_id"

/** The body of a create request: the layer's parameters, over them the request's, over them what the run decides. */
export const build = (
  request: ModelRequest,
  params: Params,
  stream: boolean
): Effect.Effect<ResponseCreateParamsBase, AiError.AiErrorReason> => {
  // Open by its type, because core knows no provider: the provider refuses what it does not know.
  const own = request.options as Params | undefined
  const tools = [...(params.tools ?? []), ...(own?.tools ?? [])]
  const conversation = own?.conversation ?? params.conversation
  return Effect.map(toInput(request.prompt), (input) => ({
    ...params,
    ...own,
    ...(tools.length === 0 ? undefined : { tools }),
    metadata: { ...params.metadata, ...own?.metadata, [runIdKey]: request.runId },
    ...(request.instructions === undefined ? undefined : { instructions: request.instructions }),
    // A conversation knows what came before, and the API refuses both.
    ...(request.previousResponseId === undefined || conversation != null
      ? undefined
      : { previous_response_id: request.previousResponseId }),
    input,
    background: request.background,
    stream
  }))
}

/**
 * What a request with these options demands. A response that may take hours, at a lower price, cannot be opened as a
 * stream.
 */
export const demands = (
  options: ModelRequest["options"],
  params: Params
): { readonly streamed: boolean; readonly window?: Duration.Duration } => {
  const merged = { ...params, ...options } as Params
  const hours = /^([1-9]\d*)h$/.exec(merged.background_options?.completion_window ?? "")?.[1]
  return hours === undefined ? { streamed: true } : { streamed: false, window: Duration.hours(Number(hours)) }
}
