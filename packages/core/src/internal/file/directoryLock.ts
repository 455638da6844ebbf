import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { TokenStoreError } from "../../TokenStoreError.ts"
import { absent, identify, isNumbered, isSame } from "./fileIdentity.ts"
import { freshId } from "../primitives/freshId.ts"
import { ProcessProbe } from "../../ProcessProbe.ts"
import { fromPlatform } from "../store/storeFailure.ts"

// The lock of a directory is the file `lock.<n>` with the highest number. A process takes it by creating the next number,
// which only one process can do, and releases it by renaming it to `lock.<n>.free`. The highest number is never removed.
// So a process that acts on an outdated listing of the directory finds a higher number afterwards, and gives way.
//
// The file's time of modification is the owner's heartbeat, and its content holds a nonce.
//
// An owner has lost the directory as soon as its name `lock.<n>` does not belong to the file that it created and holds
// open. The next owner first takes that name away, and only then reads the log. So an owner that still finds its lock after
// a write knows that the next owner will read this write.
//
// Whether an owner is gone: on this machine, its process shows that. A zombie is dead. A stopped process is alive, however
// long its heartbeat stood still, because it can go on at any moment. An owner on another machine counts as gone if its
// heartbeat stood still, but it can be in the middle of a write. Its lock is renamed to `lock.<n>.lost`, which means that
// the log must not be written in place, but only in a copy. If the old owner still writes, it writes to a file that no
// longer has a name. The same holds for a directory with files and without a lock: somebody may have deleted the lock of a
// live owner.

type Subject = "store" | "update log"

/** The right to use a directory, held until the scope closes. */
export interface DirectoryLock {
  /** The unique name of this owner. */
  readonly nonce: string
  /** What is in the directory, as a word for messages. */
  readonly subject: Subject
  /** Whether an earlier owner may still write to the files that it had open. */
  readonly contested: boolean
  /** Removes the `.lost` entries. Call it once the files are no longer those that an earlier owner has open. */
  readonly forgetLost: Effect.Effect<void, PlatformError.PlatformError>
  /** Fails if this process has lost the directory. Reads that from the disk. */
  readonly check: Effect.Effect<void, TokenStoreError>
  /** The error with which this process lost the directory for good; undefined while it has the directory. */
  readonly lost: () => TokenStoreError | undefined
  /** Marks the directory as lost. Returns the first error for which it was. */
  readonly lose: (error: TokenStoreError) => TokenStoreError
  /** Adds a check to each heartbeat. */
  readonly alongside: (check: Effect.Effect<void, TokenStoreError>) => void
}

const Owner = Schema.Struct({
  pid: Schema.Int.check(Schema.isGreaterThan(0)),
  host: Schema.String,
  nonce: Schema.String,
  /** Machine, boot and process namespace. Within the same space, a pid names one process at a time. */
  space: Schema.String,
  /** When the process started, or "" if that is not known: another process can get the same pid later. */
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
  /** Held by an owner, released by it, or taken from an owner that may still write. */
  readonly state: "held" | "free" | "lost"
  readonly file: string
}

// How many heartbeats may be missing of an owner whose process cannot be checked.
const patience = 4
const attempts = 64
const operation = "open"

export const acquire = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  options: { readonly directory: string; readonly heartbeat: Duration.Duration; readonly subject?: Subject }
): Effect.fn.Return<DirectoryLock, TokenStoreError, Scope.Scope> {
  const { directory, subject = "store" } = options
  const probe = yield* ProcessProbe
  const failed = fromPlatform(operation, directory)
  const me: Owner = {
    pid: probe.pid,
    host: probe.host,
    nonce: yield* freshId,
    space: yield* space(fs),
    started: Option.match(yield* look(fs, probe.pid), { onNone: () => "", onSome: (seen) => seen.started }),
    since: yield* Clock.currentTimeMillis,
    heartbeat: Duration.toMillis(options.heartbeat)
  }
  const content = yield* Effect.orDie(encodeOwner(me))

  const names = fs.readDirectory(directory)
  const entriesOf = (all: ReadonlyArray<string>): ReadonlyArray<Entry> =>
    all.flatMap((name) => {
      const match = /^lock\.(\d{1,15})(\.free|\.lost)?$/.exec(name)
      if (match === null) return []
      const state = match[2] === ".free" ? "free" : match[2] === ".lost" ? "lost" : "held"
      return [{ number: Number(match[1]), state, file: path.join(directory, name) }]
    })
  const scan = Effect.map(names, entriesOf)
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
              "Stop it, or give this process a directory of its own. " +
              `If that process is another program, delete '${entry.file}'.`
      })
    })

  const read = (entry: Entry) =>
    Effect.map(
      absent(fs.readFileString(entry.file)),
      Option.map((text) => decodeOwner(text))
    )

  // How an owner is known to be gone: its process is dead, or its heartbeat is silent. `undefined` if the entry is gone.
  const verdictOn = Effect.fnUntraced(function* (
    entry: Entry
  ): Effect.fn.Return<"dead" | "silent" | undefined, PlatformError.PlatformError | TokenStoreError> {
    const owner = yield* read(entry)
    if (Option.isNone(owner)) return undefined
    if (Option.isSome(owner.value) && owner.value.value.host === me.host && owner.value.value.space === me.space) {
      const { pid, started: then } = owner.value.value
      if (!probe.isAlive(pid)) return "dead"
      const seen = yield* look(fs, pid)
      if (Option.isSome(seen) && (seen.value.isDead || (then !== "" && then !== seen.value.started))) return "dead"
      return yield* locked(entry, owner.value)
    }
    // An owner on another machine, or one whose entry is not written yet: only its heartbeat shows whether it is alive.
    const { heartbeat } = Option.getOrElse(owner.value, () => me)
    const before = yield* absent(fs.stat(entry.file))
    for (let i = 0; i < patience * 2; i++) {
      yield* Effect.interruptible(Effect.sleep(heartbeat / 2))
      const after = yield* absent(fs.stat(entry.file))
      if (Option.isNone(before) || Option.isNone(after)) return undefined
      if (beat(before.value) !== beat(after.value)) return yield* locked(entry, owner.value)
    }
    return "silent"
  })

  const create = Effect.fnUntraced(function* (file: string) {
    const temporary = path.join(directory, `lock.new.${me.nonce}`)
    return yield* fs.writeFileString(temporary, content, { flag: "wx" }).pipe(
      Effect.andThen(
        // A linked file appears together with its content. Not every file system can link.
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

  const lostOf = (number: number) => path.join(directory, `lock.${number}.lost`)
  // Takes the names away from earlier owners; `true` if one of them may still write.
  const depose = Effect.fnUntraced(function* (all: ReadonlyArray<Entry>, dead: Entry | undefined) {
    let contested = false
    for (const other of all) {
      if (other.state === "free" || other.file === dead?.file) {
        yield* Effect.ignore(fs.remove(other.file, { force: true }))
      } else {
        contested = true
        if (other.state === "held") yield* absent(fs.rename(other.file, lostOf(other.number)))
      }
    }
    // A new log that an earlier owner has not put in place yet must not get there any more.
    const unfinished = (yield* names).filter((name) => name.endsWith(".new"))
    yield* Effect.forEach(unfinished, (name) => fs.remove(path.join(directory, name), { force: true }))
    return contested
  })

  // Keeps the new entry if no other counts; otherwise removes it.
  const takeEntry = Effect.fnUntraced(function* (file: string, number: number, dead: Entry | undefined) {
    const scope = yield* Scope.make()
    const leave = Scope.close(scope, Exit.void)
    return yield* Effect.gen(function* () {
      const info = yield* absent(
        Effect.flatMap(Scope.provide(fs.open(file, { flag: "r" }), scope), (handle) => identify(fs, file, handle))
      )
      const all = yield* scan
      const isHigher = all.some((other) => other.file !== file && other.number >= number)
      if (isHigher || Option.isNone(info)) {
        yield* Effect.andThen(leave, fs.remove(file, { force: true }))
        return undefined
      }
      const contested = yield* depose(
        all.filter((other) => other.file !== file),
        dead
      )
      return { file, info: info.value, contested, leave }
    }).pipe(Effect.onError(() => Effect.andThen(leave, Effect.ignore(fs.rename(file, `${file}.free`)))))
  })

  const take = Effect.gen(function* () {
    for (let i = 0; i < attempts; i++) {
      const found = yield* names
      const top = highest(entriesOf(found))
      const verdict = top?.state === "held" ? yield* verdictOn(top) : undefined
      if (top?.state === "held" && verdict === undefined) continue
      if (top === undefined && found.some((name) => !name.startsWith("lock."))) {
        yield* fs.writeFileString(lostOf(0), "")
      }
      const number = (top?.number ?? 0) + 1
      const file = path.join(directory, `lock.${number}`)
      if (!(yield* create(file))) continue
      const mine = yield* takeEntry(file, number, verdict === "dead" ? top : undefined)
      if (mine !== undefined) return mine
    }
    return yield* new TokenStoreError({
      operation,
      kind: "locked",
      description: `Too many processes are opening '${directory}' at the same time. Try again.`
    })
  }).pipe(Effect.catchTag("PlatformError", (error) => Effect.fail(failed(error))))

  const holdsNonce = (file: string) =>
    Effect.map(absent(fs.readFileString(file)), (text) =>
      Option.exists(Option.flatMap(text, decodeOwner), ({ nonce }) => nonce === me.nonce)
    )
  const isHeld = (file: string, held: FileSystem.File.Info) =>
    Effect.flatMap(absent(fs.stat(file)), (info) =>
      Option.isNone(info) || !isSame(info.value, held)
        ? Effect.succeed(false)
        : isNumbered(held)
          ? Effect.succeed(true)
          : holdsNonce(file)
    )

  // This owner must not release a file that another program put in the place of the lock.
  const mine = yield* Effect.acquireRelease(take, ({ file, info, leave }) =>
    Effect.flatMap(isHeld(file, info), (held) =>
      Effect.andThen(leave, held ? fs.rename(file, `${file}.free`) : Effect.void)
    ).pipe(Effect.ignore, Effect.ensuring(leave))
  )

  let lost: TokenStoreError | undefined
  let alongside: Effect.Effect<void, TokenStoreError> = Effect.void
  const lose = (error: TokenStoreError) => (lost ??= error)
  const overtaken = Effect.suspend(() =>
    Effect.fail(
      lose(
        new TokenStoreError({
          operation,
          kind: "locked",
          description:
            `Another process took '${directory}', or another program moved or replaced it or the lock in it. ` +
            `The ${subject} writes no more. Build it again, or stop this process.`
        })
      )
    )
  )
  const check = Effect.suspend(() => {
    if (lost !== undefined) return Effect.fail(lost)
    return Effect.matchEffect(isHeld(mine.file, mine.info), {
      onSuccess: (held) => (held ? Effect.void : overtaken),
      onFailure: (error) => Effect.fail(failed(error))
    })
  })
  const pulse = Effect.gen(function* () {
    yield* check
    const top = highest(yield* scan)
    if (top?.file !== mine.file || !(yield* holdsNonce(mine.file))) return yield* overtaken
    const date = new Date(yield* Clock.currentTimeMillis)
    yield* fs.utimes(mine.file, date, date)
    yield* alongside
  })

  yield* Effect.sleep(options.heartbeat).pipe(Effect.andThen(Effect.ignore(pulse)), Effect.forever, Effect.forkScoped)
  return {
    nonce: me.nonce,
    subject,
    contested: mine.contested,
    forgetLost: Effect.flatMap(scan, (all) =>
      Effect.forEach(
        all.filter(({ state }) => state === "lost"),
        ({ file }) => fs.remove(file, { force: true }),
        { discard: true }
      )
    ),
    check,
    lost: () => lost,
    lose,
    alongside: (other) => (alongside = other)
  }
})

const highest = (entries: ReadonlyArray<Entry>): Entry | undefined => {
  let top: Entry | undefined
  for (const entry of entries) {
    if (top === undefined || entry.number > top.number || (entry.number === top.number && entry.state !== "held"))
      top = entry
  }
  return top
}

const beat = (info: FileSystem.File.Info): number =>
  Option.match(info.mtime, { onNone: () => 0, onSome: (date) => date.getTime() })

// Linux provides these; elsewhere the name of the host alone must do.
const space = (fs: FileSystem.FileSystem): Effect.Effect<string> =>
  Effect.zipWith(
    fs.readFileString("/proc/sys/kernel/random/boot_id"),
    fs.readLink("/proc/self/ns/pid"),
    (boot, namespace) => `${boot.trim()} ${namespace}`
  ).pipe(Effect.orElseSucceed(() => ""))

/** The state of a process, which only Linux provides. */
interface Seen {
  /** Whether the process has ended: it is a zombie (Z), or is being removed (X). */
  readonly isDead: boolean
  readonly started: string
}

const look = (fs: FileSystem.FileSystem, pid: number): Effect.Effect<Option.Option<Seen>> =>
  Effect.option(
    Effect.map(fs.readFileString(`/proc/${pid}/stat`), (stat): Seen => {
      // The fields after the name of the program, which is in brackets and can contain any character.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      return { isDead: /^[ZX]/i.test(fields[0] ?? ""), started: fields[19] ?? "" }
    })
  )
