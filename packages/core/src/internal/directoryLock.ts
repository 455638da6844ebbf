import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { TokenStoreError } from "../TokenStoreError.ts"
import { take as takeStep } from "./fileSteps.ts"
import { ProcessProbe } from "./processProbe.ts"
import { fromPlatform } from "./storeFailure.ts"

// The lock of a directory is the file `lock.<n>` with the highest number. It is taken by creating the next number, which
// only one process can do, and released by renaming it to `lock.<n>.free`. The highest number is never removed, so who
// acts on an old look at the directory finds a higher one afterwards, and gives way.
//
// The file's time of modification is the owner's heartbeat.

/** The right to use a directory, held until the scope closes. */
export interface DirectoryLock {
  /** Fails when another process took the directory; asks the disk only when the last heartbeat is old. */
  readonly check: Effect.Effect<void, TokenStoreError>
}

const Owner = Schema.Struct({
  pid: Schema.Int.check(Schema.isGreaterThan(0)),
  host: Schema.String,
  /** Machine, boot and process namespace: where two of these are the same, a pid names the same process. */
  space: Schema.String,
  /** When the process started, as far as it can be told: another process can have got its pid later. */
  started: Schema.String,
  /** Milliseconds since the epoch. */
  since: Schema.Number,
  /** Milliseconds between two heartbeats. */
  heartbeat: Schema.Number
})
type Owner = typeof Owner.Type
const OwnerJson = Schema.fromJsonString(Owner)
const decodeOwner = Schema.decodeUnknownOption(OwnerJson)
const encodeOwner = Schema.encodeEffect(OwnerJson)

interface Entry {
  readonly number: number
  readonly free: boolean
  readonly file: string
}

// How many heartbeats of an owner that cannot be probed may fail to come.
const patience = 4
const attempts = 64
const operation = "open"

export const acquire = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  options: { readonly directory: string; readonly heartbeat: Duration.Duration }
): Effect.fn.Return<DirectoryLock, TokenStoreError, Scope.Scope> {
  const { directory } = options
  const probe = yield* ProcessProbe
  const failed = fromPlatform(operation, directory)
  const me: Owner = {
    pid: probe.pid,
    host: probe.host,
    space: yield* space(fs),
    started: yield* started(fs, probe.pid),
    since: yield* Clock.currentTimeMillis,
    heartbeat: Duration.toMillis(options.heartbeat)
  }
  const content = yield* Effect.orDie(encodeOwner(me))

  const scan = Effect.map(fs.readDirectory(directory), (names) =>
    names.flatMap((name): ReadonlyArray<Entry> => {
      const match = /^lock\.(\d{1,15})(\.free)?$/.exec(name)
      return match === null
        ? []
        : [{ number: Number(match[1]), free: match[2] !== undefined, file: path.join(directory, name) }]
    })
  )
  const locked = (entry: Entry, owner: Option.Option<Owner>) =>
    new TokenStoreError({
      operation,
      kind: "locked",
      description: Option.match(owner, {
        onNone: () => `Another process has '${directory}' open. Stop it, or give this process a directory of its own.`,
        onSome: ({ host, pid, since, space: namespace }) =>
          namespace === me.space && host === me.host && pid === me.pid
            ? `This process (${me.pid}) has '${directory}' open already. Build the layer once and share it.`
            : `Process ${pid} on '${host}' has had '${directory}' open since ${new Date(since).toISOString()}. ` +
              `Stop it, or give this process a directory of its own. If that process is something else, delete '${entry.file}'.`
      })
    })

  const read = (entry: Entry) =>
    Effect.map(
      absent(fs.readFileString(entry.file)),
      Option.map((text) => decodeOwner(text))
    )

  // Whether the owner of an entry is gone; `undefined` when the entry itself is.
  const isGone = Effect.fnUntraced(function* (entry: Entry) {
    const owner = yield* read(entry)
    if (Option.isNone(owner)) return undefined
    if (Option.isSome(owner.value) && owner.value.value.host === me.host && owner.value.value.space === me.space) {
      const { pid, started: then } = owner.value.value
      if (!probe.isAlive(pid)) return true
      const now = yield* started(fs, pid)
      if (then !== "" && now !== "" && then !== now) return true
      return yield* locked(entry, owner.value)
    }
    // An owner elsewhere, or one whose entry is not written yet: only its heartbeat tells.
    const { heartbeat } = Option.getOrElse(owner.value, () => me)
    const before = yield* absent(fs.stat(entry.file))
    for (let i = 0; i < patience * 2; i++) {
      yield* Effect.interruptible(Effect.sleep(heartbeat / 2))
      const after = yield* absent(fs.stat(entry.file))
      if (Option.isNone(before) || Option.isNone(after)) return undefined
      if (beat(before.value) !== beat(after.value)) return yield* locked(entry, owner.value)
    }
    return true
  })

  const create = Effect.fnUntraced(function* (file: string) {
    const unique = `${me.pid}-${yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)}`
    const temporary = path.join(directory, `lock.new.${unique}`)
    return yield* fs.writeFileString(temporary, content, { flag: "wx" }).pipe(
      Effect.andThen(
        // Linked, it appears with its content; not every file system can link.
        Effect.catch(fs.link(temporary, file), (error) =>
          error.reason._tag === "AlreadyExists" || error.reason._tag === "NotFound"
            ? Effect.fail(error)
            : fs.writeFileString(file, content, { flag: "wx" })
        )
      ),
      Effect.as(true),
      Effect.catchIf(
        (error) => error.reason._tag === "AlreadyExists" || error.reason._tag === "NotFound",
        () => Effect.succeed(false)
      ),
      Effect.ensuring(Effect.ignore(fs.remove(temporary, { force: true })))
    )
  })

  const take = Effect.gen(function* () {
    for (let i = 0; i < attempts; i++) {
      const top = highest(yield* scan)
      if (top !== undefined && !top.free) {
        const gone = yield* isGone(top)
        if (gone === undefined) continue
      }
      const mine = path.join(directory, `lock.${(top?.number ?? 0) + 1}`)
      const entry: Entry = { number: (top?.number ?? 0) + 1, free: false, file: mine }
      if (!(yield* takeStep("lock", create(mine)))) continue
      const all = yield* scan
      if (all.some((other) => other.file !== mine && other.number >= entry.number)) {
        yield* fs.remove(mine, { force: true })
        continue
      }
      yield* Effect.forEach(
        all.filter((other) => other.number < entry.number),
        (other) => Effect.ignore(fs.remove(other.file, { force: true })),
        { discard: true }
      )
      return entry
    }
    return yield* new TokenStoreError({
      operation,
      kind: "locked",
      description: `Too many processes open '${directory}' at once. Try again.`
    })
  }).pipe(Effect.catchTag("PlatformError", (error) => Effect.fail(failed(error))))

  const mine = yield* Effect.acquireRelease(take, (entry) =>
    Effect.ignore(takeStep("unlock", fs.rename(entry.file, `${entry.file}.free`)))
  )

  let lost: TokenStoreError | undefined
  let heard = yield* Clock.monotonicTimeNanos
  const pulse = Effect.gen(function* () {
    if (lost !== undefined) return yield* lost
    const now = yield* Clock.monotonicTimeNanos
    const top = highest(yield* scan)
    if (top?.file !== mine.file) {
      lost = new TokenStoreError({
        operation,
        kind: "locked",
        description:
          `Another process took '${directory}' while this one stood still. ` +
          `Nothing is written any more: build the store again, or stop this process.`
      })
      return yield* lost
    }
    const date = new Date(yield* Clock.currentTimeMillis)
    yield* fs.utimes(mine.file, date, date)
    heard = now
  }).pipe(Effect.catchTag("PlatformError", (error) => Effect.fail(failed(error))))

  yield* Effect.sleep(options.heartbeat).pipe(Effect.andThen(Effect.ignore(pulse)), Effect.forever, Effect.forkScoped)
  const limit = 2n * Duration.toNanosUnsafe(options.heartbeat)
  return {
    check: Clock.clockWith((clock) =>
      lost === undefined && clock.monotonicTimeNanosUnsafe() - heard < limit ? Effect.void : pulse
    )
  }
})

const highest = (entries: ReadonlyArray<Entry>): Entry | undefined => {
  let top: Entry | undefined
  for (const entry of entries) {
    if (top === undefined || entry.number > top.number || (entry.number === top.number && entry.free)) top = entry
  }
  return top
}

const absent = <A>(
  effect: Effect.Effect<A, PlatformError.PlatformError>
): Effect.Effect<Option.Option<A>, PlatformError.PlatformError> =>
  effect.pipe(
    Effect.map(Option.some),
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () => Effect.succeed(Option.none<A>())
    )
  )

const beat = (info: FileSystem.File.Info): number =>
  Option.match(info.mtime, { onNone: () => 0, onSome: (date) => date.getTime() })

// Linux tells these of itself; elsewhere the name of the host has to do.
const space = (fs: FileSystem.FileSystem): Effect.Effect<string> =>
  Effect.zipWith(
    fs.readFileString("/proc/sys/kernel/random/boot_id"),
    fs.readLink("/proc/self/ns/pid"),
    (boot, namespace) => `${boot.trim()} ${namespace}`
  ).pipe(Effect.orElseSucceed(() => ""))

const started = (fs: FileSystem.FileSystem, pid: number): Effect.Effect<string> =>
  fs.readFileString(`/proc/${pid}/stat`).pipe(
    // The fields behind the name of the program, which is in brackets and can hold anything: the twentieth is the start.
    Effect.map((stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""),
    Effect.orElseSucceed(() => "")
  )
