import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as AiError from "effect/ai/AiError"
import type { AgentError } from "../../AgentError.ts"
import { isOver } from "../../Run.ts"
import type { Attachment, Loss } from "./attachment.ts"
import type * as Backoff from "../primitives/backoff.ts"
import type { Following } from "./following.ts"
import { guarded, type Looked, lookNow } from "./poll.ts"

// The next step after an attachment that ended before its response did:
//
// - The connection broke: attach to the stream again after a wait. The schedule `reconnect` gives the wait, and starts
//   again with each progress. After two attachments without progress, a retrieval shows whether the run has ended. A live
//   run counts as progress, so that only the limits of the policy end a run that is alive at the provider.
// - The provider refused a replay, because the response is too old or no stream: poll it.
// - The provider refused otherwise: if the refusal is retryable, try once more. Then a retrieval decides: if that works,
//   poll the response.

/** The next step. */
export type Next =
  | { readonly _tag: "Attach" }
  | { readonly _tag: "Poll" }
  /** A retrieval showed the end. */
  | { readonly _tag: "Ended"; readonly looked: Looked }

const attach: Next = { _tag: "Attach" }
const poll: Next = { _tag: "Poll" }

/** Decides the next step, by the number of attachments without progress. */
export class Reconnect {
  private readonly following: Following
  private readonly backoff: Backoff.Backoff
  private fruitless = 0
  private refused = 0
  /** A retrieval has shown, since the schedule began, that the run is alive. */
  private isAlive = false
  private lastDelay: Duration.Duration = Duration.seconds(1)
  /** The shortest wait, since the schedule began again without progress. */
  private shortest: Duration.Duration = Duration.zero

  constructor(following: Following, backoff: Backoff.Backoff) {
    this.following = following
    this.backoff = backoff
  }

  /** Called when something new came. */
  progressed(): Effect.Effect<void> {
    this.fruitless = 0
    this.refused = 0
    this.isAlive = false
    this.shortest = Duration.zero
    this.backoff.reset()
    return this.following.trouble.ended()
  }

  /** The step after this attachment. */
  next({ origin, progressed }: Attachment, loss: Exclude<Loss, { readonly _tag: "Stopped" }>) {
    return loss._tag === "Broken"
      ? this.broken(loss.error, origin === "replay", progressed)
      : this.refusedWith(loss.error)
  }

  private broken(
    error: AiError.AiError | undefined,
    isReplay: boolean,
    progressed: boolean
  ): Effect.Effect<Next, AgentError> {
    const { trouble } = this.following
    if (progressed) return this.wait(error)
    this.fruitless++
    return trouble
      .began(
        "the connection to a run breaks without progress; it is opened again",
        error?.message ?? "it ended before the response did"
      )
      .pipe(Effect.andThen(isReplay && this.fruitless > 1 ? this.verify(attach, error) : this.wait(error)))
  }

  private refusedWith(error: Extract<Loss, { readonly _tag: "Refused" }>["error"]): Effect.Effect<Next, AgentError> {
    if (error._tag === "ReplayUnavailable") return Effect.succeed(poll)
    const isFirst = this.refused++ === 0
    const { trouble } = this.following
    return trouble.began("the provider does not replay the stream of a run", error.message).pipe(
      Effect.andThen(
        error._tag === "AiError" && error.isRetryable
          ? // The provider may ask for a long wait.
            Effect.flatMap(this.wait(error), (next) => (isFirst ? Effect.succeed(next) : this.verify(poll, undefined)))
          : this.verify(error._tag === "ResponseGone" && isFirst ? attach : poll, undefined)
      )
    )
  }

  /** Retrieves the response: it has ended, is gone, or is alive, and then the step is `alive`. */
  private verify(alive: Next, error: AiError.AiError | undefined): Effect.Effect<Next, AgentError> {
    return guarded(this.following, lookNow(this.following)).pipe(
      Effect.flatMap((looked): Effect.Effect<Next, AgentError> => {
        const { look } = looked
        if (look._tag === "Gone" || isOver(look.snapshot.status)) return Effect.succeed({ _tag: "Ended", looked })
        this.isAlive = true
        return alive._tag === "Attach" ? this.wait(error) : Effect.succeed(alive)
      })
    )
  }

  private wait(error: AiError.AiError | undefined): Effect.Effect<Next, AgentError> {
    const { fail, watch } = this.following
    const delay = this.backoff.delay(error).pipe(
      Effect.flatMap((wait) => {
        if (wait !== undefined) {
          this.lastDelay = Duration.max(wait, this.shortest)
          return Effect.succeed(this.lastDelay)
        }
        if (!this.isAlive) {
          return fail(
            error ?? watch.reason("no connection brought anything new, as often as RunPolicy.reconnect allows")
          )
        }
        // The schedule begins again, but without its short waits.
        this.isAlive = false
        this.shortest = this.lastDelay
        this.backoff.reset()
        return Effect.succeed(this.lastDelay)
      }),
      Effect.flatMap((wait) => Effect.sleep(Duration.max(wait, error?.retryAfter ?? Duration.zero)))
    )
    return Effect.as(guarded(this.following, delay), attach)
  }
}
