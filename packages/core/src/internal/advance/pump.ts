import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type * as ContinuationToken from "../../ContinuationToken.ts"
import type { Opened, UpdateLog } from "../../UpdateLog.ts"
import { Offsets } from "../follow/position.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import { ChunkWriter } from "../logged/chunkWriter.ts"
import { Feed } from "../logged/feed.ts"
import { LogPull } from "../logged/logPull.ts"
import { entryOf, type Logged, loggedOf, persistently, positionAfter, survives, verify } from "../logged/reading.ts"
import type { OpenRun } from "../run/openRun.ts"
import type { Updates } from "../run/turnEnd.ts"
import { startAgain } from "../tools/told.ts"
import type { Advance, AdvanceOptions } from "./advanceOptions.ts"
import { type Advancing, make as makeAdvancing } from "./advancing.ts"

// A run with an update log is advanced by two parts that do not wait for each other. The pump reads the provider and appends
// to the log. The consumer reads the log. So nobody sees an update that is not in the log, and a slow consumer does not hold
// up other readers.
//
// The position at the end of the log is in its last chunk. The record has only the offset that the consumer acknowledged.
// The end of a run comes in this order: the end of its last response is recorded, then the last chunk says that the run has
// ended, then `Ended` is recorded. A process that takes the run between two of these steps goes on with the next one.

/** Advances a held run through its log. */
export const make = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun,
  log: UpdateLog["Service"],
  options: AdvanceOptions = {}
): Effect.fn.Return<Pumped, AgentError, Scope.Scope> {
  const { runId, sealed } = run
  const agent = run.agent.name
  const epoch = held.fence
  const { incarnation } = held.state()
  const logged = loggedOf(run, log)
  const opened = yield* persistently(logged, "the log of a run could not be opened", log.open(runId, epoch)).pipe(
    Effect.catchTag("LogFenced", () => Effect.suspend(() => Effect.fail(held.fenced())))
  )
  const place = yield* consumerPlace(run, held, logged, opened)
  const found = opened.last === undefined ? undefined : yield* positionAfter(logged, opened.last)
  // The run was retried since.
  const isOutdated = found !== undefined && found.incarnation !== incarnation
  const position = found === undefined || isOutdated ? startOf(run, held, opened.length, isOutdated) : found
  const offsets = new Offsets({ agent, runId, incarnation, epoch, sealed })
  const feed = new Feed(opened.length, opened.last?.ended === true)
  const writer = new ChunkWriter({
    logged,
    epoch,
    opened,
    position,
    offsets,
    feed,
    fenced: () => held.fenced(),
    onEnded: (ended) => held.logEnds(ended),
    // A truncation must not remove what a crash would deliver again.
    acknowledged: Effect.map(held.flush, () => held.position().offset)
  })
  yield* writer.begin()
  if (isOutdated) yield* writer.reopen
  const advancing = yield* makeAdvancing(run, held, options, {
    position,
    ended: () => writer.ended,
    end: writer.end,
    reopen: writer.reopen
  })
  const newest = opened.last === undefined ? undefined : yield* entryOf(logged, opened.last, incarnation)
  const pump = new Pump(held, advancing, writer, feed, newest?.updates.at(-1))
  yield* Effect.forkScoped(pump.run)
  const reading = new LogPull(logged, feed, place, incarnation)
  return {
    pull: pump.through(reading, options),
    isLast: (update) => reading.isLast(update),
    endedAs: advancing.endedAs,
    pumped: pump.done()
  }
})

/** A run that is advanced through its log. */
export interface Pumped extends Advance {
  /** Ends when nothing more is appended. */
  readonly pumped: Effect.Effect<void>
}

/** Where the consumer goes on: at the given token, or after the last update that it acknowledged. */
const consumerPlace = Effect.fnUntraced(function* (run: OpenRun, held: HeldRun, logged: Logged, opened: Opened) {
  if (run.from !== undefined) {
    yield* verify(logged, run.from)
    return run.from
  }
  const acknowledged = held.position()
  const place = yield* survives(logged, opened, acknowledged)
  if (place.offset === acknowledged.offset) return place
  yield* Effect.annotateLogs(
    Effect.logWarning(
      "baton: the update log lost updates of a run that were acknowledged; they are written again, and come again"
    ),
    { runId: run.runId, agent: run.agent.name, acknowledged: acknowledged.offset, left: place.offset }
  )
  const { epoch: _, ...rest } = acknowledged
  held.rewind({ ...rest, offset: place.offset, ...(place.epoch === undefined ? {} : { epoch: place.epoch }) })
  return place
})

/** The position from which the provider is read if the log has none: the start of the run, or of the turn that is retried. */
const startOf = (
  run: OpenRun,
  held: HeldRun,
  offset: number,
  isRetry: boolean
): ContinuationToken.ContinuationToken => {
  const state = held.state()
  const journal = held.journal()
  const { incarnation } = state
  const retried = journal.findLast((fact) => fact._tag === "Retried" && fact.incarnation === incarnation)
  const turn = isRetry && retried?._tag === "Retried" ? retried.turn : 0
  return startAgain(run.record, incarnation, { journal, state, turn }, offset)
}

/** Reads the provider, and appends what it says. */
class Pump {
  private readonly held: HeldRun
  private readonly advancing: Advancing
  private readonly writer: ChunkWriter
  private readonly feed: Feed
  /** The last update of the log. */
  private last: AgentUpdate | undefined
  /** The last update, if the run waits for its caller. */
  private waiting: AgentUpdate | undefined

  constructor(held: HeldRun, advancing: Advancing, writer: ChunkWriter, feed: Feed, last: AgentUpdate | undefined) {
    this.held = held
    this.advancing = advancing
    this.writer = writer
    this.feed = feed
    this.last = last
  }

  /** Ends when the run has ended, waits for its caller, or can no longer be advanced. */
  readonly run: Effect.Effect<void> = Effect.suspend(() =>
    Effect.raceFirst(this.all, this.writer.failed.whenFired(Effect.fail))
  ).pipe(
    Effect.exit,
    Effect.flatMap((exit) => {
      this.parks(exit)
      // Updates that came before a failure are delivered before it.
      const rest = this.held.gone() === undefined ? this.writer.flush : Effect.void
      return Effect.map(Effect.exit(rest), (flushed) => {
        this.feed.finish(Exit.isFailure(exit) ? exit : flushed)
      })
    })
  )

  /** A run whose log is full goes on once somebody has made room for it. */
  private parks(exit: Exit.Exit<void, AgentError>): void {
    const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
    if (Option.isSome(error) && error.value.reason._tag === "LogFull") {
      this.held.leaveAs({ due: Duration.infinity, parked: error.value.reason.message })
    }
  }

  /** Ends when nothing more is appended. */
  done(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.feed.exit === undefined ? Effect.andThen(this.feed.changed, this.done()) : Effect.void
    )
  }

  private get all(): Effect.Effect<void, AgentError> {
    return Effect.catchTag(
      Effect.forever(Effect.flatMap(this.advancing.pull, (updates) => this.take(updates))),
      "Done",
      () => Effect.void
    )
  }

  private take(updates: ReadonlyArray<AgentUpdate>): Effect.Effect<void, AgentError> {
    const last = updates.at(-1)
    if (last?.status === "waiting") {
      this.waiting = last
      // A run that still waits says so once.
      if (this.last?.status === "waiting" && updates.length === 1) return Effect.void
    }
    this.last = last
    return this.writer.push(updates, this.advancing.at)
  }

  /** The updates for the consumer. A run that waits for its caller says so, also if the consumer saw that before. */
  through(reading: LogPull, { promised }: AdvanceOptions): Updates {
    const { feed, held } = this
    let isSaid = false
    const over = Effect.sync(() => {
      // The last update was acknowledged before the log said that it is the last.
      if (promised !== true && feed.ended && held.position().offset >= feed.length) held.note({ _tag: "Delivered" })
    })
    return Effect.suspend(() => reading.pull).pipe(
      Effect.onError(() => over),
      Effect.tap((updates) => Effect.sync(() => (isSaid = updates.at(-1)!.status === "waiting"))),
      Effect.catchIf(Cause.isDone, (done): Updates => {
        const { waiting } = this
        if (waiting === undefined || isSaid) return Effect.fail(done)
        isSaid = true
        return Effect.succeed([this.writer.said(waiting)])
      })
    )
  }
}
