import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import type * as AiError from "effect/ai/AiError"
import type { AgentError } from "../../AgentError.ts"
import type { ModelEvent, ReplayUnavailable, ResponseGone } from "../../BackgroundModel.ts"
import { isDead } from "../primitives/died.ts"
import * as Telemetry from "../telemetry/telemetry.ts"
import { died } from "../ports/typedModel.ts"
import type { Connection, Events, Failure, Following, Fork } from "./following.ts"
import type { Listener } from "./stallWatch.ts"

// One attachment to a response's stream: the connection that opened the response, or a replay. It ends in one of the ways
// of `Loss`, with or without progress; `Reconnect` decides what comes next.

/** The ways in which an attachment can end before its response does. */
export type Loss =
  | { readonly _tag: "Broken"; readonly error: AiError.AiError | undefined }
  | { readonly _tag: "Refused"; readonly error: AiError.AiError | ReplayUnavailable | ResponseGone }
  | { readonly _tag: "Stopped" }

/** Forks the fiber that reads a connection, as a part of the current span. */
export const forkHere: Effect.Effect<Fork> = Effect.map(Effect.context<never>(), Effect.runForkWith)

/** Runs an effect as a part of the span of an attachment. */
export const within =
  (span: Tracer.Span) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.withParentSpan(effect, span, { captureStackTrace: false })

/**
 * An attachment that lasts as long as its scope.
 *
 * One fiber pulls the events of its connection, one batch each time the follower asks for one. A batch stays here until the
 * follower takes it, and a wake-up carries no data. Therefore no event is lost if the follower is interrupted.
 */
export class Attachment implements Listener {
  readonly origin: "live" | "replay"
  /** Whether the attachment brought something new. */
  progressed = false
  /** The `idleTimeout` applies. */
  readonly idle = true
  private readonly scope: Scope.Closeable
  private readonly watch: Following["watch"]
  private readonly fork: Fork
  private readonly events: Events
  private fiber: Fiber.Fiber<void, Failure | Cause.Done> | undefined
  private batch: ReadonlyArray<ModelEvent> | undefined
  private isAsked = false
  /** Resumes the fiber. */
  private ask: ((pull: Effect.Effect<void>) => void) | undefined
  /** The end of the attachment; undefined before that. */
  private ended: Effect.Effect<Loss, AgentError> | undefined
  /** Resumes the follower. */
  private wake: ((came: Effect.Effect<undefined>) => void) | undefined
  private readonly offs: ReadonlyArray<() => void>

  constructor(
    { lost, stopped, watch }: Following,
    options: {
      readonly origin: "live" | "replay"
      readonly scope: Scope.Closeable
      readonly events: Events
      readonly first?: ReadonlyArray<ModelEvent>
      readonly fork: Fork
    }
  ) {
    this.origin = options.origin
    this.scope = options.scope
    this.events = options.events
    this.fork = options.fork
    this.watch = watch
    if (options.first !== undefined && options.first.length > 0) this.batch = options.first
    watch.attached()
    this.offs = [
      lost.on((error) => this.end(Effect.fail(error))),
      stopped.on(() => this.end(Effect.succeed<Loss>({ _tag: "Stopped" })))
    ]
  }

  /** Starts the attachment. It ends by `close`, or with the scope of the follower. */
  begin(): Effect.Effect<this> {
    const left = Effect.sync(() => {
      for (const off of this.offs) off()
      this.fiber?.interruptUnsafe()
    })
    return Effect.as(Scope.addFinalizer(this.scope, left), this)
  }

  close(exit: Exit.Exit<void, unknown>): Effect.Effect<void> {
    return Scope.close(this.scope, exit)
  }

  /** Takes the events that have come; without any, asks the fiber for more. */
  take(): ReadonlyArray<ModelEvent> | undefined {
    if (this.batch === undefined && this.ended === undefined) this.pull()
    const { batch } = this
    this.batch = undefined
    return batch
  }

  /**
   * Waits until there are events to take, or returns how the attachment has ended. Fails if this process lost the run, or
   * if the run has stalled.
   */
  readonly wait: Effect.Effect<Loss | undefined, AgentError> = Effect.suspend(() => this.ended ?? this.came)

  private readonly came = Effect.callback<undefined, AgentError>((resume) => {
    this.wake = resume
    this.watch.listen(this)
    return this.left
  })

  private readonly left = Effect.sync(() => {
    this.wake = undefined
    this.watch.unlisten(this)
  })

  private wakeUp(): void {
    const { wake } = this
    if (wake === undefined) return
    this.wake = undefined
    this.watch.unlisten(this)
    wake(Effect.undefined)
  }

  /** Called when a limit of the policy is reached. */
  over(reason: "idle" | AgentError): void {
    this.end(reason === "idle" ? Effect.succeed<Loss>({ _tag: "Broken", error: undefined }) : Effect.fail(reason))
  }

  private end(ended: Effect.Effect<Loss, AgentError>): void {
    if (this.ended !== undefined) return
    this.ended = ended
    this.wakeUp()
  }

  private pull(): void {
    this.isAsked = true
    const { ask, fiber } = this
    this.ask = undefined
    if (ask !== undefined) ask(Effect.void)
    if (fiber !== undefined) return
    this.fiber = this.fork(this.pulls)
    this.fiber.addObserver((exit) => this.end(this.endOf(exit)))
  }

  private readonly asked: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.ask = resume
  })

  private readonly next: Events = Effect.suspend(() =>
    this.isAsked ? this.events : Effect.flatMap(this.asked, () => this.events)
  )

  private readonly pulls = Effect.whileLoop({
    while: () => true,
    body: () => this.next,
    step: (events) => {
      this.isAsked = false
      this.batch = events
      this.wakeUp()
    }
  })

  private endOf(exit: Exit.Exit<void, Failure | Cause.Done>): Effect.Effect<Loss, AgentError> {
    if (exit._tag === "Success") return Effect.succeed<Loss>({ _tag: "Broken", error: undefined })
    const failed = exit.cause.reasons.find(Cause.isFailReason)
    if (failed !== undefined) return Effect.succeed(lossOf(failed.error, this.origin))
    return isDead(exit.cause)
      ? Effect.succeed<Loss>({ _tag: "Broken", error: died("stream", exit.cause) })
      : Effect.failCause(exit.cause as Cause.Cause<never>)
  }
}

const lossOf = (error: Failure | Cause.Done, origin: "live" | "replay"): Loss => {
  if (Cause.isDone(error)) return { _tag: "Broken", error: undefined }
  switch (error._tag) {
    case "CreateUnconfirmed":
      return { _tag: "Broken", error: error.error }
    case "AiError": {
      // A connection that broke is no refusal.
      const isAnswer = origin === "replay" && error.reason._tag !== "NetworkError"
      return { _tag: isAnswer ? "Refused" : "Broken", error }
    }
    default:
      return { _tag: "Refused", error }
  }
}

/** Attaches to the connection that opened the response. */
export const live = (following: Following, { first, fork, rest, scope }: Connection): Effect.Effect<Attachment> =>
  new Attachment(following, { origin: "live", scope, events: rest, first, fork }).begin()

/** Opens a scope and a span for an attachment, or for a poll. */
export const announce = Effect.fnUntraced(function* (following: Following, how: "replay" | "poll") {
  const { reader, scope, telemetry } = following
  const { head, sequenceNumber } = reader.position
  const { agent, runId } = head
  const child = yield* Scope.fork(scope)
  const span = yield* Scope.provide(telemetry.attached({ agent, runId, how, sequenceNumber }, reader.responseId), child)
  return { child, span }
})

/** Attaches by a replay of the events after the position. */
export const replay = Effect.fnUntraced(function* (following: Following): Effect.fn.Return<Attachment> {
  const { model, reader } = following
  const after = reader.after()
  const { child, span } = yield* announce(following, "replay")
  const stream = Stream.suspend(() => model.resume(reader.responseId ?? "", after < 0 ? {} : { after }))
  const pull = Effect.catchCause(Stream.toPull(stream), (cause): Effect.Effect<Events> =>
    isDead(cause) ? Effect.succeed(Effect.fail(died("resume", cause))) : Effect.failCause(cause)
  )
  const opened = Effect.all([pull, forkHere])
  const [events, fork] = yield* opened.pipe(Scope.provide(child), within(span))
  return yield* new Attachment(following, { origin: "replay", scope: child, events, fork }).begin()
})

/** The exit of the span of an attachment with this end. */
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
