import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { AgentError } from "../../AgentError.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { Source } from "../../Followed.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import { Trouble } from "../telemetry/trouble.ts"
import type { Signal } from "../primitives/signal.ts"
import type { Telemetry } from "../telemetry/telemetry.ts"
import * as Backoff from "../primitives/backoff.ts"
import { Follower, type Pulled } from "./follower.ts"
import type { Following } from "./following.ts"
import { Reader } from "./reader.ts"
import * as StallWatch from "./stallWatch.ts"

/** What a response is followed with. */
export interface Services {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  /** Whether tokens are accepted as objects only if this process made them. */
  readonly sealed: boolean
}

/** What whoever follows a response says of it. */
export interface Engine {
  /** Fires when this process may not go on. */
  readonly lost: Signal<AgentError>
  /** Fires when a response that only this connection keeps alive must stop. */
  readonly stopped: Signal<void>
  /** Ends when others heard something of the response, so that a look at it may pay. */
  readonly woken?: Effect.Effect<void>
  readonly telemetry: Telemetry
}

/** Follows a response by pulls of batches, for as long as the scope lasts. */
export const makePull = Effect.fnUntraced(function* (
  { model, policy, sealed }: Services,
  source: Source,
  from: ContinuationToken,
  { lost, stopped, telemetry, woken = Effect.never }: Engine
): Effect.fn.Return<Pulled, never, Scope.Scope> {
  const scope = yield* Scope.Scope
  const { agent, runId } = from
  const isOpen = "request" in source
  const background = isOpen ? source.request.background : source.background !== false
  const reader = new Reader({ from, responseId: isOpen ? undefined : source.responseId, background, sealed })
  const errorOf = (reason: AgentError["reason"]) => {
    const { responseId } = reader
    return new AgentError({ runId, agent, ...(responseId === undefined ? {} : { responseId }), reason })
  }
  const { window } = model.demands(isOpen ? source.request.options : source.options)
  const following: Following = {
    model,
    policy,
    reader,
    telemetry,
    watch: yield* StallWatch.make({
      policy,
      errorOf,
      seen: () => ({
        status: reader.position.status,
        sequenceNumber: reader.position.sequenceNumber,
        responseId: reader.responseId
      }),
      acceptedAt: isOpen ? undefined : source.acceptedAt,
      window
    }),
    trouble: new Trouble({ runId, agent, ...(isOpen ? {} : { responseId: source.responseId }) }),
    scope,
    window,
    lost,
    stopped,
    woken,
    errorOf,
    fail: (reason) => Effect.fail(errorOf(reason))
  }
  const backoff = new Backoff.Backoff(policy.reconnect)
  const follower = new Follower(following, source, backoff, new Backoff.Backoff(policy.pollEvery))
  if (!background) {
    const stop = Effect.runForkWith(yield* Effect.context<never>())
    const off = stopped.on(() => void stop(follower.stop()))
    yield* Scope.addFinalizer(scope, Effect.sync(off))
  }
  return follower.pull
})
