/**
 * The elements of `Follow.response`.
 *
 * @since 0.1.0
 */
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import type { AgentUpdate } from "./AgentUpdate.ts"
import type { ModelRequest, ModelSnapshot } from "./BackgroundModel.ts"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { RunStatus } from "./Run.ts"

/**
 * The provider accepted the request and named the response, which is thereby bought. This element comes before the first
 * update, so that you can keep the response's id before you use any of its output.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly responseId: string
  /** The status of the response at that time. */
  readonly status: RunStatus
  /** Whether the response was opened as a stream. */
  readonly streamed: boolean
  /** Whether the response runs in the background; absent if the provider does not say. */
  readonly background?: boolean
}

/**
 * The provider refused the request. Nothing was bought, and the stream ends with this element.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly error: AiError.AiError
}

/**
 * The response has ended. This is the last element, right after the last update.
 *
 * **Details**
 *
 * - `error`: why the response failed.
 * - `snapshot`: the response as the provider showed it at its end; absent if the provider no longer has it (`expired`).
 * - `shows`: whether `snapshot` contains the output that was delivered. Some servers show no output at the end.
 * - `calls`: the tool calls of the response; absent if `snapshot` does not contain them and this stream did not deliver all
 *   of them.
 * - `position`: the position after the last update.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseEnded {
  readonly _tag: "ResponseEnded"
  readonly status: RunStatus
  readonly error?: AiError.AiError
  readonly snapshot?: ModelSnapshot
  readonly shows: boolean
  readonly calls?: ReadonlyArray<Response.ToolCallPartEncoded>
  readonly position: ContinuationToken
}

/**
 * One element of `Follow.response`.
 *
 * @since 0.1.0
 * @category models
 */
export type Followed = Accepted | Refused | AgentUpdate | ResponseEnded

/**
 * The response to follow: a request that opens it, or the id of an existing response.
 *
 * **Details**
 *
 * - `streamed`: whether the response was opened, or must be opened, as a stream. Only such a response can be replayed. By
 *   default a request is opened as a stream unless its options demand otherwise.
 * - `background`: whether the response outlives its connection; true by default.
 * - `acceptedAt`: when the provider accepted the response, in milliseconds since the epoch: the limits of `RunPolicy` count
 *   from then.
 * - `options`: the options that the response was opened with; they may change how long it may take.
 *
 * @since 0.1.0
 * @category models
 */
export type Source =
  | { readonly request: ModelRequest; readonly streamed?: boolean }
  | {
      readonly responseId: string
      readonly streamed: boolean
      readonly background?: boolean
      readonly acceptedAt?: number
      readonly options?: ModelRequest["options"]
    }
