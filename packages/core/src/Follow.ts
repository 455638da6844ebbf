/**
 * Streams of one response of a provider, to its true end and without a store.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AgentError } from "./AgentError.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import { type ContinuationToken, start, TokenCodec } from "./ContinuationToken.ts"
import type { Followed, Source } from "./Followed.ts"
import { makePull } from "./internal/follow/makePull.ts"
import { plainCodec } from "./internal/token/minted.ts"
import { Signal } from "./internal/primitives/signal.ts"
import * as Telemetry from "./internal/telemetry/telemetry.ts"
import { typedModel } from "./internal/ports/typedModel.ts"
import { RunPolicy } from "./RunPolicy.ts"

/**
 * Follows a response of a provider to its end. The stream opens the response or attaches to it, attaches again if the
 * connection ends before the response does, and polls if the provider does not replay the response.
 *
 * **When to use**
 *
 * Use it if you keep positions yourself, or not at all: in an `Activity` of `effect/workflow`, in a viewer, or in a test.
 * `Agent.stream` keeps them for you.
 *
 * **Details**
 *
 * If a request opens the response, the first element is `Accepted` or `Refused`. Then come updates, and last
 * `ResponseEnded`, also for a response that failed or was cancelled: the stream itself does not fail then. Each update but
 * the last carries the position right after it; give that position as `from` to continue there.
 *
 * Keep the id in `Accepted` before you use the updates: without it, nobody can find the bought response again.
 *
 * Fails with `AgentError`. Its reason is `Unconfirmed` if it is not known whether the provider accepted the request,
 * `RunDiverged` if the provider contradicts the delivered updates, `RunStalled` at a limit of `RunPolicy`,
 * `BackgroundUnsupported` if the provider ran the response in the foreground, and the provider's own error if it refuses
 * for good. A response that the provider no longer has ends as `expired`, without an update.
 *
 * **Example** (Following a response without a store)
 *
 * ```ts
 * import { type ContinuationToken, Follow } from "@effect-baton/core"
 * import { Console, Effect, Stream } from "effect"
 *
 * export const follow = (responseId: string, from: ContinuationToken.ContinuationToken) =>
 *   Follow.response({ responseId, streamed: true }, from).pipe(
 *     Stream.runForEach((element) =>
 *       element._tag === "Update" ? Console.log(element.text) : Effect.void
 *     )
 *   )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export function response(
  source: Extract<Source, { readonly request: unknown }>,
  from?: ContinuationToken
): Stream.Stream<Followed, AgentError, BackgroundModel>
export function response(source: Source, from: ContinuationToken): Stream.Stream<Followed, AgentError, BackgroundModel>
export function response(
  source: Source,
  given?: ContinuationToken
): Stream.Stream<Followed, AgentError, BackgroundModel> {
  return Stream.unwrap(
    Effect.gen(function* () {
      const model = yield* typedModel
      const policy = yield* RunPolicy
      const from = given ?? beginningOf(source)
      const cancel = (error: AgentError) => {
        const { responseId } = error
        return error.reason._tag === "RunStalled" && policy.onStall === "cancel" && responseId !== undefined
          ? Effect.ignore(Effect.timeoutOption(model.cancel(responseId), policy.closeTimeout))
          : Effect.void
      }
      const sealed = (yield* TokenCodec) !== plainCodec
      const telemetry = yield* Telemetry.make({ model, policy, agent: from.agent, counts: () => true })
      const pull = makePull({ model, policy, sealed }, source, from, {
        lost: new Signal<AgentError>(),
        stopped: new Signal<void>(),
        telemetry
      })
      return Stream.scoped(Stream.fromPull(pull)).pipe(Stream.tapError(cancel))
    })
  )
}

const beginningOf = (source: Source): ContinuationToken => {
  const { agent, runId } = (source as Extract<Source, { readonly request: unknown }>).request
  return start(agent, runId, 1)
}
