import { Array as Arr, Cause, Deferred, type Duration, Effect, Exit, Option, Pull, Scope, Stream } from "effect"
import type { AiError } from "effect/ai"
import { type AgentError, RunDiverged } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type {
  CreateUnconfirmed,
  ModelEvent,
  ModelSnapshot,
  ReplayUnavailable,
  ResponseGone
} from "../BackgroundModel.ts"
import type { ContinuationToken } from "../ContinuationToken.ts"
import { isOver, type RunStatus } from "../Run.ts"
import * as Backoff from "./backoff.ts"
import * as Cursor from "./cursor.ts"
import * as Trouble from "./hold/trouble.ts"
import { minted } from "./minted.ts"
import { errorOf, type OpenRun } from "./openRun.ts"
import type { Opened } from "./opening.ts"
import { reasonOf } from "./runReason.ts"
import * as StallWatch from "./stallWatch.ts"
import * as Telemetry from "./telemetry.ts"

/** The run stops here: its response is one that ends with this connection. */
class Stopped {
  readonly _tag = "Stopped"
}

type Loss = AiError.AiError | CreateUnconfirmed | ReplayUnavailable | ResponseGone | AgentError | Stopped
export type Batch = readonly [AgentUpdate, ...Array<AgentUpdate>]
export type Updates = Pull.Pull<Batch, AgentError>

type Events = Pull.Pull<ReadonlyArray<ModelEvent>, Loss>

/**
 * What the end of a response means for its run: the run ends with it, as this, or goes on from this position.
 */
export type Meaning =
  | { readonly _tag: "Over"; readonly status: RunStatus }
  | { readonly _tag: "GoesOn"; readonly from: ContinuationToken }

/** What to follow, and whom to tell. */
export interface Options {
  readonly run: OpenRun
  readonly background: boolean
  /** The response: one that this process opened, or one to attach to. */
  readonly source: Opened | { readonly responseId: string; readonly streamed: boolean; readonly connection?: never }
  /** The position after which the first update comes. */
  readonly from: ContinuationToken
  /** The response is over: called before its last update is delivered. */
  readonly ended: (ending: Cursor.Ending) => Effect.Effect<Meaning, AgentError>
  /** Called with the last update of a run that is over, before it is delivered. */
  readonly delivering?: (last: AgentUpdate) => void
  /** Fails when this process may not go on. */
  readonly lost: Effect.Effect<never, AgentError>
  /** Ends when a response that only this connection keeps alive must stop. */
  readonly stopped: Effect.Effect<void>
  /** Called when the run stalled and the policy says to cancel it. */
  readonly cancel: Effect.Effect<void>
  readonly telemetry: Telemetry.Telemetry
  /** The response opened a turn again: the first update says so. */
  readonly retried: boolean
}

/**
 * Follows one response to its true end: attaches, drops what was delivered before, attaches again when the connection
 * ends without a terminal event, and polls if the provider does not replay. One read becomes one array of updates.
 */
export const makePull = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Updates, never, Scope.Scope> {
  const { run, source, telemetry } = options
  const { model, policy, runId } = run
  const scope = yield* Effect.scope
  const cursor = Cursor.make({
    from: options.from,
    background: options.background,
    responseId: source.responseId,
    sealed: run.sealed
  })
  const opened = source.connection === undefined ? undefined : source
  const replays = options.background && model.capabilities.resume && source.streamed
  let mode: "create" | "replay" | "poll" | "stop" =
    opened !== undefined ? "create" : replays && options.from.origin === "stream" ? "replay" : "poll"

  const fail = (reason: AgentError["reason"]) => Effect.fail(errorOf(run)(reason))
  const watch = yield* StallWatch.make({
    policy,
    errorOf: errorOf(run),
    seen: () => ({ ...cursor.position(), responseId: cursor.responseId() }),
    cancel: options.cancel
  })
  const trouble = Trouble.make({ runId, agent: run.agent.name, responseId: source.responseId })
  /** Fails when the run may not go on, or has stalled. */
  const guarded = <A, E>(effect: Effect.Effect<A, E>) => Effect.raceAllFirst([effect, options.lost, watch.stalled])
  const reconnect = yield* Backoff.make(policy.reconnect)
  const polling = yield* Backoff.make(policy.pollEvery)

  // ---- attaching

  let attached: Scope.Closeable | undefined
  let pull: Events | undefined
  let progressed = false
  let fruitless = 0

  /** A scope for what is attached to next, and its span. */
  const announce = Effect.fnUntraced(function* (how: "replay" | "poll") {
    const { agent, sequenceNumber } = cursor.position()
    const child = yield* Scope.fork(scope)
    attached = child
    const attachment = { agent, runId, how, sequenceNumber }
    const span = yield* Scope.provide(telemetry.attached(attachment, cursor.responseId()), child)
    return { child, span }
  })

  /** Watches an attachment by one fiber for as long as it lasts, not at each read: reads come by the hundred a second. */
  const watched = Effect.fnUntraced(function* (read: Events, child: Scope.Closeable) {
    watch.heard()
    const over = Deferred.makeUnsafe<never, AgentError | Cause.Done | Stopped>()
    yield* Effect.raceAllFirst([
      options.lost,
      watch.stalled,
      Effect.andThen(watch.idle, Cause.done()),
      Effect.andThen(options.stopped, Effect.fail(new Stopped()))
    ]).pipe(Deferred.into(over), Effect.forkIn(child))
    progressed = false
    pull = Effect.raceFirst(read, Deferred.await(over))
    return pull
  })

  const attach = Effect.gen(function* () {
    if (mode === "create" && opened !== undefined) {
      attached = opened.connection
      yield* watched(opened.rest, opened.connection)
      return Effect.succeed(opened.first)
    }
    const after = cursor.after()
    const { child, span } = yield* announce("replay")
    const read = yield* Stream.toPull(model.resume(source.responseId, after < 0 ? {} : { after })).pipe(
      Scope.provide(child),
      Effect.withParentSpan(span)
    )
    return yield* watched(Effect.withParentSpan(read, span), child)
  })

  /** The attachment ends like this. */
  const detach = (exit: Exit.Exit<void, unknown>) =>
    Effect.suspend(() => {
      const current = attached
      attached = undefined
      pull = undefined
      return current === undefined ? Effect.void : Scope.close(current, exit)
    })

  const streamed: Updates = Effect.suspend(() => pull ?? Effect.flatten(attach)).pipe(
    Pull.matchEffect({
      onSuccess: (events) => {
        watch.heard()
        const read = cursor.read(events, mode === "create" ? "live" : "replay")
        if (!read.progressed || progressed) return deliver(read.updates)
        progressed = true
        return Effect.andThen(Effect.andThen(trouble.ended, reconnect.reset), deliver(read.updates))
      },
      onDone: () => Effect.andThen(detach(Exit.fail(new Telemetry.Disconnected())), cut(undefined)),
      onFailure: (cause): Updates => {
        const failed = cause.reasons.find(Cause.isFailReason)
        return failed === undefined
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.andThen(
              detach(failed.error._tag === "Stopped" ? Exit.void : Exit.fail(failed.error)),
              broken(failed.error)
            )
      }
    })
  )

  const broken = (loss: Loss): Updates => {
    switch (loss._tag) {
      case "AgentError":
        return Effect.fail(loss)
      case "CreateUnconfirmed":
        return cut(loss.error)
      case "ReplayUnavailable":
        mode = "poll"
        return next
      case "ResponseGone":
        return deliver(cursor.expire())
      case "Stopped":
        mode = "stop"
        return next
      case "AiError":
        return loss.isRetryable ? cut(loss) : fail(loss)
    }
  }

  /** The response ended with its connection, or is over: one look tells. */
  const stoppedNow: Updates = Effect.suspend(() =>
    Effect.result(model.retrieve(source.responseId)).pipe(
      Effect.timeoutOption(policy.closeTimeout),
      Effect.flatMap((look) => {
        const shown = Option.isSome(look) && look.value._tag === "Success" ? look.value.success.snapshot : undefined
        return shown !== undefined && isOver(shown.status)
          ? fill(shown)
          : fill({ responseId: source.responseId, status: "cancelled", lanes: [] })
      }),
      Effect.flatMap(deliver)
    )
  )

  /** The connection ended before the response did. */
  const cut = Effect.fnUntraced(function* (
    error: AiError.AiError | undefined
  ): Effect.fn.Return<Batch, AgentError | Cause.Done> {
    fruitless = progressed ? 0 : fruitless + 1
    if (fruitless > 0) {
      yield* trouble.began(
        "the connection to a run breaks without anything new, and is opened again",
        error?.message ?? "it ended before the response did"
      )
    }
    if (mode === "replay" && fruitless > 1) {
      // Replays that bring nothing new may be those of a response that is over without ever saying so.
      const look = yield* Effect.result(guarded(model.retrieve(source.responseId)))
      if (look._tag === "Success" && isOver(look.success.snapshot.status)) {
        return yield* deliver(yield* fill(look.success.snapshot))
      }
    }
    if (!(yield* guarded(reconnect.wait(error, error?.retryAfter)))) {
      if (error !== undefined) return yield* fail(error)
      const description = "no connection brought anything new"
      return yield* fail(watch.reason(description))
    }
    mode = replays ? "replay" : "poll"
    return yield* next
  })

  // ---- polling

  let pollAfter: Duration.Duration | undefined
  let looked = false

  const look = Effect.gen(function* () {
    if (looked && !(yield* polling.wait(undefined, pollAfter))) {
      const description = "it was polled as often as the policy says"
      return yield* fail(watch.reason(description))
    }
    looked = true
    const { span } = yield* announce("poll")
    const result = yield* Effect.result(Effect.withParentSpan(model.retrieve(source.responseId), span))
    if (result._tag === "Failure") yield* detach(Exit.fail(result.failure))
    else if (!isOver(result.success.snapshot.status)) yield* detach(Exit.void)
    if (result._tag === "Success") {
      yield* reconnect.reset
      yield* trouble.ended
      pollAfter = result.success.pollAfter
      return yield* fill(result.success.snapshot)
    }
    const error = result.failure
    if (error._tag === "ResponseGone") return cursor.expire()
    if (error.isRetryable) {
      yield* trouble.began("a run cannot be looked at, and this is tried again", error.message)
    }
    return error.isRetryable && (yield* reconnect.wait(error, error.retryAfter)) ? [] : yield* fail(error)
  })
  // The next look is taken outside of what guards this one: a run may be polled for hours without anything new.
  const polled: Updates = Effect.suspend(() => Effect.flatMap(guarded(look), deliver))

  const fill = (snapshot: ModelSnapshot) =>
    Effect.fromResult(cursor.fill(snapshot)).pipe(Effect.catch((description) => fail(new RunDiverged({ description }))))

  // ---- delivering

  let toldEnd = false
  let told = !options.retried
  let isPulled = false

  const deliver = (some: ReadonlyArray<AgentUpdate>): Updates => {
    const [first] = some
    if (first === undefined) return next
    watch.came()
    isPulled = false
    const updates = told ? some : [{ ...first, retried: true }, ...some.slice(1)]
    told = true
    const ending = cursor.ending()
    if (ending === undefined || toldEnd) return Effect.as(telemetry.delivered(updates), updates as Batch)
    toldEnd = true
    return Effect.gen(function* () {
      const meaning = yield* options.ended(ending)
      yield* telemetry.ended(ending)
      const batch = meant(updates, meaning, options.background)
      if (meaning._tag === "Over") options.delivering?.(batch.at(-1)!)
      yield* telemetry.delivered(batch)
      return batch
    })
  }

  const next: Updates = Effect.suspend(() => {
    const description = cursor.divergence()
    if (description !== undefined) {
      const error = errorOf(run)(new RunDiverged({ description }))
      return Effect.andThen(detach(Exit.fail(error)), Effect.fail(error))
    }
    const ending = cursor.ending()
    if (ending === undefined) return mode === "stop" ? stoppedNow : mode === "poll" ? polled : streamed
    const reason = reasonOf({ turns: [], ended: ending })
    const exit = reason === undefined ? Exit.void : Exit.fail(errorOf(run)(reason))
    return Effect.andThen(detach(exit), Cause.done())
  })

  // The connection of a foreground response keeps it alive, and its consumer may be busy with an update for long. Who
  // waits for the next update is told by the attachment.
  const closed = Effect.suspend(() => {
    if (isPulled) return Effect.void
    mode = "stop"
    attached ??= opened?.connection
    return detach(Exit.void)
  })
  if (!options.background) yield* Effect.forkIn(Effect.andThen(options.stopped, closed), scope)

  return Effect.suspend(() => {
    watch.waits()
    isPulled = true
    return next
  })
})

/** The last update of a response says where the run stands after it, which is not always where the response does. */
const meant = (updates: ReadonlyArray<AgentUpdate>, meaning: Meaning, background: boolean): Batch => {
  const last = updates.at(-1)!
  const changed: AgentUpdate =
    meaning._tag === "Over"
      ? { ...last, status: meaning.status }
      : {
          ...last,
          status: "in_progress",
          continuationToken: background ? Option.some(minted(meaning.from)) : Option.none()
        }
  return Arr.append(updates.slice(0, -1), changed)
}
