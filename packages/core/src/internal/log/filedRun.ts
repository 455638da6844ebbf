import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import type { LogFenced, LogGap } from "../../UpdateLogError.ts"
import type { Dated } from "./forgetting.ts"
import { type Line, encode } from "./logLine.ts"
import { bytesOf, type Kept, RunLog } from "./runLog.ts"

/** The place of a line in the file. It is known after the write, and changes with a rewrite. */
export interface Place {
  at: number
  size: number
}

/** A chunk whose body is on the disk. */
export interface Filed extends Kept {
  readonly place: Place
}

/** The log of a run in the file. */
export interface FiledRun extends Dated {
  readonly log: RunLog<Filed>
  /** The line with the epoch that opened the log last. Undefined if only chunks opened it. */
  readonly opening: Place | undefined
}

/** A change of the log of a run. */
export interface Step {
  /** The log after the change; `undefined` is a removed log. */
  readonly after: FiledRun | undefined
  /** The line to write. Absent if nothing changed. */
  readonly line?: string
  readonly place: Place
  /** Whether a rewrite must copy the line. */
  readonly isKept: boolean
  /** The lines that a rewrite need not copy any more. */
  readonly needless: ReadonlyArray<Place>
}

const nowhere = (): Place => ({ at: 0, size: 0 })
const placeOf = ({ place }: Filed): Place => place

/** The lines of the log of a run that a rewrite must copy. */
export const placesOf = ({ log, opening }: FiledRun): ReadonlyArray<Place> => {
  const places = log.all().map(placeOf)
  return opening === undefined ? places : [opening, ...places]
}

const unchanged = (run: FiledRun | undefined): Step => ({ after: run, place: nowhere(), isKept: false, needless: [] })

export const opened = (
  runId: RunId,
  run: FiledRun | undefined,
  epoch: number,
  now: number
): Result.Result<Step, LogFenced> =>
  Result.map((run?.log ?? RunLog.empty<Filed>(runId, epoch)).opened(epoch), (log) => {
    if (run !== undefined && run.log === log && run.usedAt === now) return unchanged(run)
    const place = nowhere()
    return {
      after: { log, opening: place, usedAt: now },
      line: encode({ runId, what: "open", at: now, epoch }),
      place,
      isKept: true,
      needless: run?.opening === undefined ? [] : [run.opening]
    }
  })

export const appended = (
  runId: RunId,
  run: FiledRun | undefined,
  chunk: Chunk,
  now: number
): Result.Result<Step, LogFenced | LogGap> => {
  const log = run?.log ?? RunLog.empty<Filed>(runId, chunk.epoch)
  return Result.map(log.judge(chunk), (verdict) => {
    if (verdict === "known") return unchanged(run)
    const place = nowhere()
    const filed = filedOf(chunk, place)
    return {
      after: { log: log.with(filed), opening: run?.opening, usedAt: now },
      line: encode({ runId, what: "add", at: now, chunk }),
      place,
      isKept: true,
      needless: []
    }
  })
}

export const truncated = (runId: RunId, run: FiledRun | undefined, before: number): Step => {
  if (run === undefined) return unchanged(run)
  const [log, gone] = run.log.truncated(before)
  return gone.length === 0
    ? unchanged(run)
    : {
        after: { ...run, log },
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

/** Applies a line of the file to the log of its run. Returns `undefined` if the line cannot follow the lines before it. */
export const replayed = (
  run: FiledRun | undefined,
  line: Line,
  place: Place
): { readonly after: FiledRun | undefined } | undefined => {
  const { runId } = line
  switch (line.what) {
    case "open": {
      const log = run?.log ?? RunLog.empty<Filed>(runId, line.epoch)
      return { after: { log: Result.getOrElse(log.opened(line.epoch), () => log), opening: place, usedAt: line.at } }
    }
    case "add": {
      const log = run?.log ?? RunLog.empty<Filed>(runId, line.chunk.epoch)
      // The first chunk in the file can begin anywhere, because those before it can have been truncated.
      return log.last === undefined || log.length === line.chunk.from
        ? { after: { log: log.with(filedOf(line.chunk, place)), opening: run?.opening, usedAt: line.at } }
        : undefined
    }
    case "cut":
      return run === undefined ? undefined : { after: { ...run, log: run.log.truncated(line.before)[0] } }
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
