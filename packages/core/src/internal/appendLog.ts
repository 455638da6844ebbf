import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Scope from "effect/Scope"
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

/** A file that is open to append to. */
interface LogFile {
  readonly file: FileSystem.File
  readonly scope: Scope.Closeable
}

const openFile = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  place: string
): Effect.fn.Return<LogFile, PlatformError.PlatformError> {
  const scope = yield* Scope.make()
  const file = yield* fs.open(place, { flag: "a" }).pipe(Scope.provide(scope))
  return { file, scope }
})

const closeFile = ({ scope }: LogFile) => Effect.ignoreCause(Scope.close(scope, Exit.void))

/** The names in a directory, which a crash takes back unless they are made durable. */
interface Names {
  /** A name was given to another file. */
  readonly changed: () => void
  /** Makes the names durable, if they changed and this file system can do it (Windows cannot). */
  readonly settle: Effect.Effect<void, PlatformError.PlatformError>
}

const namesIn = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, directory: string): Effect.fn.Return<Names> {
  const sync = take(
    "sync directory",
    Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (file) => file.sync))
  )
  const canSync = yield* Effect.isSuccess(sync)
  let isUnsettled = false
  return {
    changed: () => {
      isUnsettled = true
    },
    settle: Effect.suspend(() =>
      isUnsettled && canSync ? Effect.tap(sync, () => Effect.sync(() => (isUnsettled = false))) : Effect.void
    )
  }
})

/** Writes lines to a new file, and puts it in the place of the old one once it is durable. */
const replace = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  path: string,
  payloads: Iterable<string>
): Effect.fn.Return<LogFile & { readonly length: number }, PlatformError.PlatformError> {
  const temporary = `${path}.new`
  yield* fs.remove(temporary, { force: true })
  const next = yield* openFile(fs, temporary)
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
  }).pipe(Effect.onError(() => Effect.andThen(closeFile(next), Effect.ignore(fs.remove(temporary, { force: true })))))
  return { ...next, length: written }
})

/** Opens a log to append to, of which the first `length` bytes are sound; what is behind them is cut off. */
export const open = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  options: { readonly directory: string; readonly path: string; readonly length: number }
): Effect.fn.Return<AppendLog, PlatformError.PlatformError> {
  const { directory, path } = options
  let current = yield* openFile(fs, path)
  let length = options.length
  // What is behind `length` is of a write that failed, and has to go before the next.
  let torn = true

  const repair = Effect.suspend(() =>
    torn
      ? Effect.tap(take("truncate", current.file.truncate(length)), () => Effect.sync(() => (torn = false)))
      : Effect.void
  )
  const closeCurrent = () => closeFile(current)
  const names = yield* Effect.andThen(repair, namesIn(fs, directory)).pipe(Effect.onError(closeCurrent))
  const write = (bytes: Uint8Array) =>
    Effect.gen(function* () {
      yield* repair
      yield* names.settle
      torn = true
      yield* take("write", current.file.writeAll(bytes))
      yield* take("sync", current.file.sync)
      length += bytes.length
      torn = false
    }).pipe(Effect.onError(() => Effect.ignore(repair)))

  const rewrite = (payloads: Iterable<string>) =>
    Effect.gen(function* () {
      const next = yield* replace(fs, path, payloads)
      const old = current
      current = next
      length = next.length
      torn = false
      names.changed()
      yield* closeFile(old)
      yield* Effect.ignore(names.settle)
    })

  yield* (length === 0 ? write(LogFormat.header) : current.file.sync).pipe(Effect.onError(closeCurrent))

  return {
    length: () => length,
    append: (payloads) => Effect.uninterruptible(Effect.suspend(() => write(LogFormat.encode(payloads, length)))),
    rewrite: (payloads) => Effect.uninterruptible(rewrite(payloads)),
    close: Effect.suspend(closeCurrent)
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
