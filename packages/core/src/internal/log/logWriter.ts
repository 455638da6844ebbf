import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type { RunId } from "../../Run.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import type { AppendLog } from "../file/appendLog.ts"
import type { DirectoryLock } from "../file/directoryLock.ts"
import { unforeseen } from "../store/storeFailure.ts"
import { type FiledRun, placesOf, type Step } from "./filedRun.ts"
import { linesOf, spansOf } from "./linesOf.ts"

// A file below this size is not worth a rewrite, nor is one of which a quarter is needed.
const smallest = 1 << 20
const dead = 4

/** What waits for one write, if anything does. `changes` come true with it: `undefined` is a log that is gone. */
interface Batch {
  wanted: boolean
  readonly steps: Array<Step & { readonly line: string }>
  readonly changes: Map<RunId, FiledRun | undefined>
  readonly done: Deferred.Deferred<void, TokenStoreError>
}

const emptyBatch = (): Batch => ({ wanted: false, steps: [], changes: new Map(), done: Deferred.makeUnsafe() })

/** The runs of a file, and what is on its way there. */
export interface LogWriter {
  /** A run as the disk has it. */
  readonly durable: (runId: RunId) => FiledRun | undefined
  /** A run as it will be, and whether the disk has it so. */
  readonly current: (runId: RunId) => { readonly run: FiledRun | undefined; readonly isDurable: boolean }
  /** Queues a step. What is given waits until all that was queued so far is durable. */
  readonly take: (runId: RunId, step: Step | undefined) => Effect.Effect<void, TokenStoreError>
  /** Writes what is waiting, and ends. */
  readonly close: Effect.Effect<void>
}

/** Writes steps to a file: those that come at the same time share one write and one sync. */
export const make = Effect.fnUntraced(function* (options: {
  readonly path: string
  readonly lock: DirectoryLock
  readonly log: AppendLog
  readonly runs: ReadonlyMap<RunId, FiledRun>
  /** Told of each run that is another one now. */
  readonly onChange: (runId: RunId) => void
}): Effect.fn.Return<LogWriter> {
  const { lock, log, onChange, path } = options
  const durable = new Map(options.runs)
  const pending = new Map<RunId, FiledRun | undefined>()
  let batch = emptyBatch()
  let open = true
  // How many bytes of the file are needed.
  let live = 0
  for (const run of durable.values()) for (const { size } of placesOf(run)) live += size
  let compactAbove = smallest
  const work = Latch.makeUnsafe()

  // Line by line, so that no more than a piece of the bodies is in memory.
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
      }
    )
  })
  const compact = Effect.suspend(() => {
    if (log.length() < compactAbove || log.length() < live * dead) return Effect.void
    return Effect.matchCauseEffect(compacted, {
      onSuccess: () =>
        Effect.sync(() => {
          compactAbove = Math.max(smallest, log.length() * 2)
        }),
      // The old file is as good as before, only long.
      onFailure: (cause) => {
        if (lock.lost() !== undefined) return Effect.void
        compactAbove = log.length() + smallest
        return Effect.logWarning(`Baton could not rewrite '${path}', and goes on with it as it is`, cause)
      }
    })
  })

  const settle = (written: Batch, starts: ReadonlyArray<number>) => {
    for (const [i, { isKept, place }] of written.steps.entries()) {
      place.at = starts[i]!
      place.size = starts[i + 1]! - place.at
      if (isKept) live += place.size
    }
    for (const { needless } of written.steps) for (const { size } of needless) live -= size
    for (const [runId, run] of written.changes) {
      if (run === undefined) durable.delete(runId)
      else durable.set(runId, run)
      if (pending.get(runId) === run) pending.delete(runId)
      onChange(runId)
    }
    Deferred.doneUnsafe(written.done, Exit.void)
  }
  const giveUp = (failing: Batch, error: TokenStoreError) => {
    const waiting = batch
    batch = emptyBatch()
    pending.clear()
    Deferred.doneUnsafe(failing.done, Exit.fail(error))
    Deferred.doneUnsafe(waiting.done, Exit.fail(error))
  }
  const flush = Effect.suspend(() => {
    const current = batch
    batch = emptyBatch()
    return log.append(current.steps.map(({ line }) => line)).pipe(
      Effect.matchCause({
        onSuccess: (starts) => settle(current, starts),
        onFailure: (cause) =>
          giveUp(
            current,
            Option.getOrElse(Cause.findErrorOption(cause), () => unforeseen(path, cause))
          )
      }),
      Effect.andThen(compact)
    )
  })
  // Whatever else is about to write shares the write.
  const wanted = Effect.andThen(work.await, Effect.yieldNow)
  const writer = yield* Effect.whileLoop({
    while: () => open || batch.wanted,
    body: () => {
      if (batch.wanted) return flush
      work.closeUnsafe()
      return wanted
    },
    step: constVoid
  }).pipe(Effect.forkDetach({ uninterruptible: true }))

  return {
    durable: (runId) => durable.get(runId),
    current: (runId) =>
      pending.has(runId) ? { run: pending.get(runId), isDurable: false } : { run: durable.get(runId), isDurable: true },
    take: (runId, step) => {
      if (step?.line !== undefined) {
        batch.steps.push({ ...step, line: step.line })
        batch.changes.set(runId, step.after)
        pending.set(runId, step.after)
      }
      batch.wanted = true
      work.openUnsafe()
      return Deferred.await(batch.done)
    },
    close: Effect.suspend(() => {
      open = false
      work.openUnsafe()
      return Effect.asVoid(Fiber.await(writer))
    })
  }
})
