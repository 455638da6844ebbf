import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RunId } from "../../Run.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import type { AppendLog } from "../file/appendLog.ts"
import type { DirectoryLock } from "../file/directoryLock.ts"
import * as GroupCommit from "../file/groupCommit.ts"
import { type FiledRun, placesOf, type Step } from "./filedRun.ts"
import * as Forgetting from "./forgetting.ts"
import { linesOf, spansOf } from "./linesOf.ts"

// A file is not rewritten below this size, nor while at least a quarter of it is needed.
const smallest = 1 << 20
const dead = 4
// Whatever its size, a file is rewritten this long after a log was removed, so that the content of the log is gone.
const eraseAfter = Duration.hours(1)

type Written = Step & { readonly line: string }

/** The logs of a file, and the changes that are being written to it. */
export interface LogWriter {
  /** The logs as they are on the disk, in the order in which they were last used. */
  readonly durable: ReadonlyMap<RunId, FiledRun>
  /** The log of a run with the changes that are being written, and whether there are none. */
  readonly current: (runId: RunId) => { readonly run: FiledRun | undefined; readonly isDurable: boolean }
  /** Queues a step of a run. A step without a line does nothing. */
  readonly queue: (runId: RunId, step: Step) => void
  /** Asks for a write. The effect waits until everything that was queued before this call is durable. */
  readonly written: () => Effect.Effect<void, TokenStoreError>
  /** Writes what is queued, and ends. */
  readonly close: Effect.Effect<void>
}

/** Writes steps to a file. Steps that are queued at the same time share one write and one sync. */
export const make = Effect.fnUntraced(function* (options: {
  readonly path: string
  readonly lock: DirectoryLock
  readonly log: AppendLog
  readonly runs: ReadonlyMap<RunId, FiledRun>
  /** Whether the file contains lines of removed logs. */
  readonly hasRemains: boolean
  /** Called after the log of a run changed. */
  readonly onChange: (runId: RunId) => void
}): Effect.fn.Return<LogWriter, never, Scope.Scope> {
  const { lock, log, onChange, path } = options
  const durable = new Map(options.runs)
  // The size of the lines that a rewrite must copy.
  let live = 0
  for (const run of durable.values()) for (const { size } of placesOf(run)) live += size
  let compactAbove = smallest
  let { hasRemains } = options
  let mustErase = false

  // Copies span by span, so that only one span is in memory.
  const compacted = Effect.suspend(() => {
    const places = Array.from(durable.values(), placesOf).flat()
    places.sort((one, other) => one.at - other.at)
    const starts: Array<number> = []
    const sizes: Array<number> = []
    return log.replace(
      (append) =>
        Effect.acquireUseRelease(
          Effect.sync(log.hold),
          (held) =>
            Effect.forEach(
              spansOf(places),
              Effect.fnUntraced(function* (span) {
                const begun = yield* append(yield* linesOf(held, span, path))
                for (let i = 1; i < begun.length; i++) {
                  starts.push(begun[i - 1]!)
                  sizes.push(begun[i]! - begun[i - 1]!)
                }
              }),
              { discard: true }
            ),
          ({ release }) => release
        ),
      () => {
        for (const [i, place] of places.entries()) {
          place.at = starts[i]!
          place.size = sizes[i]!
        }
        live = sizes.reduce((sum, size) => sum + size, 0)
        hasRemains = false
      }
    )
  })
  const compact = Effect.suspend(() => {
    const isLong = log.length() >= compactAbove && log.length() >= live * dead
    if (!isLong && !mustErase) return Effect.void
    mustErase = false
    return Effect.matchCauseEffect(compacted, {
      onSuccess: () =>
        Effect.sync(() => {
          compactAbove = Math.max(smallest, log.length() * 2)
        }),
      // The old file is still valid, only long.
      onFailure: (cause) => {
        if (lock.lost() !== undefined) return Effect.void
        compactAbove = log.length() + smallest
        return Effect.logWarning(
          `baton: '${path}' could not be rewritten, and goes on growing; this is tried again`,
          cause
        )
      }
    })
  })

  const applySteps = (steps: ReadonlyArray<Written>, starts: ReadonlyArray<number>) => {
    for (const [i, { isKept, place }] of steps.entries()) {
      place.at = starts[i]!
      place.size = starts[i + 1]! - place.at
      if (isKept) live += place.size
    }
    for (const { needless } of steps) for (const { size } of needless) live -= size
    if (steps.some(({ after }) => after === undefined)) hasRemains = true
  }
  const commits = yield* GroupCommit.make<Written, FiledRun>({
    path,
    append: (steps) => Effect.map(log.append(steps.map(({ line }) => line)), (starts) => applySteps(steps, starts)),
    onDurable: (runId, run) => {
      if (run === undefined) durable.delete(runId)
      else Forgetting.put(durable, runId, run)
      onChange(runId)
    },
    compact
  })
  const { pending } = commits
  const erase = () => {
    if (!hasRemains) return
    mustErase = true
    commits.wake()
  }
  yield* Effect.sleep(eraseAfter).pipe(Effect.andThen(Effect.sync(erase)), Effect.forever, Effect.forkScoped)

  return {
    durable,
    current: (runId) =>
      pending.has(runId) ? { run: pending.get(runId), isDurable: false } : { run: durable.get(runId), isDurable: true },
    queue: (runId, step) => {
      if (step.line === undefined) return
      commits.queue(runId, step.after, { ...step, line: step.line })
      commits.wake()
    },
    written: commits.written,
    close: Effect.suspend(() => {
      erase()
      return commits.close
    })
  }
})
