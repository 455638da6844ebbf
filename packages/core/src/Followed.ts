/**
 * The elements of a response that is followed: see `Follow.response`.
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
 * The provider accepted the request, and named the response: it is bought. It comes alone, before the first update, so
 * that its name can be kept before anything of it is used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly responseId: string
  /** Where it stood then. */
  readonly status: RunStatus
  /** Whether it was opened as a stream. */
  readonly streamed: boolean
  /** Whether it runs in the background, if the provider told. */
  readonly background?: boolean
}

/**
 * The provider refused the request: nothing was bought, and the stream ends with this.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly error: AiError.AiError
}

/**
 * The response is over. It comes last, right after its last update.
 *
 * **Details**
 *
 * - `error`: why a response failed.
 * - `snapshot`: the response as its end showed it; none if the provider does not have it any more (`expired`).
 * - `shows`: whether that shows the output that was delivered. Some servers show none at the end.
 * - `calls`: the tool calls of the response; absent if its end does not show them and this stream did not deliver them all.
 * - `position`: where the response ended.
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
 * One element of a response that is followed.
 *
 * @since 0.1.0
 * @category models
 */
export type Followed = Accepted | Refused | AgentUpdate | ResponseEnded

/**
 * The response to follow: one that a request opens, or one that is there.
 *
 * **Details**
 *
 * - `streamed`: whether the response is, or is to be, opened as a stream. Only such a one can be replayed. A request is
 *   opened as a stream unless its options demand otherwise.
 * - `background`: whether the response outlives its connection; true by default.
 * - `acceptedAt`: when it was accepted, in milliseconds since 1970: the policy's limits count from then.
 * - `options`: the options it was opened with, if they change how long it may take.
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
