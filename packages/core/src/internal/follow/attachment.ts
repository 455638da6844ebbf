import { Cause, Deferred, Effect, Exit, type Pull, Scope, Stream } from "effect"
import type { AiError } from "effect/ai"
import { AgentError } from "../../AgentError.ts"
import type { ModelEvent, ReplayUnavailable, ResponseGone } from "../../BackgroundModel.ts"
import * as Telemetry from "../telemetry.ts"
import type { Connection, Events, Failure, Following } from "./following.ts"

// One attachment to a response's stream: the connection that opened it, or a replay of it. It has read something new or
// not, and ends in one of a few ways; what comes next is for Reconnect to say.

/** How an attachment ended before its response did. */
export type Loss =
  | { readonly _tag: "Broken"; readonly error: AiError.AiError | undefined }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError | ReplayUnavailable | ResponseGone }
  | { readonly _tag: "Stopped" }

/** What came of one read. */
export type Read = { readonly _tag: "Events"; readonly events: ReadonlyArray<ModelEvent> } | Loss

class Stopped {
  readonly _tag = "Stopped"
}

type Over = AgentError | Cause.Done | Stopped

/** An attachment that lasts until it is closed. */
export class Attachment {
  readonly origin: "live" | "replay"
  /** Whether something new came over it. */
  progressed = false
  private readonly scope: Scope.Closeable
  private readonly pull: Pull.Pull<ReadonlyArray<ModelEvent>, Failure | AgentError | Stopped>
  private first: ReadonlyArray<ModelEvent> | undefined

  constructor(options: {
    readonly origin: "live" | "replay"
    readonly scope: Scope.Closeable
    readonly events: Events
    readonly over: Deferred.Deferred<never, Over>
    readonly first?: ReadonlyArray<ModelEvent>
  }) {
    this.origin = options.origin
    this.scope = options.scope
    this.first = options.first
    this.pull = Effect.raceFirst(options.events, Deferred.await(options.over))
  }

  close(exit: Exit.Exit<void, unknown>): Effect.Effect<void> {
    return Scope.close(this.scope, exit)
  }

  /** Reads what came; fails if this process may not go on, or the run has stalled. */
  readonly read: Effect.Effect<Read, AgentError> = Effect.suspend(() => {
    const { first } = this
    this.first = undefined
    if (first !== undefined && first.length > 0) return Effect.succeed<Read>({ _tag: "Events", events: first })
    return this.pull.pipe(
      Effect.map((events): Read => ({ _tag: "Events", events })),
      Effect.catchCause((cause): Effect.Effect<Read, AgentError> => {
        const failed = cause.reasons.find(Cause.isFailReason)
        return failed === undefined ? Effect.failCause(cause as Cause.Cause<never>) : lossOf(failed.error, this.origin)
      })
    )
  })
}

const lossOf = (
  error: Failure | AgentError | Stopped | Cause.Done,
  origin: "live" | "replay"
): Effect.Effect<Loss, AgentError> => {
  if (Cause.isDone(error)) return Effect.succeed({ _tag: "Broken", error: undefined })
  if (error instanceof AgentError) return Effect.fail(error)
  switch (error._tag) {
    case "Stopped":
      return Effect.succeed({ _tag: "Stopped" })
    case "CreateUnconfirmed":
      return Effect.succeed({ _tag: "Broken", error: error.error })
    case "AiError": {
      // A connection that breaks is no answer.
      const isAnswer = origin === "replay" && error.reason._tag !== "NetworkError"
      return Effect.succeed({ _tag: isAnswer ? "Refused" : "Broken", error })
    }
    default:
      return Effect.succeed({ _tag: "Refused", error })
  }
}

/** Watches an attachment by one fiber for as long as it lasts, not at each read: reads come by the hundred a second. */
const watched = Effect.fnUntraced(function* (
  { lost, stopped, watch }: Following,
  options: {
    readonly origin: "live" | "replay"
    readonly scope: Scope.Closeable
    readonly events: Events
    readonly first?: ReadonlyArray<ModelEvent>
  }
): Effect.fn.Return<Attachment> {
  watch.attached()
  const over = Deferred.makeUnsafe<never, Over>()
  yield* Effect.raceAllFirst([
    lost,
    watch.stalled,
    Effect.andThen(watch.idle, Cause.done()),
    Effect.andThen(stopped, Effect.fail(new Stopped()))
  ]).pipe(Deferred.into(over), Effect.forkIn(options.scope))
  return new Attachment({ ...options, over })
})

/** Goes on reading the connection over which the response was opened. */
export const live = (following: Following, { first, rest, scope }: Connection): Effect.Effect<Attachment> =>
  watched(following, { origin: "live", scope, events: rest, first })

/** Opens a scope and a span for an attachment, or for a look. */
export const announce = Effect.fnUntraced(function* (following: Following, how: "replay" | "poll") {
  const { reader, scope, telemetry } = following
  const { agent, runId, sequenceNumber } = reader.position
  const child = yield* Scope.fork(scope)
  const span = yield* Scope.provide(telemetry.attached({ agent, runId, how, sequenceNumber }, reader.responseId), child)
  return { child, span }
})

/** Asks for the events after the position. */
export const replay = Effect.fnUntraced(function* (following: Following): Effect.fn.Return<Attachment> {
  const { model, reader } = following
  const after = reader.after()
  const { child, span } = yield* announce(following, "replay")
  const events = yield* Stream.toPull(model.resume(reader.responseId ?? "", after < 0 ? {} : { after })).pipe(
    Scope.provide(child),
    Effect.withParentSpan(span)
  )
  return yield* watched(following, { origin: "replay", scope: child, events: Effect.withParentSpan(events, span) })
})

/** How the span of an attachment ends that ended so. */
export const exitOf = (loss: Loss): Exit.Exit<void, unknown> => {
  switch (loss._tag) {
    case "Stopped":
      return Exit.void
    case "Broken":
      return Exit.fail(loss.error ?? new Telemetry.Disconnected())
    case "Refused":
      return Exit.fail(loss.error)
  }
}
