import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Scope from "effect/Scope"
import { TokenStoreError } from "../../TokenStoreError.ts"
import type { DirectoryLock } from "./directoryLock.ts"
import { absent, identify, isSame } from "./fileIdentity.ts"
import * as LogFormat from "./logFormat.ts"
import { fromPlatform } from "../store/storeFailure.ts"

/** A file that only grows. Every line that was reported as written survives a crash. */
export interface AppendLog {
  /** The number of durable bytes. */
  readonly length: () => number
  /**
   * Appends lines with one write and one sync. If it fails, the next append removes all of them. It succeeds only if, after
   * the sync, this process still had the lock, and the path named this log with the expected length. Without lines it only
   * checks that. Returns where each line begins, and where the last one ends.
   */
  readonly append: (payloads: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<number>, TokenStoreError>
  /** Replaces all lines. The old log stays until the new one is durable. */
  readonly rewrite: (payloads: Iterable<string>) => Effect.Effect<void, TokenStoreError>
  /** The same with lines that come in pieces. Calls `replaced` in the step in which the new log replaces the old one. */
  readonly replace: (fill: Fill, replaced: () => void) => Effect.Effect<void, TokenStoreError>
  /** The log as it is now: its durable lines can be read until it is released, even after it was replaced. */
  readonly hold: () => Held
  readonly close: Effect.Effect<void>
}

/** A log that is being read. */
export interface Held {
  readonly read: (at: number, size: number) => Effect.Effect<Uint8Array, TokenStoreError>
  readonly release: Effect.Effect<void>
}

/** Writes lines. Returns the same as `append` of a log. */
type Append = (payloads: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<number>, Failure>

/** Writes the lines of a log in pieces. */
export type Fill = (append: Append) => Effect.Effect<void, Failure>

type Failure = PlatformError.PlatformError | TokenStoreError

const chunkSize = 1 << 20
const newline = 10
// How old a check before a write may be, in nanoseconds. The check after the write is the one that guarantees something;
// the check before it only saves the file of another owner from a stray line.
const fresh = 10_000_000n

/** Reads the rest of a file in pieces. */
export const readOn = (
  file: FileSystem.File,
  feed: (bytes: Uint8Array) => void
): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.gen(function* () {
    while (true) {
      const chunk = yield* file.readAlloc(chunkSize)
      if (Option.isNone(chunk)) return
      feed(chunk.value)
    }
  })

/** Reads a log from its beginning; `undefined` if there is none. */
export const read = (
  fs: FileSystem.FileSystem,
  path: string,
  visit: (payload: string, bytes: number) => void
): Effect.Effect<LogFormat.Verdict | undefined, PlatformError.PlatformError> =>
  Effect.gen(function* () {
    const file = yield* fs.open(path, { flag: "r" })
    const reader = LogFormat.reader(visit)
    yield* readOn(file, reader.feed)
    return reader.finish()
  }).pipe(
    Effect.scoped,
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () => Effect.undefined
    )
  )

/** A file that is open to append to, and how many use it. */
interface LogFile {
  readonly file: FileSystem.File
  readonly info: FileSystem.File.Info
  readonly scope: Scope.Closeable
  users: number
}

const openFile = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  place: string
): Effect.fn.Return<LogFile, PlatformError.PlatformError> {
  const scope = yield* Scope.make()
  return yield* Effect.gen(function* () {
    const file = yield* fs.open(place, { flag: "a+" }).pipe(Scope.provide(scope))
    return { file, info: yield* identify(fs, place, file), scope, users: 1 }
  }).pipe(Effect.onError(() => Scope.close(scope, Exit.void)))
})

/** Closes a file after its last user. */
const closeFile = (file: LogFile): Effect.Effect<void> =>
  Effect.suspend(() => (--file.users > 0 ? Effect.void : Effect.ignoreCause(Scope.close(file.scope, Exit.void))))

/** The names in a directory. A crash undoes changes of names that were not made durable. */
interface Names {
  /** Called after a name was given to another file. */
  readonly changed: () => void
  /** Makes the names durable, if they changed and the file system can do that (Windows cannot). */
  readonly persist: Effect.Effect<void, PlatformError.PlatformError>
}

const namesIn = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, directory: string): Effect.fn.Return<Names> {
  const sync = Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (file) => file.sync))
  const canSync = yield* Effect.isSuccess(sync)
  let isDirty = false
  return {
    changed: () => {
      isDirty = true
    },
    persist: Effect.suspend(() =>
      isDirty && canSync ? Effect.tap(sync, () => Effect.sync(() => (isDirty = false))) : Effect.void
    )
  }
})

type Write = (bytes: Uint8Array) => Effect.Effect<void, PlatformError.PlatformError>

/** Fills a new file, and replaces the old one with it once the new one is durable and `check` succeeds. */
const replace = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  options: {
    readonly path: string
    readonly nonce: string
    readonly check: Effect.Effect<void, Failure>
    readonly fill: (write: Write) => Effect.Effect<unknown, Failure>
  }
): Effect.fn.Return<{ readonly log: LogFile; readonly length: number }, Failure> {
  const { check, fill, nonce, path } = options
  // Only this owner uses this name, so that no other owner can put an unfinished log in place.
  const temporary = `${path}.${nonce}.new`
  yield* fs.remove(temporary, { force: true })
  const next = yield* openFile(fs, temporary)
  let length = 0
  yield* Effect.gen(function* () {
    yield* fill((bytes) => Effect.tap(next.file.writeAll(bytes), () => Effect.sync(() => (length += bytes.length))))
    yield* next.file.sync
    yield* check
    yield* fs.rename(temporary, path)
  }).pipe(Effect.onError(() => Effect.andThen(closeFile(next), Effect.ignore(fs.remove(temporary, { force: true })))))
  return { log: next, length }
})

/** Where each line of these bytes begins if they are written at `at`, and where the last one ends. */
const startsOf = (bytes: Uint8Array, at: number): ReadonlyArray<number> => {
  const starts = [at]
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, end + 1)) starts.push(at + end + 1)
  return starts
}

/** The header and lines. */
const lines = (fill: Fill) => (write: Write) =>
  Effect.suspend(() => {
    let length = LogFormat.header.length
    const append: Append = (payloads) =>
      Effect.suspend(() => {
        const bytes = LogFormat.encode(payloads, length)
        const starts = startsOf(bytes, length)
        length += bytes.length
        return Effect.as(write(bytes), starts)
      })
    return Effect.andThen(write(LogFormat.header), fill(append))
  })

const filledWith = (payloads: Iterable<string>): Fill =>
  Effect.fnUntraced(function* (append) {
    for (const batch of batches(payloads)) yield* append(batch)
  })

/** The first bytes of a log, unchanged. */
const beginning = (fs: FileSystem.FileSystem, path: string, length: number) => (write: Write) =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* fs.open(path, { flag: "r" })
      for (let rest = length; rest > 0;) {
        const chunk = yield* file.readAlloc(Math.min(chunkSize, rest))
        if (Option.isNone(chunk)) return
        yield* write(chunk.value)
        rest -= chunk.value.length
      }
    })
  )

const readAt = Effect.fnUntraced(function* (
  file: FileSystem.File,
  path: string,
  at: number,
  size: number
): Effect.fn.Return<Uint8Array, Failure> {
  const bytes = new Uint8Array(size)
  for (let done = 0; done < size;) {
    const got = Number(yield* file.read(bytes.subarray(done), { position: BigInt(at + done) }))
    if (got === 0) {
      const description = `'${path}' ends before byte ${at + size}, although this process wrote more. Another program cut it.`
      return yield* new TokenStoreError({ operation: "read", kind: "corrupt", description })
    }
    done += got
  }
  return bytes
})

/** What is wrong with the file that the path of a log names now; undefined if nothing is. */
const judge = (
  { subject }: DirectoryLock,
  path: string,
  opened: FileSystem.File.Info,
  found: Option.Option<FileSystem.File.Info>,
  least: number,
  most: number
): TokenStoreError | undefined => {
  if (Option.isNone(found) || !isSame(found.value, opened)) {
    return new TokenStoreError({
      operation: "write",
      kind: "locked",
      description:
        `'${path}' is no longer the file that this process opened: another program moved, replaced or deleted it. ` +
        `The ${subject} writes no more. Build it again to go on with the file that is there, or stop this process.`
    })
  }
  const size = Number(found.value.size)
  if (size >= least && size <= most) return undefined
  return new TokenStoreError({
    operation: "write",
    kind: "corrupt",
    description:
      `'${path}' has ${size} bytes, but this process wrote ${least}: another program cut the file or wrote to it. ` +
      `The ${subject} writes no more. Build it again to go on with the file that is there, or restore it from a backup.`
  })
}

/** Opens a log to append to. Its first `length` bytes are sound; it cuts off the rest. */
export const open = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  options: {
    readonly directory: string
    readonly path: string
    readonly length: number
    readonly lock: DirectoryLock
  }
): Effect.fn.Return<AppendLog, TokenStoreError> {
  const { directory, lock, path } = options
  const failing =
    (operation: string, place: string) =>
    <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<A, TokenStoreError> =>
      Effect.catchTag(effect, "PlatformError", (error) => Effect.fail(fromPlatform(operation, place)(error)))

  return yield* Effect.gen(function* () {
    const replacing = { path, nonce: lock.nonce }
    const { contested } = lock
    let current: LogFile = contested
      ? (yield* replace(fs, {
          ...replacing,
          check: lock.check,
          fill: options.length === 0 ? lines(() => Effect.void) : beginning(fs, path, options.length)
        })).log
      : yield* openFile(fs, path)
    let length = contested && options.length === 0 ? LogFormat.header.length : options.length
    // Bytes after `length`, up to `reach` at most, are from a write that failed. They must be cut off before the next
    // write.
    let torn = !contested
    let reach = Infinity
    let isWriting = false

    // The time of the last successful check.
    let seen: bigint | undefined
    // Checks that this process owns the directory, and that the path names the log with the expected length.
    const assure = (least: number, most: number = least): Effect.Effect<void, Failure> =>
      Clock.clockWith((clock) => {
        const now = clock.monotonicTimeNanosUnsafe()
        return Effect.zipWith(
          lock.check,
          absent(fs.stat(path)),
          (_, info) => judge(lock, path, current.info, info, least, most),
          {
            concurrent: true
          }
        ).pipe(
          Effect.flatMap((wrong) => {
            if (wrong !== undefined) return Effect.fail(lock.lose(wrong))
            seen = now
            return Effect.void
          })
        )
      })
    const asItWas = Effect.suspend(() => assure(length, torn ? reach : length))
    const isFresh = Effect.map(Clock.monotonicTimeNanos, (now) => seen !== undefined && !torn && now - seen < fresh)
    const cut = Effect.suspend(() =>
      torn ? Effect.tap(current.file.truncate(length), () => Effect.sync(() => (torn = false))) : Effect.void
    )
    // A process that lost the log must not cut it.
    const repair = Effect.suspend(() => (torn ? Effect.andThen(asItWas, cut) : Effect.void))
    const closeCurrent = () => closeFile(current)
    const names = yield* Effect.andThen(repair, namesIn(fs, directory)).pipe(Effect.onError(closeCurrent))

    const write = (bytes: Uint8Array) =>
      Effect.gen(function* () {
        if (bytes.length === 0) return yield* asItWas
        if (!(yield* isFresh)) yield* asItWas
        yield* cut
        yield* names.persist
        torn = true
        reach = length + bytes.length
        yield* current.file.writeAll(bytes)
        yield* current.file.sync
        yield* assure(reach)
        length = reach
        torn = false
      }).pipe(Effect.onError(() => Effect.ignore(repair)))

    const rewrite = (fill: Fill, replaced?: () => void) =>
      Effect.gen(function* () {
        const next = yield* replace(fs, { ...replacing, check: asItWas, fill: lines(fill) })
        const old = current
        current = next.log
        length = next.length
        torn = false
        replaced?.()
        names.changed()
        yield* closeFile(old)
        yield* Effect.ignore(names.persist)
      })

    yield* (length === 0 ? write(LogFormat.header) : current.file.sync).pipe(
      Effect.andThen(contested ? lock.forgetLost : Effect.void),
      Effect.onError(closeCurrent)
    )

    const alone = <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<A, TokenStoreError> =>
      Effect.suspend(() => {
        isWriting = true
        return Effect.ensuring(
          effect,
          Effect.sync(() => (isWriting = false))
        )
      }).pipe(failing("write", path), Effect.uninterruptible)
    // Runs between two writes, which check for themselves.
    const idle = Effect.suspend(() => {
      if (isWriting) return Effect.void
      const before = length
      return Effect.flatMap(absent(fs.stat(path)), (info) => {
        if (isWriting || torn || before !== length) return Effect.void
        const wrong = judge(lock, path, current.info, info, length, length)
        return wrong === undefined ? Effect.void : Effect.fail(lock.lose(wrong))
      })
    }).pipe(failing("write", path))
    lock.alongside(idle)

    const append = (payloads: ReadonlyArray<string>) =>
      Effect.suspend(() => {
        const bytes = payloads.length === 0 ? new Uint8Array() : LogFormat.encode(payloads, length)
        const starts = startsOf(bytes, length)
        return Effect.as(write(bytes), starts)
      })
    const hold = (): Held => {
      const held = current
      held.users++
      return {
        read: (at, size) => readAt(held.file, path, at, size).pipe(failing("read", path)),
        release: closeFile(held)
      }
    }

    return {
      length: () => length,
      append: (payloads: ReadonlyArray<string>) => alone(append(payloads)),
      rewrite: (payloads: Iterable<string>) => alone(rewrite(filledWith(payloads))),
      replace: (fill: Fill, replaced: () => void) => alone(rewrite(fill, replaced)),
      hold,
      close: Effect.suspend(closeCurrent)
    }
  }).pipe(failing("open", directory))
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
