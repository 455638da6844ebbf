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

// No operation has a timer, a race or a fiber of its own: they cost more than the command. Answers come in the order of the
// commands, so one sleeping fiber looks at the oldest, and while Redis answers in time it wakes once in a limit of time.

/** How many operations are sent at once. The others wait for their turn, so that no limit counts the work before it. */
const most = 1000

/** An operation that is under way. A plain record: there is one for each command. */
export interface Operation {
  readonly name: string
  readonly limit: number
  /** Ends it with a failure. */
  readonly resume: (late: Effect.Effect<never, TokenStoreError.TokenStoreError>) => void
  /** From when its limit counts: when it was written, or if it waits for its turn, when that began. */
  since: number
  /** How often its limit began again because the process was late. */
  again: number
  fiber: Fiber.Fiber<unknown, Redis.RedisError> | undefined
}

type Ended = Exit.Exit<unknown, Redis.RedisError>

/** Sends a command, and tells its end; the fiber that does it, if it takes one. */
export type Send = (
  command: ReadonlyArray<string>,
  context: Context.Context<never>,
  end: (exit: Ended) => void
) => Fiber.Fiber<unknown, Redis.RedisError> | undefined

/** Sends by the service, which takes a fiber for each command. */
export const sendBy =
  (redis: Redis.Redis["Service"]): Send =>
  ([name = "", ...args], context, end) => {
    const fiber = Effect.runForkWith(context)(redis.send<unknown>(name, ...args))
    fiber.addObserver(end)
    return fiber
  }

/** Sends by the client itself. */
export const sendDirectly =
  (client: { readonly sendCommand: (command: Array<string>) => Promise<unknown> }): Send =>
  (command, _, end) => {
    client.sendCommand([...command]).then(
      (reply) => end(Exit.succeed(reply)),
      (cause: unknown) => end(Exit.fail(new Redis.RedisError({ cause })))
    )
    return undefined
  }

/** What is under way on a connection, each operation with a limit of time. */
export class Connection {
  readonly send: Send
  /** Whether commands are sent in the context of who asks for them. */
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

  /** Sends it by `send` if there is room, or else later; whether it was sent. */
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

  /** Whether it has not been given up. */
  has(operation: Operation): boolean {
    return this.sent.has(operation)
  }

  /** It is over. */
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

  /** Looks no more. */
  close(): void {
    this.sleeper?.interruptUnsafe()
    this.wakesAt = Number.NEGATIVE_INFINITY
  }

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  // Clients write when the event loop comes round, and a busy process takes long for that: no limit counts before.
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

  // A process that stood still may only now write what its limit counts for, and Redis has not seen it: the limit begins
  // again. Not for ever, or a process that is always late would never give up.
  private isExcused({ again, limit }: Operation, late: number): boolean {
    return late > Math.max(50, limit / 10) && again < 5
  }

  // A timer fires before the socket is read: if the process was late, answers lie there. So an operation is over if it is
  // found so twice, with a turn of the event loop between. If the oldest was answered in it, Redis answers, and has another
  // limit of time for the rest: much of it may only be written now.
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
        // Those that wait are not told to wait on for a server that does not answer.
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

/** A connection, until the scope ends. */
export const make = (send: Send, lendsContext: boolean): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(
      Effect.all([Clock.Clock, Scheduler.Scheduler]),
      ([clock, scheduler]) => new Connection(send, lendsContext, clock, scheduler)
    ),
    (connection) => Effect.sync(() => connection.close())
  )
