import type { TokenStoreError } from "@effect-baton/core"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Redis from "effect/persistence/Redis"
import * as RedisFailure from "./redisFailure.ts"

// No operation has a timer, a race or a fiber of its own, because they cost more than the command. Answers come in the order
// of the commands, so one sleeping fiber checks the oldest operation. While Redis answers in time it wakes once per limit.

/** How many operations are sent at once. The others wait, so that no limit includes the work of earlier operations. */
const most = 1000

/** An operation that is under way. It is a plain record because there is one for each command. */
export interface Operation {
  readonly name: string
  readonly limit: number
  /** Ends the operation with a failure. */
  readonly resume: (late: Effect.Effect<never, TokenStoreError.TokenStoreError>) => void
  /** When its limit started: when the command was written, or, if it waits for its turn, when the wait began. */
  since: number
  /** How often its limit started again because the process was late. */
  again: number
  fiber: Fiber.Fiber<unknown, Redis.RedisError> | undefined
}

type Ended = Exit.Exit<unknown, Redis.RedisError>

/** Sends a command and calls `end` with its result. Returns the fiber that sends it, if there is one. */
export type Send = (
  command: ReadonlyArray<string>,
  context: Context.Context<never>,
  end: (exit: Ended) => void
) => Fiber.Fiber<unknown, Redis.RedisError> | undefined

/** Sends commands with the service, which takes a fiber for each command. */
export const sendBy =
  (redis: Redis.Redis["Service"]): Send =>
  ([name = "", ...args], context, end) => {
    const fiber = Effect.runForkWith(context)(redis.send<unknown>(name, ...args))
    fiber.addObserver(end)
    return fiber
  }

/** Sends commands directly with the client. */
export const sendDirectly =
  (client: { readonly sendCommand: (command: Array<string>) => Promise<unknown> }): Send =>
  (command, _, end) => {
    client.sendCommand([...command]).then(
      (reply) => end(Exit.succeed(reply)),
      (cause: unknown) => end(Exit.fail(new Redis.RedisError({ cause })))
    )
    return undefined
  }

/** The operations that are under way on a connection, each with a time limit. */
export class Connection {
  readonly send: Send
  /** Whether commands are sent in the context of the caller. */
  readonly lendsContext: boolean
  private readonly clock: Clock.Clock
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly sent = new Set<Operation>()
  private readonly waiting = new Map<Operation, () => void>()
  private unwritten: Array<Operation> = []
  private sleeper: Fiber.Fiber<void> | undefined
  private wakesAt = Number.POSITIVE_INFINITY

  constructor(send: Send, lendsContext: boolean, clock: Clock.Clock, scheduler: Scheduler.Scheduler) {
    this.send = send
    this.lendsContext = lendsContext
    this.clock = clock
    this.dispatcher = scheduler.makeDispatcher()
    this.fork = Effect.runForkWith(Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, scheduler)))
  }

  /** Calls `send` now if fewer than `most` operations are sent, or else later. Returns whether it was called. */
  begin(operation: Operation, send: () => void): boolean {
    if (this.sent.size >= most) {
      operation.since = this.now()
      this.waiting.set(operation, send)
      return false
    }
    this.sent.add(operation)
    this.write(operation)
    send()
    return true
  }

  /** Whether the operation is still under way. */
  has(operation: Operation): boolean {
    return this.sent.has(operation)
  }

  /** Removes an operation that is over, and sends the next one that waits. */
  leave(operation: Operation): void {
    if (!this.sent.delete(operation)) {
      this.waiting.delete(operation)
      return
    }
    for (const [next, send] of this.waiting) {
      this.waiting.delete(next)
      this.begin(next, send)
      return
    }
  }

  /** Stops checking the limits. */
  close(): void {
    this.sleeper?.interruptUnsafe()
    this.wakesAt = Number.NEGATIVE_INFINITY
  }

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  // A client writes at the next turn of the event loop, which a busy process may reach late. So no limit starts before that.
  private write(operation: Operation): void {
    operation.since = Number.POSITIVE_INFINITY
    if (this.unwritten.push(operation) > 1) return
    this.dispatcher.scheduleTask(() => {
      const written = this.unwritten
      const now = this.now()
      this.unwritten = []
      let first = Number.POSITIVE_INFINITY
      for (const each of written) {
        each.since = now
        first = Math.min(first, each.limit)
      }
      this.wake(now + first)
    }, 0)
  }

  private wake(at: number): void {
    if (at >= this.wakesAt) return
    this.sleeper?.interruptUnsafe()
    this.wakesAt = at
    const wait = Duration.millis(Math.max(0, Math.ceil(at - this.now())))
    this.sleeper = this.fork(Effect.andThen(this.clock.sleep(wait), this.look))
  }

  private over(operations: Iterable<Operation>): ReadonlyArray<Operation> {
    const now = this.now()
    return Array.from(operations).filter(({ limit, since }) => since + limit <= now)
  }

  // If the process was blocked, the command may not have been written yet, and Redis has not seen it. So the limit starts
  // again, but not without end: otherwise the operations of a process that is always late would never fail.
  private isExcused({ again, limit }: Operation, late: number): boolean {
    return late > Math.max(50, limit / 10) && again < 5
  }

  // A timer fires before the socket is read: if the process was late, answers may wait there. So an operation is late only if
  // two checks say so, with a turn of the event loop in between. If the oldest operation was answered in that turn, Redis
  // works, and the others get a new limit: many of their commands may only be written now.
  private readonly look: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const late = this.now() - this.wakesAt
    for (const operation of this.over(this.sent)) {
      if (!this.isExcused(operation, late)) continue
      operation.since = this.now()
      operation.again++
    }
    if (this.over(this.sent).length > 0) {
      const [oldest] = this.sent
      yield* Effect.yieldNow
      const over = this.over(this.sent)
      if (over.length > 0 && oldest !== undefined && !this.sent.has(oldest)) {
        const now = this.now()
        for (const operation of over) operation.since = now
      } else if (over.length > 0) {
        // Operations that wait for their turn fail too: the server does not answer.
        for (const operation of [...this.over(this.waiting.keys()), ...over]) {
          this.leave(operation)
          operation.resume(Effect.fail(RedisFailure.late(operation.name, operation.limit)))
          operation.fiber?.interruptUnsafe()
        }
      }
    }
    this.sleeper = undefined
    this.wakesAt = Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const { limit, since } of this.sent) next = Math.min(next, since + limit)
    this.wake(next)
  })
}

/** Makes a connection that checks limits until the scope ends. */
export const make = (send: Send, lendsContext: boolean): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(
      Effect.all([Clock.Clock, Scheduler.Scheduler]),
      ([clock, scheduler]) => new Connection(send, lendsContext, clock, scheduler)
    ),
    (connection) => Effect.sync(() => connection.close())
  )
