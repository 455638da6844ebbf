import * as Clock from "effect/Clock"
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
import * as Forgetting from "./forgetting.ts"
import { linesOf, spansOf } from "./linesOf.ts"
import { fromStore } from "./logFailure.ts"
import { decode } from "./logLine.ts"
import * as LogWriter from "./logWriter.ts"
import type { Log } from "./port.ts"
import type { RunLog } from "./runLog.ts"

const file = "updates.log"
const closeWithin = Duration.seconds(5)

/** Chunks whose bodies must be read, and the log that contains them. */
interface Wanted<A> {
  readonly of: A
  readonly chunks: ReadonlyArray<Filed>
}

/** Creates the directory, and checks that it can be used for a log. */
const prepared = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, path: Path.Path, directory: string) {
  yield* fs.makeDirectory(directory, { recursive: true }).pipe(
    Effect.mapError((error) =>
      error.reason._tag === "AlreadyExists" || error.reason._tag === "BadResource"
        ? new TokenStoreError({
            operation: "open",
            kind: "denied",
            description:
              `'${directory}' is a file, or is inside one. ` +
              "Give the path of a directory; it is created if it is missing.",
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
      description:
        `'${directory}' is the directory of a token store. ` +
        `Give the update log its own directory, for example '${path.join(directory, "updates")}'.`
    })
  }
})

/**
 * The logs in a directory: an index of chunks in memory, and a file with their bodies, from which the index can be built
 * again.
 *
 * An operation is computed at once, and returns when all that it read and wrote is durable. Readers see durable chunks only.
 */
export const make = Effect.fnUntraced(function* (settings: {
  readonly directory: string
  readonly heartbeat: Duration.Duration
  readonly retention: Duration.Duration
}): Effect.fn.Return<Log, UpdateLogError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = path.resolve(settings.directory)
  const place = path.join(directory, file)
  const retention = Duration.toMillis(settings.retention)
  yield* Effect.mapError(prepared(fs, path, directory), fromStore("open"))

  // The lock is released last, after the file is closed.
  const scope = yield* Scope.make()
  const release = Scope.close(scope, Exit.void)
  const { lock, log, recovered } = yield* Effect.gen(function* () {
    const { heartbeat } = settings
    const held = yield* Scope.provide(
      DirectoryLock.acquire(fs, path, { directory, heartbeat, subject: "update log" }),
      scope
    )
    const found = yield* Effect.interruptible(recover(fs, place))
    const opening = AppendLog.open(fs, { directory, path: place, length: found.length, lock: held })
    return { lock: held, log: yield* opening, recovered: found }
  }).pipe(
    Effect.mapError(fromStore("open")),
    Effect.onError(() => release)
  )
  const changes = new Changes()
  const { hasRemains, runs } = recovered
  const onChange = (runId: RunId) => changes.tell(runId)
  const writer = yield* LogWriter.make({ path: place, lock, log, runs, hasRemains, onChange })
  let isOpen = true

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isOpen = false
      return Effect.andThen(Effect.andThen(writer.close, log.close), release)
    }).pipe(
      // A disk that hangs must not block the process that closes the log: closing goes on in the background.
      Effect.forkDetach({ uninterruptible: true, startImmediately: true }),
      Effect.flatMap((fiber) => Effect.timeoutOption(Fiber.await(fiber), closeWithin)),
      Effect.tap((closed) =>
        Option.isNone(closed)
          ? Effect.logWarning(`baton: '${place}' could not be closed in time; closing goes on in the background`)
          : Effect.void
      )
    )
  )

  const refusal = (operation: string): UpdateLogError | undefined => {
    const lost = lock.lost()
    if (lost !== undefined) return fromStore(operation)(lost)
    const description = `the update log in '${directory}' is closed. Use it within the scope of its layer.`
    return isOpen ? undefined : fromStore(operation)(new TokenStoreError({ operation, kind: "closed", description }))
  }
  const corrupt = new TokenStoreError({
    operation: "read",
    kind: "corrupt",
    description: `'${place}' contains other chunks than this process wrote. Restore it from a backup.`
  })

  /** Queues the removal of a log whose retention has ended. */
  const forget = (runId: RunId, now: number) => {
    const { run } = writer.current(runId)
    if (run !== undefined && Forgetting.isForgotten(run, retention, now)) writer.queue(runId, removed(runId, run))
  }

  // Computing and queueing are one step that cannot be interrupted; only the wait can be.
  const perform = <E>(
    operation: string,
    runId: RunId,
    change: (run: FiledRun | undefined, now: number) => Result.Result<Step, E>
  ): Effect.Effect<FiledRun | undefined, E | UpdateLogError> =>
    Clock.clockWith((clock) => {
      const refused = refusal(operation)
      if (refused !== undefined) return Effect.fail(refused)
      // Lines contain whole milliseconds only.
      const now = Math.floor(clock.currentTimeMillisUnsafe())
      for (const other of [runId, ...Forgetting.forgottenIn(writer.durable, retention, now)]) forget(other, now)
      const { isDurable, run } = writer.current(runId)
      const step = change(run, now)
      const answer = Effect.fromResult(Result.map(step, ({ after }) => after))
      const isWritten = Result.isSuccess(step) && step.success.line !== undefined
      if (isWritten) writer.queue(runId, step.success)
      // Waits even if this operation writes nothing, because its result can depend on chunks that are not durable yet.
      return isWritten || !isDurable
        ? Effect.andThen(Effect.mapError(writer.written(), fromStore(operation)), answer)
        : answer
    })

  // Chunks and their places are looked up in one step, because a rewrite changes the places.
  const hold = <A, E>(operation: string, look: (now: number) => Result.Result<Wanted<A>, E>) =>
    Clock.clockWith((clock) => {
      const refused = refusal(operation)
      const wanted: Result.Result<Wanted<A>, E | UpdateLogError> = refused === undefined
        ? look(clock.currentTimeMillisUnsafe())
        : Result.fail(refused)
      return Effect.fromResult(
        Result.map(wanted, ({ chunks, of }) => ({
          chunks,
          of,
          spans: spansOf(chunks.map((chunk) => chunk.place)),
          held: log.hold()
        }))
      )
    })
  const read = <A, E>(operation: string, look: (now: number) => Result.Result<Wanted<A>, E>) =>
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
        yield* perform("open", runId, (run, now) => opened(runId, run, epoch, now))
        // Since then another epoch can have changed the log, or it can have been removed.
        const found = yield* read("open", () => {
          const run = writer.durable.get(runId)?.log
          if (run !== undefined && run.epoch > epoch) return Result.fail(new LogFenced({ runId, epoch: run.epoch }))
          return Result.succeed({ of: run, chunks: run?.last === undefined ? [] : [run.last] })
        })
        const [last] = found.chunks
        return { ...grown(found.of), ...(last === undefined ? {} : { last }) }
      }),
    append: (runId, chunk) =>
      Effect.map(
        perform("append", runId, (run, now) => appended(runId, run, chunk, now)),
        (run) => grown(run?.log)
      ),
    read: (runId, { from, limit }) =>
      Effect.map(
        read("read", (now): Result.Result<Wanted<RunLog<Filed>>, LogNotFound | LogTruncated> => {
          const run = writer.durable.get(runId)
          return run === undefined || Forgetting.isForgotten(run, retention, now)
            ? Result.fail(new LogNotFound({ runId }))
            : Result.map(run.log.from(from, limit), (chunks) => ({ of: run.log, chunks }))
        }),
        ({ chunks, of: { ended, first, length } }) => ({ chunks, first, length, ended })
      ),
    changes: (runId) => changes.of(runId),
    truncate: (runId, before) =>
      Effect.asVoid(perform("truncate", runId, (run) => Result.succeed(truncated(runId, run, before)))),
    remove: (runId) => Effect.asVoid(perform("remove", runId, (run) => Result.succeed(removed(runId, run))))
  }
}, Effect.uninterruptible)
