/**
 * The fields of a create request that you can set.
 *
 * @since 0.1.0
 */
import type { ResponseCreateParamsBase } from "openai/resources/responses/responses"

/** The fields that the run sets. */
type Owned = "background" | "input" | "instructions" | "previous_response_id" | "stream"

/**
 * The fields of a create request that you can set, with the names and types of the official SDK.
 *
 * **Details**
 *
 * The run sets the others: `background`, `input`, `instructions`, `previous_response_id` and `stream`. It adds its id to
 * `metadata` as `baton_run_id`. With `conversation` it sends no `previous_response_id`: the API refuses both together.
 *
 * **Example** (Options for one agent)
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
