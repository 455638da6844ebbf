import type { ModelSnapshot } from "@effect-baton/core/BackgroundModel"
import { isOver, type RunStatus } from "@effect-baton/core/Run"
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import { countOf, defined, isMissing, isRecord, type Json, recordOf, textOf, wordOf } from "./fields.ts"
import type { Seen } from "./itemEnd.ts"
import * as Items from "./items.ts"
import { type ProviderError, reasonOf } from "./reasons.ts"
import { waits } from "./waiting.ts"

/** The context that decoding needs for its errors. */
export interface Context {
  /** The operation, for the error's `method`. */
  readonly method: string
  /** Removes secrets from a text. */
  readonly redact: (text: string) => string
}

export const module = "OpenAiBackgroundModel"

const usageOf = (value: unknown): Response.FinishPartEncoded["usage"] => {
  const usage = recordOf(value)
  const input = countOf(usage["input_tokens"])
  const output = countOf(usage["output_tokens"])
  const { cache_write_tokens, cached_tokens } = recordOf(usage["input_tokens_details"])
  const { reasoning_tokens } = recordOf(usage["output_tokens_details"])
  const cached = countOf(cached_tokens)
  const reasoning = countOf(reasoning_tokens)
  return {
    inputTokens: defined({
      total: input,
      uncached: input === undefined ? undefined : countOf(input - (cached ?? 0)),
      cacheRead: cached,
      cacheWrite: countOf(cache_write_tokens)
    }),
    outputTokens: defined({
      total: output,
      text: output === undefined ? undefined : countOf(output - (reasoning ?? 0)),
      reasoning
    })
  }
}

const incompleteReasons: Readonly<Record<string, Response.FinishReason>> = {
  max_output_tokens: "length",
  content_filter: "content-filter"
}

const incompleteReason = (response: Json): string | undefined =>
  wordOf(recordOf(response["incomplete_details"])["reason"])

const finishReason = (response: Json, status: RunStatus, output: ReadonlyArray<unknown>): Response.FinishReason => {
  if (status === "completed") return waits(output) ? "tool-calls" : "stop"
  if (status === "failed") return "error"
  if (status !== "incomplete") return "other"
  const reason = incompleteReason(response)
  if (reason === undefined) return "unknown"
  return Object.hasOwn(incompleteReasons, reason) ? (incompleteReasons[reason] ?? "other") : "other"
}

const finishOf = (response: Json, status: RunStatus, output: ReadonlyArray<unknown>): Response.FinishPartEncoded => ({
  type: "finish",
  reason: finishReason(response, status, output),
  usage: usageOf(response["usage"]),
  metadata: {
    openai: defined({
      responseId: textOf(response["id"]),
      model: textOf(response["model"]),
      serviceTier: textOf(response["service_tier"]),
      incompleteReason: incompleteReason(response)
    })
  }
})

/** The content of an error object, or of a plain text. Secrets are removed. */
export const errorOf = (error: unknown, otherwise: string, redact: Context["redact"]): ProviderError => {
  const word = (value: unknown): string | undefined => {
    const text = wordOf(value)
    return text === undefined || text === "" ? undefined : redact(text)
  }
  const { code, message, param, type } = recordOf(error)
  return {
    code: word(code),
    type: word(type),
    parameter: word(param),
    message: word(isRecord(error) ? message : error) ?? otherwise
  }
}

const failureOf = (response: Json, { method, redact }: Context): AiError.AiError => {
  const said = errorOf(response["error"], "The provider ended the response as failed and gave no reason.", redact)
  return AiError.make({ module, method, reason: reasonOf(said) })
}

const statuses: ReadonlySet<unknown> = new Set([
  "queued",
  "in_progress",
  "completed",
  "incomplete",
  "failed",
  "cancelled"
])

const isStatus = (status: unknown): status is RunStatus => statuses.has(status)

// If the status is missing or unknown, the other fields tell where the response stands.
const evident = (response: Json): RunStatus => {
  if (response["status"] === "canceled") return "cancelled"
  if (!isMissing(response["error"])) return "failed"
  if (incompleteReason(response) !== undefined) return "incomplete"
  return isMissing(response["completed_at"]) && isMissing(response["usage"]) ? "in_progress" : "completed"
}

const seenAs = (status: RunStatus): Seen => {
  if (!isOver(status)) return "under way"
  return status === "completed" ? "over" : "cut short"
}

const build = (response: Json, status: RunStatus, context: Context): ModelSnapshot => {
  const { background, id, model, output: shown } = response
  const output: ReadonlyArray<unknown> = Array.isArray(shown) ? shown : []
  const seen = seenAs(status)
  return {
    responseId: textOf(id) ?? "",
    status,
    items: output.map((item) => Items.shown(item, seen)),
    ...(isOver(status) ? { finish: finishOf(response, status, output) } : undefined),
    ...(typeof model === "string" ? { model } : undefined),
    ...(typeof background === "boolean" ? { background } : undefined),
    ...(status === "failed" ? { error: failureOf(response, context) } : undefined),
    raw: response
  }
}

/** The response of a terminal event. It is over in any case: if its own status does not say how, the event's name does. */
export const terminal = (raw: unknown, named: RunStatus, context: Context): ModelSnapshot => {
  const response = recordOf(raw)
  const { status } = response
  const own = status === "canceled" ? "cancelled" : status
  return build(response, isStatus(own) && isOver(own) ? own : named, context)
}

/**
 * Decodes a response object, as far as it can be read. Fails with `InvalidResponseError` if the value is not a response
 * object, so that the answer of some other server is not mistaken for a response that is under way.
 */
export const decode = (raw: unknown, context: Context): Result.Result<ModelSnapshot, AiError.AiError> => {
  const response = recordOf(raw)
  const { error, id, output, status } = response
  if (typeof id === "string" || !isMissing(status) || Array.isArray(output)) {
    return Result.succeed(build(response, isStatus(status) ? status : evident(response), context))
  }
  const { message } = errorOf(error, "it has no id, no status and no output", context.redact)
  const reason = new AiError.InvalidResponseError({ description: `The answer is not a response object: ${message}` })
  return Result.fail(AiError.make({ module, method: context.method, reason }))
}
