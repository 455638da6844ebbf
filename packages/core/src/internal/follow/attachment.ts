import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/ai/AiError"
import type { AgentError } from "../../AgentError.ts"
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

/** An attachment that lasts until it is closed. */
export class Attachment {
  readonly origin: "live" | "replay"
  /** Whether something new came over it. */
  progressed = false
  private readonly scope: Scope.Closeable
  private readonly watch: Following["watch"]
  private readonly fork: (events: Events) => Fiber.Fiber<ReadonlyArray<ModelEvent>, Failure | Cause.Done>
  private readonly events: Events
  private first: ReadonlyArray<ModelEvent> | undefined
  /** How it ended from outside, if it did. */
  private over: Effect.Effect<Loss, AgentError> | undefined
  private pending: ((over: Effect.Effect<Loss, AgentError>) => void) | undefined
  private readonly offs: ReadonlyArray<() => void>

  constructor(
    { lost, stopped, watch }: Following,
    options: {
      readonly origin: "live" | "replay"
      readonly scope: Scope.Closeable
      readonly events: Events
      readonly first?: ReadonlyArray<ModelEvent>
      readonly context: Context.Context<never>
    }
  ) {
    this.origin = options.origin
    this.scope = options.scope
    this.events = options.events
    this.first = options.first
    this.watch = watch
    this.fork = Effect.runForkWith(options.context)
    watch.attached()
    this.offs = [
      lost.on((error) => this.end(Effect.fail(error))),
      stopped.on(() => this.end(Effect.succeed<Loss>({ _tag: "Stopped" })))
    ]
  }

  close(exit: Exit.Exit<void, unknown>): Effect.Effect<void> {
    for (const off of this.offs) off()
    return Scope.close(this.scope, exit)
  }

  /** Reads what came; fails if this process may not go on, or the run has stalled. */
  readonly read: Effect.Effect<Read, AgentError> = Effect.suspend((): Effect.Effect<Read, AgentError> => {
    const { first } = this
    this.first = undefined
    if (first !== undefined && first.length > 0) return Effect.succeed<Read>({ _tag: "Events", events: first })
    if (this.over !== undefined) return this.over
    const fiber = this.fork(this.events)
    const exit = fiber.pollUnsafe()
    return exit === undefined ? this.wait(fiber) : this.answer(exit)
  })

  /** Waits for a read that is under way: for its end, or for that of the attachment. */
  private wait(fiber: Fiber.Fiber<ReadonlyArray<ModelEvent>, Failure | Cause.Done>): Effect.Effect<Read, AgentError> {
    return Effect.callback<Read, AgentError>((resume) => {
      const off = this.watch.listen(true, (over) =>
        this.end(over === "idle" ? Effect.succeed<Loss>({ _tag: "Broken", error: undefined }) : Effect.fail(over))
      )
      const done = (answer: Effect.Effect<Read, AgentError>) => {
        if (this.pending === undefined) return
        this.pending = undefined
        off()
        resume(answer)
      }
      this.pending = (over) => {
        done(over)
        fiber.interruptUnsafe()
      }
      fiber.addObserver((exit) => done(this.answer(exit)))
      return Effect.suspend(() => {
        this.pending = undefined
        off()
        return Fiber.interrupt(fiber)
      })
    })
  }

  private end(over: Effect.Effect<Loss, AgentError>): void {
    if (this.over !== undefined) return
    this.over = over
    this.pending?.(over)
  }

  private answer(exit: Exit.Exit<ReadonlyArray<ModelEvent>, Failure | Cause.Done>): Effect.Effect<Read, AgentError> {
    if (exit._tag === "Success") return Effect.succeed<Read>({ _tag: "Events", events: exit.value })
    const failed = exit.cause.reasons.find(Cause.isFailReason)
    return failed === undefined
      ? Effect.failCause(exit.cause as Cause.Cause<never>)
      : Effect.succeed<Read>(lossOf(failed.error, this.origin))
  }
}

const lossOf = (error: Failure | Cause.Done, origin: "live" | "replay"): Loss => {
  if (Cause.isDone(error)) return { _tag: "Broken", error: undefined }
  switch (error._tag) {
    case "CreateUnconfirmed":
      return { _tag: "Broken", error: error.error }
    case "AiError": {
      // A connection that breaks is no answer.
      const isAnswer = origin === "replay" && error.reason._tag !== "NetworkError"
      return { _tag: isAnswer ? "Refused" : "Broken", error }
    }
    default:
      return { _tag: "Refused", error }
  }
}

/** Goes on reading the connection over which the response was opened. */
export const live = (following: Following, { first, rest, scope }: Connection): Effect.Effect<Attachment> =>
  Effect.map(
    Effect.context<never>(),
    (context) => new Attachment(following, { origin: "live", scope, events: rest, first, context })
  )

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
  const context = yield* Effect.context<never>()
  return new Attachment(following, {
    origin: "replay",
    scope: child,
    events: Effect.withParentSpan(events, span),
    context
  })
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
