import { Effect, Exit, type FileSystem, Option, type PlatformError, Scope } from "effect"
import { take } from "./fileSteps.ts"
import * as LogFormat from "./logFormat.ts"

/** A file that only grows, and of which every acknowledged line survives a crash. */
export interface AppendLog {
  /** How many bytes of it are durable. */
  readonly length: () => number
  /** Appends lines with one write and one sync; when it fails, none of them is there for the next. */
  readonly append: (payloads: ReadonlyArray<string>) => Effect.Effect<void, PlatformError.PlatformError>
  /** Puts other lines in the place of all: the old log stays until the new one is durable. */
  readonly rewrite: (payloads: Iterable<string>) => Effect.Effect<void, PlatformError.PlatformError>
  readonly close: Effect.Effect<void>
}

const chunkSize = 1 << 20

/** Reads a log from its beginning; `undefined` where there is none. */
export const read = (
  fs: FileSystem.FileSystem,
  path: string,
  visit: (payload: string, bytes: number) => void
): Effect.Effect<LogFormat.Verdict | undefined, PlatformError.PlatformError> =>
  Effect.gen(function* () {
    const file = yield* fs.open(path, { flag: "r" })
    const reader = LogFormat.reader(visit)
    while (true) {
      const chunk = yield* file.readAlloc(chunkSize)
      if (Option.isNone(chunk)) return reader.finish()
      reader.feed(chunk.value)
    }
  }).pipe(
    Effect.scoped,
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () => Effect.undefined
    )
  )

/** Opens a log to append to, of which the first `length` bytes are sound; what is behind them is cut off. */
export const open = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  options: { readonly directory: string; readonly path: string; readonly length: number }
): Effect.fn.Return<AppendLog, PlatformError.PlatformError> {
  const { directory, path } = options
  const close = (scope: Scope.Closeable) => Effect.ignoreCause(Scope.close(scope, Exit.void))
  const openFile = Effect.fnUntraced(function* (place: string) {
    const scope = yield* Scope.make()
    const file = yield* fs.open(place, { flag: "a" }).pipe(Scope.provide(scope))
    return { file, scope }
  })
  const syncDirectory = take(
    "sync directory",
    Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (file) => file.sync))
  )

  let current = yield* openFile(path)
  let length = options.length
  // What is behind `length` is of a write that failed, and has to go before the next.
  let torn = true
  // The directory does not durably name the file yet; and whether this file system can make it (Windows cannot).
  let unnamed = false
  let canSyncDirectory = false

  const repair = Effect.suspend(() =>
    torn
      ? Effect.tap(take("truncate", current.file.truncate(length)), () => Effect.sync(() => (torn = false)))
      : Effect.void
  )
  const name = Effect.suspend(() =>
    unnamed && canSyncDirectory ? Effect.tap(syncDirectory, () => Effect.sync(() => (unnamed = false))) : Effect.void
  )
  const write = (bytes: Uint8Array) =>
    Effect.gen(function* () {
      yield* repair
      yield* name
      torn = true
      yield* take("write", current.file.writeAll(bytes))
      yield* take("sync", current.file.sync)
      length += bytes.length
      torn = false
    }).pipe(Effect.onError(() => Effect.ignore(repair)))

  const rewrite = (payloads: Iterable<string>) =>
    Effect.gen(function* () {
      const temporary = `${path}.new`
      yield* fs.remove(temporary, { force: true })
      const next = yield* openFile(temporary)
      let written = 0
      yield* Effect.gen(function* () {
        yield* next.file.writeAll(LogFormat.header)
        written = LogFormat.header.length
        for (const batch of batches(payloads)) {
          const bytes = LogFormat.encode(batch, written)
          yield* take("write the new log", next.file.writeAll(bytes))
          written += bytes.length
        }
        yield* take("sync the new log", next.file.sync)
        yield* take("rename", fs.rename(temporary, path))
      }).pipe(
        Effect.onError(() => Effect.andThen(close(next.scope), Effect.ignore(fs.remove(temporary, { force: true }))))
      )
      const old = current
      current = next
      length = written
      torn = false
      unnamed = true
      yield* close(old.scope)
      yield* Effect.ignore(name)
    })

  yield* Effect.gen(function* () {
    yield* repair
    canSyncDirectory = yield* Effect.isSuccess(syncDirectory)
    if (length === 0) {
      yield* write(LogFormat.header)
    } else {
      yield* current.file.sync
    }
  }).pipe(Effect.onError(() => close(current.scope)))

  return {
    length: () => length,
    append: (payloads) => Effect.uninterruptible(Effect.suspend(() => write(LogFormat.encode(payloads, length)))),
    rewrite: (payloads) => Effect.uninterruptible(rewrite(payloads)),
    close: Effect.suspend(() => close(current.scope))
  }
}, Effect.uninterruptible)

function* batches(payloads: Iterable<string>): Generator<ReadonlyArray<string>> {
  let batch: Array<string> = []
  let size = 0
  for (const payload of payloads) {
    batch.push(payload)
    size += payload.length
    if (size >= chunkSize) {
      yield batch
      batch = []
      size = 0
    }
  }
  if (batch.length > 0) yield batch
}
