import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { AgentError } from "../../AgentError.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { Source } from "../../Followed.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { UpdateLog } from "../../UpdateLog.ts"
import { Trouble } from "../telemetry/trouble.ts"
import type { Signal } from "../primitives/signal.ts"
import type { Telemetry } from "../telemetry/telemetry.ts"
import * as Backoff from "../primitives/backoff.ts"
import { Follower, type Pulled } from "./follower.ts"
import type { Following } from "./following.ts"
import { Reader } from "./reader.ts"
import * as StallWatch from "./stallWatch.ts"

/** The dependencies of a follower. */
export interface Services {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  /** Whether token objects are accepted only if this process made them. */
  readonly sealed: boolean
  /** With an update log, also the updates of a foreground run have positions. */
  readonly log?: UpdateLog["Service"] | undefined
}

/** Signals from the caller of a follower. */
export interface Engine {
  /** Fires when this process lost the run. */
  readonly lost: Signal<AgentError>
  /** Fires when a response must stop that only this connection keeps alive. */
  readonly stopped: Signal<void>
  /** Ends when others have written something about the response: polling then continues at once. */
  readonly woken?: Effect.Effect<void>
  readonly telemetry: Telemetry
}

/** Makes a pull that follows a response, as long as the scope lasts. */
export const makePull = Effect.fnUntraced(function* (
  { log, model, policy, sealed }: Services,
  source: Source,
  from: ContinuationToken,
  { lost, stopped, telemetry, woken = Effect.never }: Engine
): Effect.fn.Return<Pulled, never, Scope.Scope> {
  const scope = yield* Scope.Scope
  const { agent, runId } = from
  const isOpen = "request" in source
  const background = isOpen ? source.request.background : source.background !== false
  const reader = new Reader({
    from,
    responseId: isOpen ? undefined : source.responseId,
    positioned: background || log !== undefined,
    // No log has them.
    raw: log === undefined,
    sealed
  })
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
