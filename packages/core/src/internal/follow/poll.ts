import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type AgentError, RunExpired } from "../../AgentError.ts"
import { isOver } from "../../Run.ts"
import { announce, within } from "./attachment.ts"
import * as Backoff from "../primitives/backoff.ts"
import type { Following } from "./following.ts"
import { type Look, look } from "./look.ts"

// A response that cannot be streamed is polled, on the schedule `pollEvery` and no sooner than the provider asks. All polls
// of one provider share one pace.

/** The result of a poll, and the effect that ends its span. */
export interface Looked {
  readonly look: Look
  readonly close: (exit: Exit.Exit<void, unknown>) => Effect.Effect<void>
}

/** Polls a response in a span of its own, which stays open if the response has ended. */
export const lookNow = Effect.fnUntraced(function* (following: Following): Effect.fn.Return<Looked, AgentError> {
  const { errorOf, fail, model, policy, reader, trouble } = following
  const { child, span } = yield* announce(following, "poll")
  const close = (exit: Exit.Exit<void, unknown>) => Scope.close(child, exit)
  const responseId = reader.responseId ?? ""
  const seen = yield* look(model, responseId, { schedule: policy.reconnect, trouble }).pipe(
    within(span),
    Effect.onError((cause) => close(Exit.failCause(cause))),
    Effect.catch(fail)
  )
  if (seen._tag === "Gone") yield* close(Exit.fail(errorOf(new RunExpired({ responseId }))))
  else if (!isOver(seen.snapshot.status)) yield* close(Exit.void)
  return { look: seen, close }
})

/** Fails if this process lost the run, or if the run has stalled. */
export const guarded = <A, E>({ lost, watch }: Following, effect: Effect.Effect<A, E>) =>
  Effect.raceAllFirst([effect, lost.whenFired(Effect.fail), watch.stalled])

/** The polls of one response. */
export class Poll {
  private readonly following: Following
  private readonly backoff: Backoff.Backoff
  private looked = false
  private pollAfter: Duration.Duration | undefined

  constructor(following: Following, backoff: Backoff.Backoff) {
    this.following = following
    this.backoff = backoff
  }

  /** The next poll. A run may be polled for hours without anything new. */
  next(): Effect.Effect<Looked, AgentError> {
    return Effect.map(guarded(this.following, Effect.andThen(this.pause(), lookNow(this.following))), (looked) => {
      this.pollAfter = looked.look._tag === "Shown" ? looked.look.pollAfter : undefined
      return looked
    })
  }

  private pause(): Effect.Effect<void, AgentError> {
    if (!this.looked) {
      this.looked = true
      return Effect.void
    }
    const { fail, watch, window, woken } = this.following
    const atLeast = Duration.max(
      this.pollAfter ?? Duration.zero,
      window === undefined ? Duration.zero : Backoff.paceOf(window)
    )
    const pause = Effect.raceFirst(this.backoff.wait(undefined, atLeast), Effect.as(woken, true))
    return Effect.flatMap(pause, (goesOn) =>
      goesOn ? Effect.void : fail(watch.reason("it was polled as often as RunPolicy.pollEvery allows"))
    )
  }
}
