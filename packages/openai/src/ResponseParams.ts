/**
 * The fields of a request for a response that are free to choose.
 *
 * @since 0.1.0
 */
import type { ResponseCreateParamsBase } from "openai/resources/responses/responses"

/** The fields that a run decides. */
type Owned = "background" | "input" | "instructions" | "previous_response_id" | "stream"

/**
 * The fields of a create request that are free to choose, by the names and types of the official SDK.
 *
 * **Details**
 *
 * The run decides the others: `background`, `input`, `instructions`, `previous_response_id` and `stream`. Metadata gets
 * the run's id under `baton_run_id`. With `conversation`, the response before is not named: the API refuses both.
 *
 * **Example** (Options of one agent)
 *
 * ```ts
 * import type { OpenAiBackgroundModel } from "@effect-baton/openai"
 *
 * export const options = { service_tier: "flex", tools: [{ type: "web_search" }] } satisfies OpenAiBackgroundModel.Params
 * ```
 *
 * @see https://platform.openai.com/docs/api-reference/responses/create
 * @since 0.1.0
 * @category models
 */
export type Params = Omit<ResponseCreateParamsBase, Owned>
