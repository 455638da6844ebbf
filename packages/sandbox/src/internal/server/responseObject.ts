import type { ScriptEnd } from "../../ResponseScript.ts"
import type { CreateRequest } from "./createRequest.ts"
import { isJson } from "./json.ts"

export type Status = "queued" | "in_progress" | ScriptEnd["status"]

export const isFinal = (status: string): boolean => status !== "queued" && status !== "in_progress"

interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
}

/** The fields of a response that change while it runs. */
export interface Progress {
  readonly status: Status
  readonly completedAt: number | null
  readonly output: ReadonlyArray<unknown>
  readonly end: ScriptEnd | undefined
  readonly usage: Usage | undefined
}

// A tool is shown with the fields that its request left out, and without secrets.
const repeatedTool = (tool: unknown): unknown => {
  if (!isJson(tool)) return tool
  const { authorization: _, ...shown } = tool
  switch (tool["type"]) {
    case "function":
      return { description: null, parameters: null, strict: true, ...shown }
    case "custom":
      return { format: { type: "text" }, ...shown }
    case "web_search":
    case "web_search_2025_08_26":
      return { filters: null, search_context_size: "medium", user_location: null, ...shown }
    case "web_search_preview":
    case "web_search_preview_2025_03_11":
      return { search_context_size: "medium", user_location: null, ...shown }
    case "mcp":
      return { allowed_tools: null, require_approval: "always", ...shown, headers: null }
    default:
      return shown
  }
}

/** The fields of a response object that do not change, with the API's defaults. */
export const responseBase = (
  id: string,
  createdAtMillis: number,
  request: CreateRequest
): { readonly [key: string]: unknown } => {
  const { body } = request
  return {
    id,
    object: "response",
    created_at: Math.floor(createdAtMillis / 1000),
    status: "in_progress",
    background: request.background,
    completed_at: null,
    error: null,
    frequency_penalty: 0,
    incomplete_details: null,
    instructions: body["instructions"] ?? null,
    max_output_tokens: body["max_output_tokens"] ?? null,
    max_tool_calls: body["max_tool_calls"] ?? null,
    model: request.model,
    moderation: null,
    output: [],
    parallel_tool_calls: body["parallel_tool_calls"] ?? true,
    presence_penalty: 0,
    previous_response_id: body["previous_response_id"] ?? null,
    prompt_cache_key: body["prompt_cache_key"] ?? null,
    prompt_cache_retention: body["prompt_cache_retention"] ?? null,
    reasoning: body["reasoning"] ?? { effort: null, summary: null },
    safety_identifier: body["safety_identifier"] ?? null,
    service_tier: body["service_tier"] ?? "auto",
    store: request.store,
    temperature: body["temperature"] ?? 1,
    text: body["text"] ?? { format: { type: "text" }, verbosity: "medium" },
    tool_choice: body["tool_choice"] ?? "auto",
    tools: Array.isArray(body["tools"]) ? body["tools"].map(repeatedTool) : [],
    top_logprobs: body["top_logprobs"] ?? 0,
    top_p: body["top_p"] ?? 1,
    truncation: body["truncation"] ?? "disabled",
    usage: null,
    user: body["user"] ?? null,
    metadata: request.metadata,
    ...(request.conversation === undefined ? {} : { conversation: { id: request.conversation } })
  }
}

/** The response object at one moment. */
export const responseAt = (
  base: { readonly [key: string]: unknown },
  progress: Progress
): { readonly [key: string]: unknown } => ({
  ...base,
  status: progress.status,
  completed_at: progress.status === "completed" ? progress.completedAt : null,
  error:
    progress.status === "failed" && progress.end?.status === "failed"
      ? { code: progress.end.code, message: progress.end.message }
      : null,
  incomplete_details:
    progress.status === "incomplete" && progress.end?.status === "incomplete" ? { reason: progress.end.reason } : null,
  output: progress.output,
  service_tier: isFinal(progress.status) && base["service_tier"] === "auto" ? "default" : base["service_tier"],
  usage:
    progress.usage === undefined
      ? null
      : {
          input_tokens: progress.usage.inputTokens,
          input_tokens_details: { cache_write_tokens: 0, cached_tokens: 0 },
          output_tokens: progress.usage.outputTokens,
          output_tokens_details: { reasoning_tokens: progress.usage.reasoningTokens },
          total_tokens: progress.usage.inputTokens + progress.usage.outputTokens
        }
})
