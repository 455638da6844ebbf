/**
 * Following one response of a provider to its true end, without a store.
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
 * Follows a response of a provider: opens it or attaches to it, attaches again when the connection ends before the
 * response does, polls if the provider does not replay, and ends when the response has ended.
 *
 * **When to use**
 *
 * If you keep positions yourself, or not at all: in an `Activity` of `effect/workflow`, in a viewer, in a test. Agents
 * keep them for you: see `Agent.stream`.
 *
 * **Details**
 *
 * The elements are `Accepted` (or `Refused`) for a response that a request opens, then updates, then `ResponseEnded`: also
 * for a response that failed or was cancelled, which is no failure of this stream. Each update but the last carries the
 * position right after it; give it as `from` to go on there. `Accepted` comes before the request's first update, so that
 * you can keep its id; without it a response that was bought cannot be found again.
 *
 * Fails with an `AgentError`: `Unconfirmed` if it is not known whether the request was accepted, `RunDiverged` if the
 * provider contradicts what was delivered, `RunStalled` at a limit of the policy, `BackgroundUnsupported` if the provider
 * ran the response in the foreground, and the provider's own error if it refuses for good. A response that the provider
 * does not have any more ends as `expired`, without an update.
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
