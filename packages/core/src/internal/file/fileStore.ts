import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { RunId } from "../../Run.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import * as AppendLog from "./appendLog.ts"
import * as DirectoryLock from "./directoryLock.ts"
import * as GroupCommit from "./groupCommit.ts"
import * as LogRecord from "./logRecord.ts"
import { recover } from "./logRecovery.ts"
import { momentOf } from "../store/memoryStore.ts"
import { RunIndex } from "../../RunIndex.ts"
import type * as RunKernel from "../../RunKernel.ts"
import type { Change, Driver } from "../../StoreDriver.ts"
import { fromPlatform, renamed } from "../store/storeFailure.ts"

/** The name of the log in its directory. */
export const file = "runs.log"
// A log is not rewritten below this size, nor while at least a quarter of it is in use.
const smallest = 1 << 20
const dead = 4
const closeWithin = Duration.seconds(5)

type Kept = { readonly row: RunKernel.Row; readonly bytes: number }

/**
 * A driver over a directory: a table in memory, and a log from which the table can be built again.
 *
 * An operation is computed at once, and returns when all that it read and wrote is durable. `durable` contains the rows on
 * the disk, `pending` those that are being written. If a write fails, everything that was computed from its rows fails too.
 */
export const make = Effect.fnUntraced(function* (settings: {
  readonly directory: string
  readonly heartbeat: Duration.Duration
}): Effect.fn.Return<Driver, TokenStoreError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = path.resolve(settings.directory)
  const place = path.join(directory, file)
  const failed = fromPlatform("open", directory)

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
        : failed(error)
    )
  )

  // The lock is released last, after the log is closed.
  const scope = yield* Scope.make()
  const release = Scope.close(scope, Exit.void)
  const lock = yield* DirectoryLock.acquire(fs, path, { directory, heartbeat: settings.heartbeat }).pipe(
    Scope.provide(scope),
    Effect.onError(() => release)
  )
  const {
    fence: known,
    length,
    newer,
    rows
  } = yield* Effect.interruptible(recover(fs, place)).pipe(Effect.onError(() => release))
  const log = yield* AppendLog.open(fs, { directory, path: place, length, lock }).pipe(Effect.onError(() => release))

  const durable = new RunIndex()
  const sizes = new Map<RunId, number>()
  let live = 0
  const applyRun = (id: RunId, kept: Kept | undefined) => {
    live += (kept?.bytes ?? 0) - (sizes.get(id) ?? 0)
    durable.set(id, kept?.row)
    if (kept === undefined) sizes.delete(id)
    else sizes.set(id, kept.bytes)
  }
  for (const { bytes, row } of rows) applyRun(row.record.runId, { row, bytes })
  let fence = known
  let open = true
  let compactAbove = smallest

  function* image(): Generator<string> {
    yield LogRecord.fence(fence)
    for (const lines of newer.values()) yield* lines
    for (const row of durable.rows())
      yield* Result.match(LogRecord.whole(row), { onFailure: () => [], onSuccess: (line) => [line] })
  }

  const compact = Effect.suspend(() => {
    if (log.length() < compactAbove || log.length() < live * dead) return Effect.void
    return Effect.matchCauseEffect(log.rewrite(image()), {
      onSuccess: () =>
        Effect.sync(() => {
          live = log.length()
          compactAbove = Math.max(smallest, live * 2)
        }),
      // The old log is still valid, only long.
      onFailure: (cause) => {
        if (lock.lost() !== undefined) return Effect.void
        compactAbove = log.length() + smallest
        return Effect.logWarning(
          `baton: '${place}' could not be rewritten, and goes on growing; this is tried again`,
          cause
        )
      }
    })
  })

  const commits = yield* GroupCommit.make<string, Kept>({
    path: place,
    append: (lines) => Effect.asVoid(log.append(lines)),
    onDurable: applyRun,
    compact
  })
  const { pending } = commits
  const keptOf = (id: RunId): Kept | undefined => {
    if (pending.has(id)) return pending.get(id)
    const row = durable.get(id)
    return row === undefined ? undefined : { row, bytes: sizes.get(id) ?? 0 }
  }

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      open = false
      yield* commits.close
      yield* log.close
      yield* release
    }).pipe(
      // A disk that hangs must not block the process that closes the store: closing goes on in the background.
      Effect.forkDetach({ uninterruptible: true }),
      Effect.flatMap((fiber) => Effect.timeoutOption(Fiber.await(fiber), closeWithin)),
      Effect.tap((closed) =>
        Option.isNone(closed)
          ? Effect.logWarning(`baton: '${place}' could not be closed in time; closing goes on in the background`)
          : Effect.void
      )
    )
  )

  const refusal = (operation: string, id?: RunId): TokenStoreError | undefined => {
    const lost = lock.lost()
    if (lost !== undefined) return renamed(operation)(lost)
    if (!open) {
      return new TokenStoreError({
        operation,
        kind: "closed",
        description: `the store in '${directory}' is closed. Use it within the scope of its layer.`
      })
    }
    if (id !== undefined && newer.has(id)) {
      return new TokenStoreError({
        operation,
        kind: "newer",
        description:
          `a later version of Baton wrote run '${id}' in '${place}'. The run was not changed. ` +
          "Update @effect-baton/core to go on with it."
      })
    }
    return undefined
  }
  const lineOf = (
    id: RunId,
    before: RunKernel.Row | undefined,
    after: RunKernel.Row | undefined
  ): Result.Result<string | undefined, Schema.SchemaError> =>
    after === undefined
      ? Result.succeed(LogRecord.gone(id))
      : before === undefined || before.record.incarnation !== after.record.incarnation
        ? LogRecord.whole(after)
        : LogRecord.difference(before, after)

  // Computing and queueing are one step that cannot be interrupted; only the wait can be.
  const perform = <A, E>(operation: string, id: RunId, change: Change<A, E>): Effect.Effect<A, E | TokenStoreError> =>
    Clock.clockWith((clock) => {
      const refused = refusal(operation, id)
      if (refused !== undefined) return Effect.fail(refused)
      const isPending = pending.has(id)
      const before = keptOf(id)
      const step = change(before?.row, momentOf(clock))
      const answer = Result.map(step, ({ value }) => value)
      const row = Result.isSuccess(step) ? step.success.row : before?.row
      if (row !== before?.row) {
        const line = lineOf(id, before?.row, row)
        if (Result.isFailure(line)) {
          return Effect.fail(
            new TokenStoreError({
              operation,
              kind: "corrupt",
              description: `run '${id}' cannot be written: ${line.failure.message}. Nothing was changed.`,
              cause: line.failure
            })
          )
        }
        const kept = row === undefined ? undefined : { row, bytes: bytesOf(before, row, line.success) }
        if (line.success === undefined && !isPending && kept !== undefined) {
          applyRun(id, kept)
          return Effect.fromResult(answer)
        }
        commits.queue(id, kept, line.success)
      } else if (!isPending) {
        return Effect.fromResult(answer)
      }
      // Waits even if this operation writes nothing: its result may depend on rows that are not durable yet, and the batch
      // is written after those.
      const written = commits.written()
      return Effect.flatMap(Effect.mapError(written, renamed(operation)), () => Effect.fromResult(answer))
    })

  // Reads show durable rows only, so that no caller acts on a row that a failing disk loses.
  const look = <A>(
    operation: string,
    id: RunId | undefined,
    f: (now: RunKernel.Moment) => A
  ): Effect.Effect<A, TokenStoreError> =>
    Clock.clockWith((clock) => {
      const refused = refusal(operation, id)
      return refused === undefined ? Effect.succeed(f(momentOf(clock))) : Effect.fail(refused)
    })

  return {
    modify: perform,
    read: (id) => look("read", id, () => durable.get(id)),
    find: (query) => look("list", undefined, (now) => durable.find(query, now)),
    count: (agent) => look("count", undefined, () => durable.count(agent)),
    // Also made from the clock, so that fences and incarnations rise even after the directory was emptied.
    draw: Clock.clockWith((clock) => Effect.sync(() => (fence = Math.max(fence + 1, momentOf(clock).millis)))),
    now: Clock.clockWith((clock) => Effect.succeed(momentOf(clock)))
  } satisfies Driver
}, Effect.uninterruptible)

// The approximate length of a run's line after a rewrite: only the journal of a run grows.
const bytesOf = (before: Kept | undefined, row: RunKernel.Row, line: string | undefined): number =>
  before === undefined || before.row.record.incarnation !== row.record.incarnation
    ? (line?.length ?? 0)
    : before.row.record.journal === row.record.journal
      ? before.bytes
      : before.bytes + (line?.length ?? 0)
