import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import type { LogFenced, LogGap } from "../../UpdateLogError.ts"
import { type Line, encode } from "./logLine.ts"
import { bytesOf, type Kept, RunLog } from "./runLog.ts"

/** Where a line lies in the file: known once it is written, and another one after a rewrite. */
export interface Place {
  at: number
  size: number
}

/** A chunk whose body is on the disk. */
export interface Filed extends Kept {
  readonly place: Place
}

/** The log of a run in a file, and the line that names its epoch, if that was opened. */
export interface FiledRun {
  readonly log: RunLog<Filed>
  readonly opening: Place | undefined
}

/** What becomes of a run: the line that says it, and the places of the lines that it makes needless. */
export interface Step {
  /** `undefined`: its log is gone. */
  readonly after: FiledRun | undefined
  /** What is to be written, if anything. */
  readonly line?: string
  readonly place: Place
  /** Whether the line is needed as long as the log is as it is. */
  readonly isKept: boolean
  readonly needless: ReadonlyArray<Place>
}

const nowhere = (): Place => ({ at: 0, size: 0 })
const placeOf = ({ place }: Filed): Place => place

/** All lines that make up the log of a run. */
export const placesOf = ({ log, opening }: FiledRun): ReadonlyArray<Place> => {
  const places = log.all().map(placeOf)
  return opening === undefined ? places : [opening, ...places]
}

const unchanged = (run: FiledRun | undefined): Step => ({ after: run, place: nowhere(), isKept: false, needless: [] })

export const opened = (runId: RunId, run: FiledRun | undefined, epoch: number): Result.Result<Step, LogFenced> => {
  if (run !== undefined && run.log.epoch === epoch) return Result.succeed(unchanged(run))
  return Result.map((run?.log ?? RunLog.empty<Filed>(runId, epoch)).opened(epoch), (log) => {
    const place = nowhere()
    return {
      after: { log, opening: place },
      line: encode({ runId, what: "open", epoch }),
      place,
      isKept: true,
      needless: run?.opening === undefined ? [] : [run.opening]
    }
  })
}

export const appended = (
  runId: RunId,
  run: FiledRun | undefined,
  chunk: Chunk
): Result.Result<Step, LogFenced | LogGap> => {
  const log = run?.log ?? RunLog.empty<Filed>(runId, chunk.epoch)
  return Result.map(log.judge(chunk), (verdict) => {
    if (verdict === "known") return unchanged(run)
    const place = nowhere()
    const filed = filedOf(chunk, place)
    return {
      after: { log: log.with(filed), opening: run?.opening },
      line: encode({ runId, what: "add", chunk }),
      place,
      isKept: true,
      needless: []
    }
  })
}

export const truncated = (runId: RunId, run: FiledRun | undefined, before: number): Step => {
  const [log, gone] = run === undefined ? [undefined, []] : run.log.truncated(before)
  return log === undefined || gone.length === 0
    ? unchanged(run)
    : {
        after: { log, opening: run?.opening },
        line: encode({ runId, what: "cut", before }),
        place: nowhere(),
        isKept: false,
        needless: gone.map(placeOf)
      }
}

export const removed = (runId: RunId, run: FiledRun | undefined): Step =>
  run === undefined
    ? unchanged(run)
    : {
        after: undefined,
        line: encode({ runId, what: "gone" }),
        place: nowhere(),
        isKept: false,
        needless: placesOf(run)
      }

/** What a line that is in the file makes of a run; `undefined` if it does not follow what came before. */
export const replayed = (
  run: FiledRun | undefined,
  line: Line,
  place: Place
): { readonly after: FiledRun | undefined } | undefined => {
  const { runId } = line
  switch (line.what) {
    case "open": {
      const log = run?.log ?? RunLog.empty<Filed>(runId, line.epoch)
      return { after: { log: Result.getOrElse(log.opened(line.epoch), () => log), opening: place } }
    }
    case "add": {
      const log = run?.log ?? RunLog.empty<Filed>(runId, line.chunk.epoch)
      // The oldest chunk can have been removed.
      return log.last === undefined || log.length === line.chunk.from
        ? { after: { log: log.with(filedOf(line.chunk, place)), opening: run?.opening } }
        : undefined
    }
    case "cut":
      return run === undefined ? undefined : { after: { log: run.log.truncated(line.before)[0], opening: run.opening } }
    case "gone":
      return { after: undefined }
  }
}

const filedOf = ({ body, count, ended, epoch, from }: Chunk, place: Place): Filed => ({
  from,
  count,
  epoch,
  ended,
  bytes: bytesOf(body),
  place
})
