import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import { type AgentError, BackgroundUnsupported, RunDiverged, Unconfirmed } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { ModelSnapshot } from "../../BackgroundModel.ts"
import type { Followed, Source } from "../../Followed.ts"
import { isOver } from "../../Run.ts"
import { reasonOf } from "../run/runReason.ts"
import { type Attachment, exitOf, live, type Loss, replay } from "./attachment.ts"
import type * as Backoff from "../primitives/backoff.ts"
import type { Connection, Following } from "./following.ts"
import { look } from "./look.ts"
import { guarded, type Looked, Poll } from "./poll.ts"
import { type Next, Reconnect } from "./reconnect.ts"
import type { Ending } from "./reader.ts"
import { send } from "./request.ts"
import { toolCallsIn } from "../record/toolCalls.ts"

type Answered = Effect.Effect<ReadonlyArray<Followed>, AgentError>

/** The elements of one read. `Accepted` and `Refused` come alone; `ResponseEnded` is the last of its batch. */
type Batch = readonly [Followed, ...Array<Followed>]

export type Pulled = Pull.Pull<Batch, AgentError>

/**
 * The modes of a follower.
 *
 * - `request`: the response is not opened yet. The first pull sends the request. Then comes `live`, `poll` if the response
 *   is not a stream, or `over` if it was refused.
 * - `live`: the follower reads the connection that opened the response. `replay`: it reads a later attachment. Then comes
 *   `over`, or, if the attachment ended before the response, `replay` or `poll`, as `Reconnect` decides.
 * - `poll`: the follower retrieves the response until it has ended.
 * - `stop`: a foreground response was stopped. After one last retrieval comes `over`.
 */
type Mode = "request" | "live" | "replay" | "poll" | "stop" | "over"

/** Follows one response. */
export class Follower {
  private mode: Mode
  private readonly following: Following
  private readonly source: Source
  private readonly background: boolean
  private readonly reconnect: Reconnect
  private readonly poll: Poll
  private connection: Connection | undefined
  private attachment: Attachment | undefined
  /** The reason with which the next pull fails. */
  private failing: AgentError["reason"] | undefined
  private isPulled = false

  constructor(following: Following, source: Source, reconnect: Backoff.Backoff, pollEvery: Backoff.Backoff) {
    this.following = following
    this.source = source
    this.background = "request" in source ? source.request.background : source.background !== false
    this.reconnect = new Reconnect(following, reconnect)
    this.poll = new Poll(following, pollEvery)
    this.mode =
      "request" in source
        ? "request"
        : this.replays(source.streamed) && following.reader.position.origin === "stream"
          ? "replay"
          : "poll"
  }

  private replays(streamed: boolean): boolean {
    return this.background && streamed && this.following.model.capabilities.resume
  }

  readonly pull: Pulled = Effect.suspend(() => {
    this.following.watch.waits()
    this.isPulled = true
    return this.next()
  })

  private next(): Pulled {
    return Effect.flatMap(this.step(), (batch): Pulled => {
      if (batch.length === 0) return this.next()
      this.isPulled = false
      return Effect.succeed(batch as Batch)
    })
  }

  private step(): Effect.Effect<ReadonlyArray<Followed>, AgentError | Cause.Done> {
    const { fail, reader } = this.following
    const description = reader.divergence
    const reason = description === undefined ? this.failing : new RunDiverged({ description })
    if (reason !== undefined)
      return Effect.andThen(this.detach(Exit.fail(this.following.errorOf(reason))), fail(reason))
    switch (this.mode) {
      case "request":
        return this.request()
      case "live":
      case "replay":
        return this.attachment === undefined ? this.attach() : this.read(this.attachment)
      case "poll":
        return Effect.flatMap(this.poll.next(), (looked) => this.seen(looked))
      case "stop":
        return this.lastLook()
      case "over":
        return Cause.done()
    }
  }

  private request(): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    if (!("request" in this.source)) return Effect.succeed([])
    const { request } = this.source
    const { fail, model, reader } = this.following
    const streamed = !request.background || (this.source.streamed ?? model.demands(request.options).streamed)
    return Effect.flatMap(send(this.following, request, streamed), (outcome): Answered => {
      switch (outcome._tag) {
        case "Unknown":
          this.mode = "over"
          return fail(new Unconfirmed(outcome.error === undefined ? {} : { error: outcome.error }))
        case "Refused":
          this.mode = "over"
          return Effect.succeed([{ _tag: "Refused", error: outcome.error }])
        case "Named": {
          const { background, connection, responseId, status } = outcome
          reader.name(responseId)
          this.connection = connection
          this.mode = connection === undefined ? "poll" : "live"
          if (request.background && background === false) {
            this.failing = new BackgroundUnsupported({ provider: `${model.provider} ${model.model}` })
          }
          return Effect.succeed([
            { _tag: "Accepted", responseId, status, streamed, ...(background === undefined ? {} : { background }) }
          ])
        }
      }
    })
  }

  private attach(): Effect.Effect<ReadonlyArray<Followed>> {
    const { connection } = this
    this.connection = undefined
    return Effect.map(
      this.mode === "live" && connection !== undefined ? live(this.following, connection) : replay(this.following),
      (attachment) => {
        this.attachment = attachment
        return []
      }
    )
  }

  private detach(exit: Exit.Exit<void, unknown>): Effect.Effect<void> {
    const current = this.attachment
    this.attachment = undefined
    return current === undefined ? Effect.void : current.close(exit)
  }

  private read(attachment: Attachment): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    const events = attachment.take()
    if (events === undefined) {
      return Effect.flatMap(attachment.wait, (loss) =>
        loss === undefined ? this.read(attachment) : this.lose(attachment, loss)
      )
    }
    const { reader, watch } = this.following
    watch.heard()
    const { doubted, progressed, updates } = reader.read(events, attachment.origin)
    const isFirst = progressed && !attachment.progressed
    if (progressed) attachment.progressed = true
    const delivered = this.deliver(updates, (exit) => this.detach(exit))
    const told = doubted ? Effect.andThen(this.detach(Exit.void), delivered) : delivered
    return isFirst ? Effect.andThen(this.reconnect.progressed(), told) : told
  }

  private lose(attachment: Attachment, loss: Loss): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    return Effect.andThen(
      this.detach(exitOf(loss)),
      Effect.suspend(() => {
        if (loss._tag === "Stopped") {
          this.mode = "stop"
          return Effect.succeed([])
        }
        return Effect.flatMap(this.reconnect.next(attachment, loss), (next) => this.goOn(next))
      })
    )
  }

  private goOn(next: Next): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    if (next._tag === "Ended") return this.seen(next.looked)
    const streamed = "request" in this.source ? true : this.source.streamed
    this.mode = next._tag === "Attach" && this.replays(streamed) ? "replay" : "poll"
    return Effect.succeed([])
  }

  /** Delivers the result of a retrieval. */
  private seen({ close, look: shown }: Looked): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    const { reader, trouble, watch } = this.following
    if (shown._tag === "Gone") {
      reader.expire()
      return this.deliver([], () => Effect.void)
    }
    watch.heard()
    return Effect.andThen(trouble.ended(), this.deliver(reader.fill(shown.snapshot), close))
  }

  /** The response has ended, or ended with its connection: one retrieval shows how. */
  private lastLook(): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    const { model, policy, reader } = this.following
    const responseId = reader.responseId ?? ""
    return Effect.result(model.retrieve(responseId)).pipe(
      Effect.timeoutOption(policy.closeTimeout),
      Effect.flatMap((answer) => {
        const shown =
          Option.isSome(answer) && answer.value._tag === "Success" ? answer.value.success.snapshot : undefined
        return this.deliver(
          reader.fill(
            shown !== undefined && isOver(shown.status) ? shown : { responseId, status: "cancelled", items: [] }
          ),
          () => Effect.void
        )
      })
    )
  }

  /** Delivers updates, and the end of the response right after the last one. */
  private deliver(
    updates: ReadonlyArray<AgentUpdate>,
    close: (exit: Exit.Exit<void, unknown>) => Effect.Effect<void>
  ): Effect.Effect<ReadonlyArray<Followed>, AgentError> {
    const { reader, telemetry } = this.following
    const { ending } = reader
    if (updates.length > 0) telemetry.delivered(updates.length)
    if (ending === undefined) return Effect.succeed(updates)
    this.mode = "over"
    const reason = reasonOf({}, { turns: [], ended: ending })
    const exit = reason === undefined ? Exit.void : Exit.fail(this.following.errorOf(reason))
    return telemetry.ended(ending).pipe(
      Effect.andThen(close(exit)),
      Effect.andThen(ending.shows || reader.isFromStart ? Effect.succeed(ending.snapshot) : this.lookAgain()),
      Effect.map((snapshot) => [...updates, this.endedWith(ending, snapshot)])
    )
  }

  private endedWith(ending: Ending, snapshot: ModelSnapshot | undefined): Followed {
    const { reader } = this.following
    const { delivered } = reader.position
    const shows = ending.shows || (snapshot !== undefined && snapshot !== ending.snapshot)
    const calls = shows
      ? toolCallsIn(snapshot?.items ?? [])
      : reader.isFromStart || !delivered.calls
        ? reader.calls
        : undefined
    return {
      _tag: "ResponseEnded",
      status: ending.status,
      ...(ending.error === undefined ? undefined : { error: ending.error }),
      ...(snapshot === undefined ? undefined : { snapshot }),
      shows,
      ...(calls === undefined ? undefined : { calls }),
      position: reader.position.token
    }
  }

  /** The end showed no output, and this process did not deliver all of it: a retrieval may show it. */
  private lookAgain(): Effect.Effect<ModelSnapshot | undefined, AgentError> {
    const { model, policy, reader, trouble } = this.following
    const { ending, responseId } = reader
    const isWhole = ending?.status === "completed" || ending?.status === "incomplete"
    if (!isWhole || responseId === undefined) return Effect.succeed(ending?.snapshot)
    return guarded(this.following, look(model, responseId, { schedule: policy.requestRetry, trouble })).pipe(
      Effect.map((seen) =>
        seen._tag === "Shown" && isOver(seen.snapshot.status) && seen.snapshot.items.length > 0
          ? seen.snapshot
          : ending?.snapshot
      ),
      Effect.catchTag("AiError", () => Effect.succeed(ending?.snapshot))
    )
  }

  /**
   * Stops a foreground response, which its connection keeps alive, while the consumer is busy with an update. If the
   * consumer waits for an update, the attachment reports the stop instead.
   */
  stop(): Effect.Effect<void> {
    if (this.isPulled || this.background || this.mode === "over" || this.mode === "request") return Effect.void
    this.mode = "stop"
    const { connection } = this
    this.connection = undefined
    return connection === undefined ? this.detach(Exit.void) : Scope.close(connection.scope, Exit.void)
  }
}
