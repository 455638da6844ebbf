import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Types from "effect/Types"
import { type AgentError, LogFailed, LogFull } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { Opened } from "../../UpdateLog.ts"
import { LogFenced, LogGap, UpdateLogError } from "../../UpdateLogError.ts"
import { type Offsets, type Position, positionOf, tokenOf } from "../follow/position.ts"
import * as Repeated from "../hold/repeated.ts"
import { Signal } from "../primitives/signal.ts"
import * as ChunkBody from "./chunkBody.ts"
import type { Feed } from "./feed.ts"
import { type Logged, persistently } from "./reading.ts"

interface Options {
  readonly logged: Logged
  readonly epoch: number
  readonly opened: Opened
  /** The position at the end of the log. */
  readonly position: ContinuationToken
  readonly offsets: Offsets
  readonly feed: Feed
  /** Called if another worker writes the log: the error with which this one stops. */
  readonly fenced: () => AgentError
  /** Called when the log says that the run has ended, or not after all. */
  readonly onEnded: (ended: boolean) => void
  /** The number of updates before which the log may be truncated: their consumer has acknowledged them for good. */
  readonly acknowledged: Effect.Effect<number, AgentError>
}

// So many updates are appended at once, without waiting for more.
const enough = 1024

// One chunk takes so much, and so much waits for chunks before the provider's connection is no longer read. The chunk after
// one that is being appended can grow, so the log takes more updates the more there are.
const chunkUpdates = 2048
const chunkBytes = 64 * 1024
const mostUpdates = 4096
const mostBytes = 1024 * 1024

// After a truncation the log has room again for this part of its limit.
const freed = 1 / 4

/** The approximate size of an update in bytes. */
const sizeOf = ({ part }: AgentUpdate): number => {
  if (part === undefined) return 16
  if ("delta" in part) return part.delta.length + 16
  if (part.type === "file") return (part.data.length * 4) / 3
  return part.type === "tool-call" || part.type === "tool-result" ? JSON.stringify(part).length : 256
}

/** The update as the log has it: see `ChunkBody`. */
const kept = (update: AgentUpdate, continuationToken: AgentUpdate["continuationToken"]): AgentUpdate => {
  const { origin, part, responseId, retried, runId, session, status, text, turn, waitingFor } = update
  const isWhole = turn === undefined && session === undefined
  const isPlain = part !== undefined && isWhole && retried === undefined && waitingFor === undefined
  // Nearly all updates are so. Spreading them would cost more than all else that is done here.
  if (isPlain) return { _tag: "Update", part, text, status, runId, responseId, continuationToken, origin }
  const made: Types.Mutable<AgentUpdate> = { ...update, continuationToken }
  delete made.sequenceNumber
  return made
}

/**
 * Appends the updates of a run to its log, in chunks, one at a time. An append that has no answer is repeated as it was. The
 * updates reach the feed of this process once they are in the log.
 */
export class ChunkWriter {
  /** Fires when the log can no longer be written. */
  readonly failed = new Signal<AgentError>()
  private readonly options: Options
  private readonly one = Semaphore.makeUnsafe(1)
  private readonly every: number
  /** The updates that wait to be appended, and the position after each of them. */
  private waiting: Array<AgentUpdate> = []
  private positions: Array<Position | ContinuationToken> = []
  private size = 0
  private length: number
  private bytes: number
  private saysEnd: boolean
  private position: ContinuationToken
  private room: Latch.Latch | undefined
  private writer: Repeated.Repeated | undefined

  constructor(options: Options) {
    const { logged, opened, position } = options
    this.options = options
    this.every = Duration.toMillis(logged.policy.logEvery)
    this.length = opened.length
    this.bytes = opened.bytes
    this.saysEnd = false
    if (opened.last?.ended === true) this.setEnded(true)
    this.position = position
  }

  /** Starts the writer; it stops when the scope closes. */
  begin(): Effect.Effect<void, never, Scope.Scope> {
    const { agent, runId } = this.options.logged
    const work = this.one.withPermit(this.some()).pipe(
      Effect.catch((error) => Effect.sync(() => this.failed.fire(error))),
      Effect.as(undefined)
    )
    return Effect.map(Repeated.make(work, { annotations: { agent, runId } }), (writer) => {
      this.writer = writer
    })
  }

  /** Whether the log says that the run has ended. */
  get ended(): boolean {
    return this.saysEnd
  }

  /** Takes updates. `after` is the position after the last one, if that one has none. Waits while too much is waiting. */
  push(updates: ReadonlyArray<AgentUpdate>, after: ContinuationToken): Effect.Effect<void, AgentError> {
    const { offsets } = this.options
    for (const update of updates) {
      const offset = this.length + this.waiting.length + 1
      this.waiting.push(kept(update, offsets.at(offset, update.status)))
      this.positions.push(positionOf(update.continuationToken) ?? after)
      this.size += sizeOf(update)
    }
    this.writer?.within(this.isEnough ? 0 : this.every)
    if (this.waiting.length < mostUpdates && this.size < mostBytes) return Effect.void
    const room = (this.room ??= Latch.makeUnsafe(false))
    return Effect.raceFirst(room.await, this.failed.whenFired(Effect.fail))
  }

  /** The update as readers get it who have read the whole log. */
  said(update: AgentUpdate): AgentUpdate {
    return kept(update, this.options.offsets.at(this.length, update.status))
  }

  /** Appends everything that waits. */
  readonly flush: Effect.Effect<void, AgentError> = Effect.suspend(() => this.one.withPermit(this.all(false)))

  /** Appends everything that waits, and that the run has ended. */
  readonly end: Effect.Effect<void, AgentError> = Effect.suspend(() => this.one.withPermit(this.all(true)))

  /** Appends that the run has not ended after all. */
  readonly reopen: Effect.Effect<void, AgentError> = Effect.suspend(() =>
    this.one.withPermit(Effect.suspend(() => (this.saysEnd ? this.append([], false) : Effect.void)))
  )

  private get isEnough(): boolean {
    return this.waiting.length >= enough || this.size >= chunkBytes
  }

  /** Appends what waits now, and after that as long as enough waits: what came meanwhile has its own time. */
  private some(): Effect.Effect<void, AgentError> {
    return Effect.suspend(() => this.until(this.length + this.waiting.length))
  }

  private until(length: number): Effect.Effect<void, AgentError> {
    return Effect.suspend(() =>
      this.waiting.length > 0 && (this.length < length || this.isEnough)
        ? Effect.andThen(this.append(this.next(), false), this.until(length))
        : Effect.void
    )
  }

  private all(ends: boolean): Effect.Effect<void, AgentError> {
    return Effect.suspend(() => {
      const some = this.next()
      const isLast = ends && some.length === this.waiting.length
      if (some.length === 0 && (!isLast || this.saysEnd)) return Effect.void
      return Effect.andThen(this.append(some, isLast), isLast ? Effect.void : this.all(ends))
    })
  }

  /** The updates of the next chunk: they have one response and one origin. */
  private next(): ReadonlyArray<AgentUpdate> {
    const [first] = this.waiting
    if (first === undefined) return []
    const { origin, responseId } = first
    let size = 0
    let count = 0
    for (const update of this.waiting) {
      size += sizeOf(update)
      if (count === chunkUpdates || (count > 0 && size > chunkBytes)) break
      if (update.origin !== origin || update.responseId !== responseId) break
      count++
    }
    return this.waiting.slice(0, count)
  }

  private append(updates: ReadonlyArray<AgentUpdate>, ended: boolean): Effect.Effect<void, AgentError> {
    return Effect.gen({ self: this }, function* () {
      const { epoch, feed, logged } = this.options
      const { log, runId } = logged
      yield* this.makeRoom()
      const from = this.length
      const count = updates.length
      const last = this.positions[count - 1]
      const position = last === undefined ? this.position : tokenOf(last)
      const body = yield* ChunkBody.encode(
        {
          responseId: updates[0]?.responseId ?? position.responseId ?? "",
          origin: updates[0]?.origin ?? "live",
          updates
        },
        Math.floor(yield* Clock.currentTimeMillis),
        position
      ).pipe(Effect.mapError((cause) => logged.errorOf(new LogFailed({ error: notWritten(cause) }))))
      const chunk = { from, count, epoch, ended, body }
      const grown = yield* persistently(
        logged,
        "updates of a run could not be appended to its log, and are not delivered until they are",
        log.append(runId, chunk)
      ).pipe(Effect.catch((error) => Effect.fail(this.refused(error))))
      this.length = from + count
      this.bytes = grown.bytes
      if (this.saysEnd !== ended) this.setEnded(ended)
      this.position = position
      this.waiting.splice(0, count)
      this.positions.splice(0, count)
      for (const update of updates) this.size -= sizeOf(update)
      if (this.waiting.length < mostUpdates && this.size < mostBytes) {
        const { room } = this
        this.room = undefined
        room?.openUnsafe()
      }
      // One writer has one epoch.
      feed.push({ from, epoch, updates, length: body.length }, ended, true)
    })
  }

  private setEnded(ended: boolean): void {
    this.saysEnd = ended
    this.options.onEnded(ended)
  }

  private refused(error: AgentError | LogFenced | LogGap): AgentError {
    if (error instanceof LogFenced) return this.options.fenced()
    if (!(error instanceof LogGap)) return error
    const { errorOf } = this.options.logged
    const description =
      `the log has ${error.length} updates, although ${this.length} were appended: its place lost some. ` +
      "Resume the run to read them again"
    return errorOf(new LogFailed({ error: new UpdateLogError({ operation: "append", kind: "lost", description }) }))
  }

  /** Removes the oldest acknowledged updates if the log has become too large. */
  private makeRoom(): Effect.Effect<void, AgentError> {
    const { acknowledged, logged } = this.options
    const { maxLog } = logged.policy
    if (this.bytes <= maxLog) return Effect.void
    return Effect.gen({ self: this }, function* () {
      const { errorOf, log, runId } = logged
      const first = yield* this.first()
      const part = 1 - (maxLog * (1 - freed)) / this.bytes
      const wanted = first + Math.ceil((this.length - first) * part)
      const before = Math.min(wanted, yield* acknowledged)
      if (before <= first) return yield* errorOf(new LogFull({ runId, bytes: this.bytes, limit: maxLog }))
      yield* persistently(logged, "the log of a run could not be truncated", log.truncate(runId, before))
      // The next append returns the size that the log then has. Until then this is an estimate.
      this.bytes = Math.ceil((this.bytes * (this.length - before)) / (this.length - first))
    })
  }

  private first(): Effect.Effect<number, AgentError> {
    const { logged } = this.options
    const page = logged.log.read(logged.runId, { from: this.length, limit: 1 })
    return persistently(logged, "the log of a run could not be read", page).pipe(
      Effect.map((seen) => seen.first),
      Effect.catchTags({
        LogTruncated: ({ first }) => Effect.succeed(first),
        LogNotFound: () => Effect.succeed(this.length)
      })
    )
  }
}

const notWritten = (cause: unknown): UpdateLogError =>
  new UpdateLogError({
    operation: "append",
    kind: "corrupt",
    description: "an update cannot be written as JSON; this is a bug of Baton",
    cause
  })
