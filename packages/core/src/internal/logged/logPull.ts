import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { Updates } from "../run/turnEnd.ts"
import type { Chunk } from "../../UpdateLog.ts"
import type { Entry, Feed } from "./feed.ts"
import { entryOf, type Logged, lostEnd, pageSize, type Place, read, verify } from "./reading.ts"

// How much of the log one reader holds: a page, of which one chunk at a time is decoded. In characters.
const pageLength = 256 * 1024

/** Reads a log from a place on: the newest updates from the feed of this process, all others from the log. */
export class LogPull {
  private readonly logged: Logged
  private readonly feed: Feed
  /** The incarnation of the tokens; that of each chunk if it is absent. */
  private readonly incarnation: number | undefined
  private offset: number
  private epoch: number | undefined
  private page: ReadonlyArray<Chunk> = []
  /** The number of chunks of the page that were taken. */
  private taken = 0
  /** The number of chunks of the next page: a page of large chunks has fewer of them. */
  private most = 4
  private newest: AgentUpdate | undefined

  constructor(logged: Logged, feed: Feed, from: Place, incarnation?: number) {
    this.logged = logged
    this.feed = feed
    this.offset = from.offset
    this.epoch = from.epoch
    this.incarnation = incarnation
  }

  /** Whether an update is the last one of its run, as far as this process knows. */
  isLast(update: AgentUpdate): boolean {
    return update === this.newest && this.feed.ended && this.offset === this.feed.length
  }

  readonly pull: Updates = Effect.suspend((): Updates => {
    const { feed, offset } = this
    const next = this.page[this.taken]
    if (next !== undefined) {
      this.taken++
      return Effect.flatMap(entryOf(this.logged, next, this.incarnation), (entry) => this.take(entry))
    }
    const entry = feed.at(offset)
    if (entry !== undefined) return this.take(feed.from(entry))
    if (offset < feed.length) return Effect.flatMap(this.more(), () => this.pull)
    const { exit } = feed
    if (exit === undefined) return Effect.flatMap(feed.changed, () => this.pull)
    const over: Updates = exit._tag === "Success" ? Cause.done() : Effect.failCause(exit.cause)
    // The end belongs to the updates that were read only if these are still the ones before it.
    const isSame = !feed.ended || (offset === feed.length && this.epoch === feed.at(offset - 1)?.epoch)
    return isSame ? over : Effect.andThen(verify(this.logged, { offset, epoch: this.epoch }), over)
  })

  private take(entry: Entry): Updates {
    const { epoch, from, updates } = entry
    const isOther = this.epoch !== undefined && this.epoch !== epoch
    if (isOther && this.offset > 0 && this.epoch !== this.feed.at(this.offset - 1)?.epoch) {
      return Effect.flatMap(verify(this.logged, { offset: this.offset, epoch: this.epoch }), () => {
        this.epoch = undefined
        return this.take(entry)
      })
    }
    const some = from === this.offset ? updates : updates.slice(this.offset - from)
    this.offset = from + updates.length
    this.epoch = epoch
    this.newest = some.at(-1)
    return Arr.isReadonlyArrayNonEmpty(some) ? Effect.succeed(some) : this.pull
  }

  private more(): Effect.Effect<void, AgentError> {
    const { errorOf, runId } = this.logged
    return read(this.logged, this.offset, this.most).pipe(
      Effect.catchTags({
        LogTruncated: (error) => Effect.fail(errorOf(error)),
        LogNotFound: (error) => Effect.fail(errorOf(error))
      }),
      Effect.flatMap(({ chunks, length }) => {
        // The place of the log lost a part of it, which nobody writes again if the run has ended.
        if (chunks.length === 0 && this.feed.exit?._tag === "Success")
          return Effect.fail(errorOf(lostEnd(runId, length)))
        if (chunks.length === 0) this.feed.shrink(length)
        this.page = chunks
        this.taken = 0
        const size = chunks.reduce((sum, { body }) => sum + body.length, 0)
        this.most = Math.max(1, Math.min(pageSize, Math.floor((pageLength * chunks.length) / Math.max(1, size))))
        return Effect.void
      })
    )
  }
}
