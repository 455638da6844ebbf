import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AgentError, type LogFailed, LogNotFound } from "../../AgentError.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import type { Page } from "../../UpdateLog.ts"
import { Allowance, type Entry, Feed } from "../logged/feed.ts"
import { entryOf, type Logged, lostEnd, pageSize, read, verify } from "../logged/reading.ts"
import { now, type OpenRun, readAgain } from "../run/openRun.ts"
import { reasonOf } from "../run/runReason.ts"
import { stuck } from "../run/stuck.ts"
import { foreseen } from "./foreseen.ts"

// Hints can be lost, and some changes of a run send none to its log.
const net = Duration.seconds(1)

// How long the record of a run is not read whose log does not end, in milliseconds.
const recordEvery = 5000

// Who comes while a run goes on reads its beginning from memory, as long as all runs that are watched take no more bytes.
const kept = new Allowance(16 * 1024 * 1024)

const atEnd = Number.MAX_SAFE_INTEGER

/** Follows the log of a run for all viewers in this process, as long as the scope lasts. */
export const make = Effect.fnUntraced(function* (
  run: OpenRun,
  logged: Logged
): Effect.fn.Return<Feed, AgentError, Scope.Scope> {
  const first = yield* readNew(logged, atEnd, 1)
  const feed = yield* Effect.acquireRelease(
    Effect.sync(() => new Feed(first?.length ?? 0, first?.ended ?? false, kept)),
    (it) => Effect.sync(() => it.forget())
  )
  const grown = Latch.makeUnsafe(false)
  yield* Effect.forkScoped(
    Stream.runForEach(logged.log.changes(run.runId), () => grown.open).pipe(
      Effect.ignoreCause,
      Effect.repeat(Schedule.spaced(net))
    )
  )
  const tail = new Tail(run, logged, feed, grown)
  yield* Effect.forkScoped(Effect.flatMap(Effect.exit(tail.run), (exit) => Effect.sync(() => feed.finish(exit))))
  return feed
})

/** Reads a page of the log. A log that nobody has opened yet is empty. */
const readNew = (logged: Logged, from: number, limit: number): Effect.Effect<Page | undefined, AgentError> =>
  read(logged, from, limit).pipe(
    Effect.catchTags({
      LogNotFound: () => Effect.undefined,
      LogTruncated: (error) => Effect.fail(logged.errorOf(error))
    })
  )

/** Reads the end of a log again and again. */
class Tail {
  private readonly opened: OpenRun
  private readonly logged: Logged
  private readonly feed: Feed
  private readonly grown: Latch.Latch
  /** When the record was last read, by the clock of this process. */
  private readAt = 0

  constructor(opened: OpenRun, logged: Logged, feed: Feed, grown: Latch.Latch) {
    this.opened = opened
    this.logged = logged
    this.feed = feed
    this.grown = grown
  }

  /** Ends as the run does. */
  readonly run: Effect.Effect<void, AgentError> = Effect.suspend(() => this.step())

  private step(): Effect.Effect<void, AgentError> {
    return Effect.flatMap(this.look(), (isMore): Effect.Effect<void, AgentError> => {
      if (isMore) return this.run
      return Effect.flatMap(this.over(), (isOver) =>
        isOver
          ? Effect.void
          : Effect.andThen(Effect.timeoutOption(this.grown.await, net), Effect.andThen(this.grown.close, this.run))
      )
    })
  }

  /** Reads what is new in the log. Returns whether there may be more. */
  private look(): Effect.Effect<boolean, AgentError> {
    const { feed, logged } = this
    return readNew(logged, feed.length, pageSize).pipe(
      Effect.flatMap((seen) => {
        if (seen === undefined || seen.length < feed.length) {
          const length = seen?.length ?? 0
          if (length < feed.length) feed.shrink(length)
          return Effect.succeed(false)
        }
        const { chunks, ended } = seen
        const isWhole = chunks.length < pageSize
        if (chunks.length === 0) {
          const nothing = { from: feed.length, epoch: 0, updates: [], length: 0 }
          return feed.ended === ended ? Effect.succeed(false) : Effect.as(this.push(nothing, ended), false)
        }
        return Effect.forEach(chunks, (chunk, i) =>
          Effect.flatMap(entryOf(logged, chunk), (entry) =>
            this.push(entry, ended && isWhole && i === chunks.length - 1)
          )
        ).pipe(Effect.as(!isWhole))
      })
    )
  }

  /** Adds an entry. Before one of another writer, the log is asked, once for all readers, whether it is as they know it. */
  private push(entry: Entry, ends: boolean): Effect.Effect<void> {
    const { feed, logged } = this
    const { epoch, length } = feed
    if (epoch === undefined || epoch === entry.epoch) return Effect.sync(() => feed.push(entry, ends, true))
    return Effect.match(verify(logged, { offset: length, epoch }), {
      onSuccess: () => feed.push(entry, ends, true),
      onFailure: () => feed.push(entry, ends, false)
    })
  }

  /** Whether nothing follows, because the run has ended. Fails as the run did, or if it can no longer go on. */
  private over(): Effect.Effect<boolean, AgentError> {
    const { feed, opened } = this
    return Effect.flatMap(now, (time) => {
      const isDue = feed.ended || time - this.readAt >= recordEvery
      if (!isDue) return Effect.succeed(false)
      this.readAt = time
      return Effect.flatMap(readAgain(opened), (record) => this.judge(record, time))
    })
  }

  private judge(record: RunRecord, time: number): Effect.Effect<boolean, AgentError> {
    const { feed, logged, opened } = this
    const state = foreseen(opened, record)
    if (state.ended === undefined) {
      const why = stuck(opened, record, time)
      return why === undefined ? Effect.succeed(false) : Effect.fail(logged.errorOf(why))
    }
    // The worker that ends the run also ends its log. A run that was given up has no worker.
    if (!feed.ended && record.lease !== null) return Effect.succeed(false)
    if (!feed.ended && RunState.fold(record).ended === undefined) return Effect.succeed(false)
    const reason = reasonOf(opened.agent, state)
    if (feed.ended) return reason === undefined ? Effect.succeed(true) : Effect.fail(logged.errorOf(reason))
    // The log may have ended since it was read, and before the record was.
    const { length } = feed
    return Effect.flatMap(this.look(), (isMore) => {
      if (isMore || feed.ended || feed.length !== length) return Effect.as(this.grown.open, false)
      // A run ends well only after its log says so.
      return Effect.fail(logged.errorOf(reason ?? this.lost()))
    })
  }

  private lost(): LogFailed | LogNotFound {
    const { length } = this.feed
    const { runId } = this.logged
    return length === 0 ? new LogNotFound({ runId }) : lostEnd(runId, length)
  }
}
