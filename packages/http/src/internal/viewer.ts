/**
 * One viewer of one run, from its first byte to its last.
 *
 * The server pulls, one piece at a time. A pull returns what is there; if nothing is, a fiber asks the log for more, and the
 * pull waits for that fiber, for a heartbeat, or for the end. So a viewer holds one page of the log, and a viewer that takes
 * nothing holds no more. Modes: `open`; `slow`, `shutdown` and `trouble`, in which the next pull sends the viewer away; and
 * `over`, after the last event.
 */
import type { AgentError } from "@effect-baton/core/AgentError"
import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import { isOver, type RunStatus } from "@effect-baton/core/Run"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { RunViewers, Viewer } from "../RunViewers.ts"
import * as Frames from "./frames.ts"
import type { Engine } from "./known.ts"
import { ofReason, plain, statusOf } from "./problems.ts"

/** The place after which a viewer begins. */
export interface After {
  readonly offset: number
  readonly epoch?: number
}

/** What a viewer needs of its run. */
export interface Watched {
  /** The updates after a place, or from the first. */
  readonly watch: (after: After | undefined) => Stream.Stream<AgentUpdate, AgentError, Engine>
  /** The status of the run as its record shows it. */
  readonly status: Effect.Effect<RunStatus, AgentError, Engine>
}

type Page = readonly [AgentUpdate, ...Array<AgentUpdate>]

export class RunViewer implements Viewer {
  private mode: "open" | "slow" | "shutdown" | "trouble" | "over" = "open"
  private readonly wake = Latch.makeUnsafe(false)
  private page: Page | undefined
  private taken = 0
  /** The fiber that reads the log, one page whenever `asked` is open. */
  private upstream: { readonly scope: Scope.Closeable; readonly asked: Latch.Latch } | undefined
  private asking = false
  private answer: Exit.Exit<Page, AgentError | Cause.Done> | undefined
  private after: After | undefined
  private lastId: string | undefined
  private lastStatus: RunStatus = "queued"
  private preface: Uint8Array | undefined
  private waits = false
  private beat = false
  /** When the server last took something, or began to wait. */
  private since: number
  private reader: Fiber.Fiber<unknown, unknown> | undefined
  private readonly run: Watched
  private readonly context: Context.Context<Engine>
  private readonly scope: Scope.Scope
  private readonly clock: Clock.Clock
  private readonly viewers: Pick<RunViewers["Service"], "heartbeat" | "timeout">
  private readonly readsRetry: boolean

  constructor(options: {
    readonly run: Watched
    readonly context: Context.Context<Engine>
    readonly after: After | undefined
    readonly reset: boolean
    readonly readsRetry: boolean
    readonly scope: Scope.Scope
    readonly clock: Clock.Clock
    readonly viewers: Pick<RunViewers["Service"], "heartbeat" | "timeout">
  }) {
    this.run = options.run
    this.context = options.context
    this.scope = options.scope
    this.clock = options.clock
    this.viewers = options.viewers
    this.readsRetry = options.readsRetry
    this.after = options.reset ? undefined : options.after
    this.lastId = this.after?.epoch === undefined ? undefined : `${this.after.offset}.${this.after.epoch}`
    // Something must go out at once, or no client learns that the response has begun.
    this.preface = options.reset ? Frames.reset : Frames.heartbeat
    this.since = options.clock.currentTimeMillisUnsafe()
  }

  look(now: number): void {
    if (this.mode === "over") return
    if (this.waits) {
      if (now - this.since >= this.viewers.heartbeat) {
        this.beat = true
        this.wake.openUnsafe()
      }
      return
    }
    const quiet = now - this.since
    if (quiet >= this.viewers.timeout && this.mode === "open") {
      this.mode = "slow"
      this.release()
    }
    // It had some more time to take its last event.
    if (quiet >= this.viewers.timeout * 1.25) this.reader?.interruptUnsafe()
  }

  dismiss(): void {
    if (this.mode === "open") this.mode = "shutdown"
    this.wake.openUnsafe()
  }

  /** The next piece of the response. */
  readonly next: Pull.Pull<readonly [Uint8Array, ...Array<Uint8Array>]> = Effect.suspend(() => {
    if (this.mode === "over") return Cause.done()
    const { preface } = this
    if (preface !== undefined) {
      this.preface = undefined
      return this.sent(preface)
    }
    if (this.mode !== "open") return this.sendAway(this.mode)
    if (this.page !== undefined) return this.some(this.page)
    if (this.answer !== undefined) return this.answered(this.answer)
    if (this.beat) return this.sent(Frames.heartbeat)
    return Effect.andThen(this.waiting, this.next)
  })

  private readonly waiting = Effect.withFiber<void>((fiber) => {
    this.reader = fiber
    if (!this.waits) this.since = this.clock.currentTimeMillisUnsafe()
    this.waits = true
    this.wake.closeUnsafe()
    // What came since the pull looked.
    if (this.answer !== undefined || this.beat || this.mode !== "open") return Effect.void
    return this.asking ? this.wake.await : Effect.andThen(this.ask, this.wake.await)
  })

  private readonly ask = Effect.suspend(() => {
    this.asking = true
    if (this.upstream === undefined) return this.connect
    this.upstream.asked.openUnsafe()
    return Effect.void
  })

  private readonly connect = Effect.suspend(() =>
    Effect.flatMap(Scope.fork(this.scope), (scope) => {
      const asked = Latch.makeUnsafe(true)
      this.upstream = { scope, asked }
      const updates = this.run.watch(this.after)
      // `Stream.toPull` would provide its context again for each pull.
      const all = Effect.flatMap(Channel.toPullScoped(Stream.toChannel(updates), scope), (pull) => {
        const once = Effect.map(
          Effect.flatMap(asked.await, () => pull),
          (page) => {
            asked.closeUnsafe()
            this.hear(Exit.succeed(page))
          }
        )
        return Effect.forever(once, { disableYield: true })
      })
      return all.pipe(
        Effect.onError((cause) => Effect.sync(() => this.hear(Exit.failCause(cause)))),
        Effect.provideContext(this.context),
        Effect.forkIn(scope)
      )
    })
  )

  private hear(answer: Exit.Exit<Page, AgentError | Cause.Done>): void {
    this.asking = false
    this.answer = answer
    this.wake.openUnsafe()
  }

  private some(page: Page): Pull.Pull<readonly [Uint8Array, ...Array<Uint8Array>]> {
    const piece = Frames.pieceOf(page, this.taken)
    if ("_tag" in piece) {
      const sealed = Effect.provideContext(Frames.seal(piece), this.context)
      return Effect.flatMap(sealed, () => this.some(page))
    }
    this.taken = piece.taken
    this.lastId = piece.lastId ?? this.lastId
    this.lastStatus = piece.lastStatus
    if (this.taken === page.length) this.page = undefined
    return this.sent(piece.bytes)
  }

  private answered(
    exit: Exit.Exit<Page, AgentError | Cause.Done>
  ): Pull.Pull<readonly [Uint8Array, ...Array<Uint8Array>]> {
    this.answer = undefined
    if (Exit.isSuccess(exit)) {
      this.page = exit.value
      this.taken = 0
      return this.some(exit.value)
    }
    // Every viewer gets its last updates before the connection of any is closed, which takes longer.
    if (Pull.isDoneCause(exit.cause)) return Effect.andThen(Effect.yieldNowWith(1), this.ended(undefined))
    const failure = Cause.findErrorOption(exit.cause as Cause.Cause<AgentError>)
    if (Option.isNone(failure)) {
      return Effect.andThen(Effect.logError("A viewer's stream died.", exit.cause), this.sendAway("trouble"))
    }
    const error = failure.value
    if (error.reason._tag === "TokenInvalid" && error.reason.kind === "rewritten") {
      this.release()
      this.after = undefined
      this.lastId = undefined
      return this.sent(Frames.reset)
    }
    return error.isRetryable
      ? Effect.andThen(Effect.logWarning(error.message), this.sendAway("trouble"))
      : this.ended(error)
  }

  private ended(error: AgentError | undefined): Pull.Pull<readonly [Uint8Array, ...Array<Uint8Array>]> {
    return Effect.gen({ self: this }, function* () {
      const told = isOver(this.lastStatus) ? this.lastStatus : error && statusOf(error.reason)
      const status =
        told ??
        (yield* this.run.status.pipe(
          Effect.provideContext(this.context),
          Effect.catch(() => Effect.succeed(this.lastStatus))
        ))
      const problem = error === undefined ? {} : { problem: plain(ofReason(error.reason)) }
      this.mode = "over"
      return yield* this.sent(Frames.end({ status, ...problem }))
    })
  }

  private sendAway(reason: "slow" | "shutdown" | "trouble"): Pull.Pull<readonly [Uint8Array, ...Array<Uint8Array>]> {
    return Effect.gen({ self: this }, function* () {
      // Not all at the same time.
      const wait = this.readsRetry ? yield* Random.nextIntBetween(1000, 5000) : undefined
      const after = this.lastId === undefined ? {} : { after: this.lastId }
      this.mode = "over"
      return yield* this.sent(Frames.retryLater({ reason, ...after }, wait))
    })
  }

  private sent(bytes: Uint8Array): Effect.Effect<readonly [Uint8Array]> {
    return Effect.withFiber((fiber) => {
      this.reader = fiber
      this.waits = false
      this.beat = false
      this.since = this.clock.currentTimeMillisUnsafe()
      return Effect.succeed([bytes] as const)
    })
  }

  /** Lets go of the log. */
  private release(): void {
    const { upstream } = this
    this.upstream = undefined
    this.page = undefined
    if (upstream !== undefined) Effect.runFork(Scope.close(upstream.scope, Exit.void))
  }
}
