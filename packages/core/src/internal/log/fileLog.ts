import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { RunId } from "../../Run.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import { LogFenced, LogNotFound, type LogTruncated, type UpdateLogError } from "../../UpdateLogError.ts"
import * as AppendLog from "../file/appendLog.ts"
import * as DirectoryLock from "../file/directoryLock.ts"
import { file as fileOfRuns } from "../file/fileStore.ts"
import { fromPlatform } from "../store/storeFailure.ts"
import { Changes } from "./changes.ts"
import { recover } from "./fileRecovery.ts"
import { appended, type Filed, type FiledRun, opened, removed, type Step, truncated } from "./filedRun.ts"
import { linesOf, spansOf } from "./linesOf.ts"
import { fromStore } from "./logFailure.ts"
import { decode } from "./logLine.ts"
import * as LogWriter from "./logWriter.ts"
import type { Log } from "./port.ts"
import type { RunLog } from "./runLog.ts"

const file = "updates.log"
const closeWithin = Duration.seconds(5)

interface Settings {
  readonly directory: string
  readonly heartbeat: Duration.Duration
}

/** Chunks whose bodies are wanted, and the log that they are of. */
interface Wanted<A> {
  readonly of: A
  readonly chunks: ReadonlyArray<Filed>
}

/** A directory that is fit for the file of a log. */
const prepared = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, path: Path.Path, directory: string) {
  yield* fs.makeDirectory(directory, { recursive: true }).pipe(
    Effect.mapError((error) =>
      error.reason._tag === "AlreadyExists" || error.reason._tag === "BadResource"
        ? new TokenStoreError({
            operation: "open",
            kind: "denied",
            description: `'${directory}' is a file, or is below one. Give the path of a directory, which is created if it is missing.`,
            cause: error
          })
        : fromPlatform("open", directory)(error)
    )
  )
  const hasRuns = yield* Effect.mapError(fs.exists(path.join(directory, fileOfRuns)), fromPlatform("open", directory))
  if (hasRuns) {
    return yield* new TokenStoreError({
      operation: "open",
      kind: "denied",
      description: `'${directory}' is the directory of a token store. Give the log one of its own: '${path.join(directory, "updates")}', say.`
    })
  }
})

/**
 * The logs of a directory: an index of chunks in memory, and a file that holds their bodies, from which the index can be
 * built again.
 *
 * An operation is computed at once, and answers when all that it saw and did is durable. Readers see what is durable.
 */
export const make = Effect.fnUntraced(function* (
  settings: Settings
): Effect.fn.Return<Log, UpdateLogError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = path.resolve(settings.directory)
  const place = path.join(directory, file)
  yield* Effect.mapError(prepared(fs, path, directory), fromStore("open"))

  // The lock is released last, and not before the file is closed.
  const scope = yield* Scope.make()
  const release = Scope.close(scope, Exit.void)
  const { lock, log, runs } = yield* Effect.gen(function* () {
    const { heartbeat } = settings
    const held = yield* Scope.provide(DirectoryLock.acquire(fs, path, { directory, heartbeat }), scope)
    const found = yield* Effect.interruptible(recover(fs, place))
    const opening = AppendLog.open(fs, { directory, path: place, length: found.length, lock: held })
    return { lock: held, log: yield* opening, runs: found.runs }
  }).pipe(
    Effect.mapError(fromStore("open")),
    Effect.onError(() => release)
  )
  const changes = new Changes()
  const writer = yield* LogWriter.make({ path: place, lock, log, runs, onChange: (runId) => changes.tell(runId) })
  let isOpen = true

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isOpen = false
      return Effect.andThen(Effect.andThen(writer.close, log.close), release)
    }).pipe(
      // A disk that hangs must not hang its program: the rest is done when it can be.
      Effect.forkDetach({ uninterruptible: true, startImmediately: true }),
      Effect.flatMap((fiber) => Effect.timeoutOption(Fiber.await(fiber), closeWithin)),
      Effect.tap((closed) =>
        Option.isNone(closed)
          ? Effect.logWarning(`Baton did not finish closing '${place}' in time, and goes on closing it`)
          : Effect.void
      )
    )
  )

  const refusal = (operation: string): UpdateLogError | undefined => {
    const lost = lock.lost()
    if (lost !== undefined) return fromStore(operation)(lost)
    const description = `the log of '${directory}' is closed. Use it within the scope of its layer.`
    return isOpen ? undefined : fromStore(operation)(new TokenStoreError({ operation, kind: "closed", description }))
  }
  const corrupt = new TokenStoreError({
    operation: "read",
    kind: "corrupt",
    description: `'${place}' holds other chunks than were written to it. Restore it from a backup.`
  })

  // Computes and queues in one step that nothing can interrupt; only waiting can be interrupted.
  const perform = <E>(
    operation: string,
    runId: RunId,
    change: (run: FiledRun | undefined) => Result.Result<Step, E>
  ): Effect.Effect<FiledRun | undefined, E | UpdateLogError> =>
    Effect.suspend(() => {
      const refused = refusal(operation)
      if (refused !== undefined) return Effect.fail(refused)
      const { isDurable, run } = writer.current(runId)
      const step = change(run)
      const answer = Effect.fromResult(Result.map(step, ({ after }) => after))
      const made = Result.isSuccess(step) ? step.success : undefined
      // Also if nothing is to be written: what the answer rests on is.
      return made?.line === undefined && isDurable
        ? answer
        : Effect.andThen(Effect.mapError(writer.take(runId, made), fromStore(operation)), answer)
    })

  // What is wanted, and where it lies, is looked up in one step: a rewrite moves it.
  const hold = <A, E>(operation: string, look: () => Result.Result<Wanted<A>, E>) =>
    Effect.suspend(() => {
      const refused = refusal(operation)
      const wanted: Result.Result<Wanted<A>, E | UpdateLogError> = refused === undefined ? look() : Result.fail(refused)
      return Effect.fromResult(
        Result.map(wanted, ({ chunks, of }) => ({
          chunks,
          of,
          spans: spansOf(chunks.map((chunk) => chunk.place)),
          held: log.hold()
        }))
      )
    })
  const read = <A, E>(operation: string, look: () => Result.Result<Wanted<A>, E>) =>
    Effect.acquireUseRelease(
      hold(operation, look),
      ({ chunks, held, of, spans }) =>
        Effect.gen(function* () {
          const lines: Array<string> = []
          for (const span of spans) lines.push(...(yield* linesOf(held, span, place)))
          const found: Array<Chunk> = []
          for (const [i, { count, ended, epoch, from }] of chunks.entries()) {
            const line = decode(lines[i] ?? "")
            if (Result.isFailure(line) || line.success.what !== "add") return yield* corrupt
            found.push({ from, count, epoch, ended, body: line.success.chunk.body })
          }
          return { of, chunks: found }
        }).pipe(Effect.mapError(fromStore(operation))),
      ({ held }) => held.release
    )

  const grown = (run: RunLog<Filed> | undefined) => ({ length: run?.length ?? 0, bytes: run?.bytes ?? 0 })
  return {
    open: (runId, epoch) =>
      Effect.gen(function* () {
        yield* perform("open", runId, (run) => opened(runId, run, epoch))
        // It can have changed since, but only by what another epoch did, or by a removal.
        const now = yield* read("open", () => {
          const run = writer.durable(runId)?.log
          if (run !== undefined && run.epoch > epoch) return Result.fail(new LogFenced({ runId, epoch: run.epoch }))
          return Result.succeed({ of: run, chunks: run?.last === undefined ? [] : [run.last] })
        })
        const [last] = now.chunks
        return { ...grown(now.of), ...(last === undefined ? {} : { last }) }
      }),
    append: (runId, chunk) =>
      Effect.map(
        perform("append", runId, (run) => appended(runId, run, chunk)),
        (run) => grown(run?.log)
      ),
    read: (runId, { from, limit }) =>
      Effect.map(
        read("read", (): Result.Result<Wanted<RunLog<Filed>>, LogNotFound | LogTruncated> => {
          const run = writer.durable(runId)?.log
          return run === undefined
            ? Result.fail(new LogNotFound({ runId }))
            : Result.map(run.from(from, limit), (chunks) => ({ of: run, chunks }))
        }),
        ({ chunks, of: { ended, first, length } }) => ({ chunks, first, length, ended })
      ),
    changes: (runId) => changes.of(runId),
    truncate: (runId, before) =>
      Effect.asVoid(perform("truncate", runId, (run) => Result.succeed(truncated(runId, run, before)))),
    remove: (runId) => Effect.asVoid(perform("remove", runId, (run) => Result.succeed(removed(runId, run))))
  }
}, Effect.uninterruptible)
